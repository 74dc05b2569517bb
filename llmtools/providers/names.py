"""Where models are: protocols by name, and the endpoints that speak them. Plain data."""

from __future__ import annotations

import re

from ..errors import ConfigError, UsageError
from ..protocols.request import Endpoint, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

PROTOCOLS = {
    "openai-chat": ("openai_chat", "authorization", "Bearer "),
    "openai-responses": ("openai_responses", "authorization", "Bearer "),
    "anthropic": ("anthropic", "x-api-key", ""),
    "gemini": ("gemini", "x-goog-api-key", ""),
    "ollama": ("ollama", "authorization", "Bearer "),
}
"""Name -> (module in `protocols`, header that carries the key, what stands before it)."""

DEFAULT_PROTOCOL = "openai-chat"
BUILT_IN = ("echo", "replay")
"""What a model's name begins with that is asked over no network."""

_SPACE = re.compile(r"[\s\x00-\x20\x7f]")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def protocol_module(name: str) -> ModuleType:
    """Return the module of a protocol: `encode`, `Decoder`, `error_of`."""
    from importlib import import_module

    return import_module(f"..protocols.{PROTOCOLS[name][0]}", __package__)


def key_header(endpoint: Endpoint, key: str) -> dict[str, str]:
    """Return the header that carries a key to an endpoint."""
    _, header, before = PROTOCOLS[endpoint.protocol]
    if endpoint.auth[0]:
        header, before = endpoint.auth
    return {header: before + key}


def is_built_in(model: str) -> bool:
    """Whether a model's name means what no provider serves: echo, replay/FILE."""
    return model.partition("/")[0] in BUILT_IN


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


def at(base_url: str, protocol: str | None = None, key: Secret | None = None) -> Endpoint:
    """Return the endpoint at a bare base URL; its origin is the issuer of what it signs, with
    the protocol before it where that is not Chat: one issuer speaks one protocol.

    Raises UsageError for a URL that is none, ConfigError for plain http to another machine with a key.
    """
    origin = split_url(base_url)[2]
    if key is not None:
        check_secrecy(base_url)
    protocol = protocol or DEFAULT_PROTOCOL
    issuer = origin if protocol == DEFAULT_PROTOCOL else f"{protocol}+{origin}"
    return Endpoint(issuer, base_url.rstrip("/"), protocol, key)


def check_secrecy(base_url: str) -> None:
    """Refuse, with ConfigError, plain http to another machine, for what is secret."""
    scheme, host, _ = split_url(base_url)
    if scheme == "http" and not is_local(host):
        raise ConfigError(f"a key is not sent to {host} over plain http: use https")
