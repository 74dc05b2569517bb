"""The only file that imports the HTTP client.

Rules:
* No redirects, no compression that was not asked for; the key goes to the endpoint's own
  host and, over plain http, to this machine only (see `providers`).
* A failure is a value: a LlmToolsError that says host and cause, never the key.
* Plain http builds no TLS context. Proxies and CAs come from the usual variables.
"""

from __future__ import annotations

import os
import re
import sys

# httpx imports its own command line, and with it rich where that is installed: a fifth of the start-up.
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
"""The most that is fetched from a URL, in bytes."""
FETCH_TIME = 600.0
"""The most that it may take, in seconds, though something comes all the time."""


def _tls(url: str) -> Any:
    import ssl

    if url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: the default would load every CA
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        named = [f"{name}={os.environ[name]}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        raise ConfigError(f"the CAs of {' and '.join(named) or 'certifi'} cannot be loaded: {error}") from None


def _waits(limits: Limits) -> tuple[float, float]:
    """Return the most that is waited for a connection, and for bytes."""
    idle = limits.idle if limits.total is None else min(limits.idle, limits.total)
    return min(limits.connect, idle), idle


def _client(kind: Any, opening: Open) -> Any:
    """Return a client of httpx's, sync or async. Raises ConfigError for proxies and CAs that cannot be used."""
    try:
        return kind(**_client_options(opening))
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise ConfigError(f"a proxy that the environment names cannot be used: {error}") from None


def _ways(opening: Open) -> dict[str, None]:
    """Return the addresses that are reached without a proxy: this machine's where a key
    goes there over plain http, which a proxy on another machine would see."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    scheme, _, origin = split_url(opening.endpoint.base_url)
    proxies = getproxies()
    proxy = proxies.get("http") or proxies.get("all")
    if scheme == "https" or opening.endpoint.key is None or not proxy:
        return {}
    named = urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname
    return {} if is_local(named or "") else {origin: None}


def _client_options(opening: Open) -> dict[str, Any]:
    connect, idle = _waits(opening.limits)
    return {
        "timeout": httpx.Timeout(idle, connect=connect),
        "verify": _tls(opening.endpoint.base_url),
        "mounts": _ways(opening),
        "follow_redirects": False,
        "headers": {"accept-encoding": "identity", "user-agent": f"llmtools/{__version__}"},
    }


def _request_options(opening: Open) -> dict[str, Any]:
    endpoint = opening.endpoint
    headers = {**opening.request.headers, **endpoint.headers}
    headers.update(endpoint.key_header())
    url = endpoint.url(opening.request.path)
    return {"method": opening.request.method, "url": url, "content": opening.request.body, "headers": headers}


def _opened(response: httpx.Response) -> Opened:
    return Opened(response.status_code, {name.lower(): value for name, value in response.headers.items()})


def _failure(error: Exception, opening: Open, has_head: bool) -> LlmToolsError:
    """Return what an exception of the client's means."""
    host = split_url(opening.endpoint.base_url)[2]
    connect, silent = _waits(opening.limits)
    if isinstance(error, httpx.ConnectTimeout):
        return UnavailableError(f"{host}: no connection within {connect:g} s", retryable=True)
    if isinstance(error, httpx.TimeoutException):
        return TimedOutError(f"{host}: nothing came for {silent:g} s", retryable=not has_head)
    cause = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    if _is_no_http(error):
        return ProtocolError(f"{host}: no HTTP: {cause}")
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return UnavailableError(f"{host}: {cause}", retryable=False)
    if has_head:
        return TruncatedError(f"{host}: the connection broke: {cause}", retryable=True)
    return UnavailableError(f"{host}: {cause}", retryable=isinstance(error, (httpx.NetworkError, httpx.ProtocolError)))


def _is_no_http(error: Exception) -> bool:
    """Return whether what came was no HTTP, and not merely too little of it."""
    too_little = ("Server disconnected", "peer closed connection")
    return isinstance(error, httpx.RemoteProtocolError) and not str(error).startswith(too_little)


class Connection:
    """One conversation over HTTP, blocking. `open` and `read` answer what `attempt` wants."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None
        self._response: httpx.Response | None = None
        self._opening: Any = None
        self._bytes: Any = None

    def open(self, opening: Open) -> Opened | LlmToolsError:
        """Send a request; return the head of the answer."""
        self._release()
        self._opening = opening
        try:
            if self._client is None:
                self._client = _client(httpx.Client, opening)
            request = self._client.build_request(**_request_options(opening))
            self._response = self._client.send(request, stream=True)
        except ConfigError as error:
            return error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _failure(error, opening, has_head=False)
        self._bytes = self._response.iter_raw()
        return _opened(self._response)

    def read(self) -> bytes | LlmToolsError:
        """Return the next bytes of the answer, b"" at its end."""
        try:
            data: bytes = next(self._bytes, b"")
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            return _failure(error, self._opening, has_head=True)
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
    """As Connection, for asyncio."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._response: httpx.Response | None = None
        self._opening: Any = None
        self._bytes: Any = None

    async def open(self, opening: Open) -> Opened | LlmToolsError:
        """Send a request; return the head of the answer."""
        await self._release()
        self._opening = opening
        try:
            if self._client is None:
                self._client = _client(httpx.AsyncClient, opening)
            request = self._client.build_request(**_request_options(opening))
            self._response = await self._client.send(request, stream=True)
        except ConfigError as error:
            return error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _failure(error, opening, has_head=False)
        self._bytes = self._response.aiter_raw()
        return _opened(self._response)

    async def read(self) -> bytes | LlmToolsError:
        """Return the next bytes of the answer, b"" at its end."""
        try:
            data: bytes = await anext(self._bytes, b"")
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            return _failure(error, self._opening, has_head=True)
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
    """Refuse to ask a host that is not on the public network. Raises InputError."""
    import socket
    from ipaddress import ip_address

    host = request.url.host
    try:
        found = socket.getaddrinfo(host, request.url.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnavailableError(f"{host}: {error.strerror}") from None
    if not all(ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in found):
        raise InputError(f"{request.url}: {host} is on a private network, which is not read for a model elsewhere")


def fetch(url: str, timeout: float = 60, *, is_public: bool = False) -> bytes:
    """Return what a URL holds. Redirects are followed, as for any download without a key;
    with `is_public` none of it may be on this machine or a private network.

    Raises UnavailableError where it cannot be had, InputError where it is too large.
    """
    from time import monotonic

    data, until = bytearray(), monotonic() + FETCH_TIME
    hooks = {"request": [_refuse_private]} if is_public else {}
    try:
        with (
            httpx.Client(follow_redirects=True, timeout=timeout, event_hooks=hooks) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise UnavailableError(f"{url}: HTTP {response.status_code} {response.reason_phrase}")
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > FETCH_LIMIT:
                    raise InputError(f"{url}: larger than {FETCH_LIMIT >> 20} MiB")
                if monotonic() > until:
                    raise UnavailableError(f"{url}: not there after {FETCH_TIME:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{url}: {str(error) or type(error).__name__}") from None
    return bytes(data)
