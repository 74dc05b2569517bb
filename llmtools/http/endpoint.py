"""The address of a server and its key. Pure: nothing here opens a URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import ConfigError, UsageError, setting_name

_SPACE = re.compile(r"[\s\x00-\x20\x7f]")
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAT64 = bytes.fromhex("0064ff9b0000000000000000")
_SHORT = 7
"""The most characters of a secret that may be a usual word."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class Secret:
    """A key, and the place that it was read from. Only `reveal` shows it: not repr, not a traceback, not JSON."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server that a request goes to.

    name: the provider's name in the catalogue, or the origin of a bare base URL; it is the issuer
    of the server's metadata. protocol: the name of the protocol. query: appended to every path.
    auth: the header that carries the key, and the text before the key in it. start, pull: the
    commands that start the server, and that get a model for it, "" if there are none. The values
    of `headers` are never shown.
    """

    name: str
    base_url: str
    protocol: str
    key: Secret | None = None
    headers: dict[str, str] = field(default_factory=dict)
    quirks: frozenset[str] = frozenset()
    query: str = ""
    auth: tuple[str, str] = ("authorization", "Bearer ")
    start: str = ""
    pull: str = ""

    def url(self, path: str) -> str:
        """Return the URL of a path of the protocol."""
        joined = f"{'&' if '?' in path else '?'}{self.query}" if self.query else ""
        return self.base_url + path + joined

    def key_header(self, *, is_masked: bool = False) -> dict[str, str]:
        """Return the header that carries the key, {} if there is no key."""
        if self.key is None:
            return {}
        name, before = self.auth
        return {name: before + ("***" if is_masked else self.key.reveal())}

    def mask(self, text: str) -> str:
        """Return a text with *** in the place of this endpoint's secrets, which a server may repeat."""
        for secret in self._secrets():
            text = text.replace(secret, "***")
        return text

    def mask_all(self, value: Any) -> Any:
        """Return a JSON value with the secrets in its strings masked. A secret of a few letters is in many words,
        and is left."""
        secrets = [secret for secret in self._secrets() if len(secret) > _SHORT]
        return _with_masks(value, secrets) if secrets else value

    def _secrets(self) -> list[str]:
        secrets = [value for value in self.headers.values() if len(value) > _SHORT]
        return [*secrets, *([self.key.reveal()] if self.key else [])]


def _with_masks(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, dict):
        return {name: _with_masks(item, secrets) for name, item in value.items()}
    return [_with_masks(item, secrets) for item in value] if isinstance(value, list) else value


def split_url(url: str) -> tuple[str, str, str]:
    """Return (scheme, host, origin) of a base URL. Raises UsageError if it is not one."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            ways = setting_name("--key-file, --key-fd or --key-env", "key")
            raise UsageError(f"a base URL with a user, password or query in it: use {ways}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise UsageError(f"not a base URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or _SPACE.search(url):
        without_password = url.rpartition("@")[2]
        raise UsageError(f"{without_password!r} is not a base URL: it must begin with http:// or https://")
    host = parts.hostname
    bracketed = f"[{host}]" if ":" in host else host
    return parts.scheme, host, f"{parts.scheme}://{bracketed}{port}"


def without_password(url: str) -> str:
    """Return a URL without a user and a password, for messages."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url)


def is_local(host: str) -> bool:
    """Return whether a host is this machine. Only there may plain http carry a key."""
    return host in LOCAL_HOSTS or (host.startswith("127.") and host.replace(".", "").isdigit())


def is_public_address(address: str) -> bool:
    """Return whether an IP address is one of a host on the public network. An IPv6 address that stands for
    one of IPv4 (mapped, NAT64, 6to4) is what that one is.

    Raises ValueError for a text that is not an address. Sources: RFC 6890, RFC 4291 (global unicast is
    2000::/3), RFC 6052 (NAT64), RFC 3056 (6to4).
    """
    from ipaddress import IPv4Address, IPv6Address, ip_address

    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        packed = found.packed
        if found.ipv4_mapped or packed.startswith(_NAT64):
            found = IPv4Address(packed[12:])
        elif found.sixtofour:
            found = found.sixtofour
        elif packed[0] >> 5 != 1:
            return False
    return found.is_global and not found.is_multicast


def check_secrecy(base_url: str) -> None:
    """Raise ConfigError if a key would go over plain http to another machine."""
    scheme, host, _ = split_url(base_url)
    if scheme == "http" and not is_local(host):
        raise ConfigError(f"a key is not sent to {host} over plain http: use https")
