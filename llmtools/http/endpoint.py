"""Where a server is, and the key that goes there. Pure: URLs are read here, never asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import ConfigError, UsageError

_SPACE = re.compile(r"[\s\x00-\x20\x7f]")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class Secret:
    """A key. Nothing shows it but `reveal`: not repr, not a traceback, not JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is asked. `name` is the issuer of what it signs: the provider's name in
    the catalogue, or the origin of a bare base URL; `protocol` is the name of what it speaks.

    query is appended to every path. auth is the header that carries the key, and what comes
    before the key in it. The values of `headers` are shown nowhere.
    """

    name: str
    base_url: str
    protocol: str
    key: Secret | None = None
    headers: dict[str, str] = field(default_factory=dict)
    quirks: frozenset[str] = frozenset()
    query: str = ""
    auth: tuple[str, str] = ("authorization", "Bearer ")

    def url(self, path: str) -> str:
        """Return the URL of a path of the protocol's."""
        joined = f"{'&' if '?' in path else '?'}{self.query}" if self.query else ""
        return self.base_url + path + joined

    def key_header(self, *, is_masked: bool = False) -> dict[str, str]:
        """Return the header that carries the key, {} where there is no key."""
        if self.key is None:
            return {}
        name, before = self.auth
        return {name: before + ("***" if is_masked else self.key.reveal())}

    def masked(self, text: str) -> str:
        """Return a text without the secrets of this endpoint, which a server may repeat."""
        secrets = [value for value in self.headers.values() if len(value) > 7]
        for secret in [*secrets, *([self.key.reveal()] if self.key else [])]:
            text = text.replace(secret, "***")
        return text


def split_url(url: str) -> tuple[str, str, str]:
    """Return (scheme, host, origin) of a base URL. Raises UsageError for what is none."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise UsageError("a base URL with a user, password or query in it: use --key-file, --key-fd or --key-env")
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise UsageError(f"no base URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or _SPACE.search(url):
        shown = url.rpartition("@")[2]  # before it may stand a password
        raise UsageError(f"{shown!r} is no base URL: http://… or https://… is meant")
    host = parts.hostname
    shown = f"[{host}]" if ":" in host else host
    return parts.scheme, host, f"{parts.scheme}://{shown}{port}"


def is_local(host: str) -> bool:
    """Whether a host name is this machine's, as plain http may carry a key to."""
    return host in LOCAL_HOSTS or (host.startswith("127.") and host.replace(".", "").isdigit())


def check_secrecy(base_url: str) -> None:
    """Refuse, with ConfigError, plain http to another machine, for what is secret."""
    scheme, host, _ = split_url(base_url)
    if scheme == "http" and not is_local(host):
        raise ConfigError(f"a key is not sent to {host} over plain http: use https")
