"""The only file that imports the HTTP client.

Rules:
* No redirects, and no compression. The key goes only to the endpoint's own host and, over plain
  http, only to this machine (see `providers`).
* A failure is a value: a LlmToolsError with host and cause, never with the key.
* Plain http does not load the CAs. Proxies (see `proxy`) and CAs come from the usual environment
  variables, here and nowhere else.
* Every request has our user agent. Every phase has a limit (see `watch`).
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
from ..files import MAX_FILE
from .endpoint import is_local, is_public_address, split_url, without_password
from .proxy import proxy_of
from .request import Fetched, Opened
from .watch import AsyncWatchedBackend, Watch, WatchedBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .request import Limits, Open

USER_AGENT = f"llmtools/{__version__}"
CA_FILES, CA_FOLDER = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "SSL_CERT_DIR"
"""The variables for the CAs to trust; the first of the files counts."""
FETCH_TIME = 600.0
"""The most seconds that `fetch` takes, even if bytes keep coming."""
FETCH_CONNECT = 10.0
"""The most seconds that `fetch` waits for a connection."""
MAX_REDIRECTS = 20


def _unused_tls() -> Any:
    """Return a context for plain http, which does not use it: the default would load every CA."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def tls_context() -> Any:
    """Return the TLS context with the CAs of the environment, else of certifi. Raises ConfigError."""
    import ssl

    file = next((os.environ[name] for name in CA_FILES if os.environ.get(name)), None)
    folder = os.environ.get(CA_FOLDER) or None
    if file and os.path.isdir(file):  # requests takes a directory in its variable
        file, folder = None, folder or file
    try:
        if folder and not any(map(os.path.isdir, folder.split(os.pathsep))):
            raise NotADirectoryError(f"{folder} is not a directory")
        if file or folder:
            return ssl.create_default_context(cafile=file, capath=folder)
        return httpx.create_ssl_context(trust_env=False)
    except OSError as error:
        variables = [f"{name}={os.environ[name]}" for name in (*CA_FILES, CA_FOLDER) if os.environ.get(name)]
        raise ConfigError(f"the CAs of {' and '.join(variables) or 'certifi'} cannot be loaded: {error}") from None


def _context_for(url: str) -> Any:
    return _unused_tls() if url.startswith("http://") else tls_context()


def _waits(limits: Limits) -> tuple[float, float]:
    """Return the most seconds to wait for a connection, and for bytes."""
    idle = limits.idle if limits.total is None else min(limits.idle, limits.total)
    return min(limits.connect, idle), idle


_KINDS: dict[Any, tuple[Any, Any]] = {
    httpx.Client: (httpx.HTTPTransport, WatchedBackend),
    httpx.AsyncClient: (httpx.AsyncHTTPTransport, AsyncWatchedBackend),
}
"""Class of a client -> that of its transport, and of what watches its connections."""


def _client(kind: Any, url: str, proxy: str | None, watch: Watch, *, is_public: bool = False, **options: Any) -> Any:
    """Return an httpx client of class `kind` for a URL. is_public: it connects to the public network only.

    Raises ConfigError for a proxy that cannot be used.
    """
    import httpcore

    transport_class, backend_class = _KINDS[kind]
    try:
        context = {"ssl_context": tls_context()} if proxy and proxy.startswith("https://") else {}
        through = httpx.Proxy(proxy, **context) if proxy else None
        transport = transport_class(verify=_context_for(url), proxy=through, trust_env=False)
        pool = transport._pool  # httpx passes no network backend on to httpcore, whose documented place for it this is
        pool._network_backend = backend_class(pool._network_backend, watch, httpcore.TimeoutException)
        if is_public:
            is_proxied = proxy is not None and not proxy.startswith("socks")
            transport = _PublicTransport(transport, is_proxied=is_proxied)
        return kind(transport=transport, trust_env=False, **options)
    except ImportError:
        raise ConfigError("a SOCKS proxy needs one more package: pip install 'llm-pipes[socks]'") from None
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigError(f"a proxy that the environment names cannot be used: {error}") from None


def _proxy_for(opening: Open) -> str | None:
    """Return the proxy for a request, None for a direct connection: also to this machine, if a key goes
    there over plain http and the proxy, which would see it, is on another machine."""
    from urllib.parse import urlsplit

    url = opening.endpoint.base_url
    proxy = proxy_of(url)
    if proxy is None or not url.startswith("http://") or opening.endpoint.key is None:
        return proxy
    return proxy if is_local(urlsplit(proxy).hostname or "") else None


def _client_for(kind: Any, opening: Open, watch: Watch) -> Any:
    return _client(
        kind,
        opening.endpoint.base_url,
        _proxy_for(opening),
        watch,
        timeout=httpx.Timeout(None, connect=_waits(opening.limits)[0]),
        follow_redirects=False,
        headers={"accept-encoding": "identity", "user-agent": USER_AGENT},
    )


def _request_options(opening: Open) -> dict[str, Any]:
    endpoint = opening.endpoint
    headers = {**opening.request.headers, **endpoint.headers}
    headers.update(endpoint.key_header())
    url = endpoint.url(opening.request.path)
    return {"method": opening.request.method, "url": url, "content": opening.request.body, "headers": headers}


def _begin(watch: Watch, opening: Open) -> None:
    limits, host = opening.limits, split_url(opening.endpoint.base_url)[2]
    idle = _waits(limits)[1]
    send = limits.progress if limits.total is None else min(limits.progress, limits.total)
    watch.open(host, len(opening.request.body), send=send, head=idle)


def _head_of(response: httpx.Response) -> Opened:
    return Opened(response.status_code, {name.lower(): value for name, value in response.headers.items()})


def _connection_failure(error: Exception, opening: Open, has_head: bool) -> LlmToolsError:
    """Return an exception of the client as ours. has_head: whether the head of the response had come."""
    host = split_url(opening.endpoint.base_url)[2]
    connect, _ = _waits(opening.limits)
    if isinstance(error, httpx.ConnectTimeout):
        return UnavailableError(f"{host}: no connection within {connect:g} s", retryable=True)
    if isinstance(error, (httpx.LocalProtocolError, UnicodeError)):  # its words may have the key in them
        return ConfigError(
            f"{host}: a header of the request, such as the key, has a character that HTTP does not allow"
        )
    if isinstance(error, httpx.ConnectError) and "refused" in str(error) and opening.endpoint.start:
        return UnavailableError(f"not running at {host} ({opening.endpoint.start})", retryable=True)
    cause = _cause(error)
    if _is_other_protocol(error):
        return ProtocolError(f"{host}: the response is not HTTP: {cause}")
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return UnavailableError(f"{host}: {cause}", retryable=False)
    if has_head:
        return TruncatedError(f"{host}: the connection broke: {cause}", retryable=True)
    return UnavailableError(f"{host}: {cause}", retryable=isinstance(error, (httpx.NetworkError, httpx.ProtocolError)))


def _cause(error: Exception) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


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
        self._watch = Watch()

    def open(self, opening: Open) -> Opened | LlmToolsError:
        """Send a request; return the head of the response, or the failure."""
        self._release()
        self._opening = opening
        try:
            if self._client is None:
                self._client = _client_for(httpx.Client, opening, self._watch)
            _begin(self._watch, opening)
            request = self._client.build_request(**_request_options(opening))
            self._response = self._client.send(request, stream=True)
        except LlmToolsError as error:
            return error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _connection_failure(error, opening, has_head=False)
        self._bytes = self._response.iter_raw()
        return _head_of(self._response)

    def read(self) -> bytes | LlmToolsError:
        """Return the next bytes of the response, b"" at its end, or the failure."""
        self._watch.read(_waits(self._opening.limits)[1])
        try:
            data: bytes = next(self._bytes, b"")
        except TimedOutError as error:
            return error
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
        self._watch = Watch()

    async def open(self, opening: Open) -> Opened | LlmToolsError:
        """Send a request; return the head of the response, or the failure."""
        await self._release()
        self._opening = opening
        try:
            if self._client is None:
                self._client = _client_for(httpx.AsyncClient, opening, self._watch)
            _begin(self._watch, opening)
            request = self._client.build_request(**_request_options(opening))
            self._response = await self._client.send(request, stream=True)
        except LlmToolsError as error:
            return error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _connection_failure(error, opening, has_head=False)
        self._bytes = self._response.aiter_raw()
        return _head_of(self._response)

    async def read(self) -> bytes | LlmToolsError:
        """Return the next bytes of the response, b"" at its end, or the failure."""
        self._watch.read(_waits(self._opening.limits)[1])
        try:
            data: bytes = await anext(self._bytes, b"")
        except TimedOutError as error:
            return error
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


def _public_addresses(url: httpx.URL, *, is_proxied: bool) -> list[str]:
    """Return the addresses of a URL's host. is_proxied: whether an HTTP proxy would look up its name.

    Raises InputError unless all are on the public network, UnavailableError if the name is not known.
    """
    import socket

    try:
        found = socket.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnavailableError(f"{url.host}: {error.strerror}") from None
    addresses, shown = list(dict.fromkeys(str(address[0]) for *_, address in found)), without_password(str(url))
    if not all(map(is_public_address, addresses)):
        raise InputError(
            f"{shown}: {url.host} is on a private network, from which no file is sent to a model elsewhere"
        )
    if is_proxied and addresses != [url.host]:
        advice = "download it, and attach the file"
        raise InputError(f"{shown}: the proxy looks up {url.host}, maybe on a private network: {advice}")
    return addresses


class _PublicTransport(httpx.BaseTransport):
    """Connects only to the addresses that were checked: a second look-up of the name may have another answer."""

    def __init__(self, inner: httpx.HTTPTransport, *, is_proxied: bool) -> None:
        self._inner = inner
        self._is_proxied = is_proxied

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its Host header and the name for TLS stay those of the URL."""
        addresses = _public_addresses(request.url, is_proxied=self._is_proxied)
        extensions = {**request.extensions, "sni_hostname": request.url.host}
        for address in addresses:
            url = request.url.copy_with(host=address)
            try:
                return self._inner.handle_request(
                    httpx.Request(request.method, url, headers=request.headers, extensions=extensions)
                )
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise UnavailableError(f"{request.url.host}: it has no address")

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def fetch(url: str, timeout: float = 60, *, is_public: bool = False) -> Fetched:
    """Return what is at a URL. Redirects are followed, because no key is sent.

    timeout: seconds without a byte. is_public: refuse hosts on this machine or a private network, and names
    that only a proxy can look up.
    Raises UnavailableError if the download fails or takes too long, InputError if it is too large or a
    host is refused, ProtocolError if it is compressed, ConfigError for proxies and CAs that cannot be used.
    """
    from time import monotonic

    until, shown, target, cookies = monotonic() + FETCH_TIME, without_password(url), url, httpx.Cookies()
    timeouts, watch = httpx.Timeout(None, connect=min(timeout, FETCH_CONNECT)), Watch()
    options = {"timeout": timeouts, "headers": {"user-agent": USER_AGENT, "accept-encoding": "identity"}}
    try:
        for _ in range(MAX_REDIRECTS + 1):  # each may have another proxy
            watch.open(shown, 0, send=timeout, head=timeout)
            with (
                _client(
                    httpx.Client, target, proxy_of(target), watch, is_public=is_public, cookies=cookies, **options
                ) as client,
                client.stream("GET", target) as response,
            ):
                if response.next_request is None:
                    watch.read(timeout)
                    return _read_page(response, shown, watch, (until, timeout))
                target, cookies = str(response.next_request.url), client.cookies
    except httpx.TimeoutException:
        raise UnavailableError(f"{shown}: no connection within {min(timeout, FETCH_CONNECT):g} s") from None
    except TimedOutError as error:
        late = f"{shown}: not complete after {FETCH_TIME:g} s"
        raise UnavailableError(late if monotonic() >= until else error.message) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{shown}: {_cause(error)}") from None
    raise UnavailableError(f"{shown}: more than {MAX_REDIRECTS} redirects")


def _read_page(response: httpx.Response, shown: str, watch: Watch, limits: tuple[float, float]) -> Fetched:
    from time import monotonic

    until, idle = limits

    if response.status_code != 200:
        raise UnavailableError(f"{shown}: HTTP {response.status_code} {response.reason_phrase}")
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):  # a few bytes of it can stand for gigabytes
        raise ProtocolError(f"{shown}: compressed ({encoding}), which was not asked for")
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > MAX_FILE:
            raise InputError(f"{shown}: larger than {MAX_FILE >> 20} MiB")
        if monotonic() > until:
            raise UnavailableError(f"{shown}: not complete after {FETCH_TIME:g} s")
        watch.read(min(idle, until - monotonic()))
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Fetched(bytes(data), kind, response.charset_encoding or "")
