"""The only file that imports the HTTP client.

Rules:
* No redirects, and no compression. The key goes only to the endpoint's own host and, over plain
  http, only to this machine (see `providers`).
* A failure is a value: a LlmToolsError with host and cause, never with the key.
* Plain http does not load the CAs. Proxies and CAs come from the usual environment variables.
"""

from __future__ import annotations

import os
import re
import sys

# httpx imports its own command line, and with it rich if that is installed: a fifth of the start-up.
if "httpx" not in sys.modules:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
import httpx

if sys.modules["httpx._main"] is None:
    del sys.modules["httpx._main"]

from .. import __version__
from ..errors import (
    ConfigError,
    InputError,
    LlmToolsError,
    ProtocolError,
    TimedOutError,
    TruncatedError,
    UnavailableError,
)
from .endpoint import is_local, split_url
from .request import Opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .request import Limits, Open

FETCH_LIMIT = 256 << 20
"""The most bytes that `fetch` reads."""
FETCH_TIME = 600.0
"""The most seconds that `fetch` takes, even if bytes keep coming."""


def _unused_tls() -> Any:
    """Return a context for plain http, which does not use it: the default would load every CA."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _tls() -> Any:
    """Return the TLS context with the CAs of the environment, else of certifi. Raises ConfigError."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        variables = [f"{name}={os.environ[name]}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        raise ConfigError(f"the CAs of {' and '.join(variables) or 'certifi'} cannot be loaded: {error}") from None


def _waits(limits: Limits) -> tuple[float, float]:
    """Return the most seconds to wait for a connection, and for bytes."""
    idle = limits.idle if limits.total is None else min(limits.idle, limits.total)
    return min(limits.connect, idle), idle


def _client(kind: Any, **options: Any) -> Any:
    """Return an httpx client of class `kind`. Raises ConfigError for proxies that cannot be used."""
    try:
        return kind(**options)
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise ConfigError(f"a proxy that the environment names cannot be used: {error}") from None


def _proxy_exceptions(opening: Open) -> dict[str, None]:
    """Return the origins to reach without a proxy: this machine, if a key goes there over plain http
    and the proxy, which would see it, is on another machine."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    scheme, _, origin = split_url(opening.endpoint.base_url)
    proxies = getproxies()
    proxy = proxies.get("http") or proxies.get("all")
    if scheme == "https" or opening.endpoint.key is None or not proxy:
        return {}
    host = urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname
    return {} if is_local(host or "") else {origin: None}


def _client_options(opening: Open) -> dict[str, Any]:
    connect, idle = _waits(opening.limits)
    return {
        "timeout": httpx.Timeout(idle, connect=connect),
        "verify": _unused_tls() if opening.endpoint.base_url.startswith("http://") else _tls(),
        "mounts": _proxy_exceptions(opening),
        "follow_redirects": False,
        "headers": {"accept-encoding": "identity", "user-agent": f"llmtools/{__version__}"},
    }


def _request_options(opening: Open) -> dict[str, Any]:
    endpoint = opening.endpoint
    headers = {**opening.request.headers, **endpoint.headers}
    headers.update(endpoint.key_header())
    url = endpoint.url(opening.request.path)
    return {"method": opening.request.method, "url": url, "content": opening.request.body, "headers": headers}


def _head_of(response: httpx.Response) -> Opened:
    return Opened(response.status_code, {name.lower(): value for name, value in response.headers.items()})


def _connection_failure(error: Exception, opening: Open, has_head: bool) -> LlmToolsError:
    """Return an exception of the client as ours. has_head: whether the head of the response had come."""
    host = split_url(opening.endpoint.base_url)[2]
    connect, silent = _waits(opening.limits)
    if isinstance(error, httpx.ConnectTimeout):
        return UnavailableError(f"{host}: no connection within {connect:g} s", retryable=True)
    if isinstance(error, httpx.TimeoutException):
        return TimedOutError(f"{host}: nothing came for {silent:g} s", retryable=not has_head)
    if isinstance(error, httpx.ConnectError) and "refused" in str(error) and opening.endpoint.start:
        return UnavailableError(f"not running at {host} ({opening.endpoint.start})", retryable=True)
    cause = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    if _is_other_protocol(error):
        return ProtocolError(f"{host}: the response is not HTTP: {cause}")
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return UnavailableError(f"{host}: {cause}", retryable=False)
    if has_head:
        return TruncatedError(f"{host}: the connection broke: {cause}", retryable=True)
    return UnavailableError(f"{host}: {cause}", retryable=isinstance(error, (httpx.NetworkError, httpx.ProtocolError)))


def _is_other_protocol(error: Exception) -> bool:
    """Return whether the response was not HTTP, rather than cut off."""
    cut_off = ("Server disconnected", "peer closed connection")
    return isinstance(error, httpx.RemoteProtocolError) and not str(error).startswith(cut_off)


class Connection:
    """A connection to one server, blocking. Does the wants `Open` and `Read` (see `request`)."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None
        self._response: httpx.Response | None = None
        self._opening: Any = None
        self._bytes: Any = None

    def open(self, opening: Open) -> Opened | LlmToolsError:
        """Send a request; return the head of the response, or the failure."""
        self._release()
        self._opening = opening
        try:
            if self._client is None:
                self._client = _client(httpx.Client, **_client_options(opening))
            request = self._client.build_request(**_request_options(opening))
            self._response = self._client.send(request, stream=True)
        except ConfigError as error:
            return error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _connection_failure(error, opening, has_head=False)
        self._bytes = self._response.iter_raw()
        return _head_of(self._response)

    def read(self) -> bytes | LlmToolsError:
        """Return the next bytes of the response, b"" at its end, or the failure."""
        try:
            data: bytes = next(self._bytes, b"")
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            return _connection_failure(error, self._opening, has_head=True)
        return data

    def _release(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def close(self) -> None:
        """Close the connection, also in mid-stream."""
        self._release()
        if self._client is not None:
            self._client.close()
            self._client = None


class AsyncConnection:
    """Like Connection, for asyncio."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._response: httpx.Response | None = None
        self._opening: Any = None
        self._bytes: Any = None

    async def open(self, opening: Open) -> Opened | LlmToolsError:
        """Send a request; return the head of the response, or the failure."""
        await self._release()
        self._opening = opening
        try:
            if self._client is None:
                self._client = _client(httpx.AsyncClient, **_client_options(opening))
            request = self._client.build_request(**_request_options(opening))
            self._response = await self._client.send(request, stream=True)
        except ConfigError as error:
            return error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _connection_failure(error, opening, has_head=False)
        self._bytes = self._response.aiter_raw()
        return _head_of(self._response)

    async def read(self) -> bytes | LlmToolsError:
        """Return the next bytes of the response, b"" at its end, or the failure."""
        try:
            data: bytes = await anext(self._bytes, b"")
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            return _connection_failure(error, self._opening, has_head=True)
        return data

    async def _release(self) -> None:
        if self._response is not None:
            await self._response.aclose()
            self._response = None

    async def close(self) -> None:
        """Close the connection, also in mid-stream."""
        await self._release()
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _refuse_private(request: httpx.Request) -> None:
    """Raise InputError if the host of a request is not on the public network, UnavailableError if it is not found."""
    import socket
    from ipaddress import ip_address

    host = request.url.host
    try:
        addresses = socket.getaddrinfo(host, request.url.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnavailableError(f"{host}: {error.strerror}") from None
    if not all(ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in addresses):
        raise InputError(
            f"{request.url}: {host} is on a private network, from which no file is sent to a model elsewhere"
        )


def fetch(url: str, timeout: float = 60, *, is_public: bool = False) -> bytes:
    """Return the bytes at a URL. Redirects are followed, because no key is sent.

    timeout: seconds without a byte. is_public: refuse hosts on this machine or a private network.
    Raises UnavailableError if the download fails or takes too long, InputError if it is too large or a
    host is refused, ConfigError for proxies and CAs that cannot be used.
    """
    from time import monotonic

    data, until = bytearray(), monotonic() + FETCH_TIME
    hooks = {"request": [_refuse_private]} if is_public else {}
    try:
        with (
            _client(httpx.Client, verify=_tls(), follow_redirects=True, timeout=timeout, event_hooks=hooks) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise UnavailableError(f"{url}: HTTP {response.status_code} {response.reason_phrase}")
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > FETCH_LIMIT:
                    raise InputError(f"{url}: larger than {FETCH_LIMIT >> 20} MiB")
                if monotonic() > until:
                    raise UnavailableError(f"{url}: not complete after {FETCH_TIME:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{url}: {str(error) or type(error).__name__}") from None
    return bytes(data)
