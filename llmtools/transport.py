"""The only file that imports the HTTP client.

Rules:
* No redirects, no compression that was not asked for; the key goes to the endpoint's own
  host and, over plain http, to this machine only (see `providers`).
* A failure is a value: a LlmToolsError that says host and cause, never the key.
* Plain http builds no TLS context. Proxies and CAs come from the usual variables.
"""

from __future__ import annotations

import os

from . import __version__
from .attempt import Opened
from .errors import InputError, LlmToolsError, TimedOutError, TruncatedError, UnavailableError
from .providers import key_header, split_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import httpx

    from .attempt import Open

FETCH_LIMIT = 256 << 20
"""The most that is fetched from a URL, in bytes."""


def _tls(url: str) -> Any:
    import ssl

    import httpx

    if url.startswith("http://") and not any(name.lower() in ("https_proxy", "all_proxy") for name in os.environ):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: the default would load every CA
    return httpx.create_ssl_context()


def _client_options(opening: Open, tls: Any) -> dict[str, Any]:
    import httpx

    limits = opening.limits
    idle = limits.idle if limits.total is None else min(limits.idle, limits.total)
    return {
        "timeout": httpx.Timeout(idle, connect=min(limits.connect, idle)),
        "verify": tls,
        "follow_redirects": False,
        "headers": {"accept-encoding": "identity", "user-agent": f"llmtools/{__version__}"},
    }


def _request_options(opening: Open) -> dict[str, Any]:
    endpoint = opening.endpoint
    headers = {**opening.request.headers, **endpoint.headers}
    if endpoint.key is not None:
        headers.update(key_header(endpoint, endpoint.key.reveal()))
    url = endpoint.base_url + opening.request.path
    return {"method": "POST", "url": url, "content": opening.request.body, "headers": headers}


def _opened(response: httpx.Response) -> Opened:
    return Opened(response.status_code, {name.lower(): value for name, value in response.headers.items()})


def _failure(error: Exception, opening: Open, has_head: bool) -> LlmToolsError:
    """Return what an exception of the client's means."""
    import httpx

    host = split_url(opening.endpoint.base_url)[2]
    if isinstance(error, httpx.ConnectTimeout):
        return UnavailableError(f"{host}: no connection within {opening.limits.connect:g} s", retryable=True)
    if isinstance(error, httpx.TimeoutException):
        silent = opening.limits.idle if opening.limits.total is None else min(opening.limits.idle, opening.limits.total)
        return TimedOutError(f"{host}: nothing came for {silent:g} s", retryable=not has_head)
    cause = str(error) or type(error).__name__
    if has_head:
        return TruncatedError(f"{host}: the connection broke: {cause}", retryable=True)
    return UnavailableError(f"{host}: {cause}", retryable=isinstance(error, (httpx.NetworkError, httpx.ProtocolError)))


class Connection:
    """One conversation over HTTP, blocking. `open` and `read` answer what `attempt` wants."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None
        self._response: httpx.Response | None = None
        self._opening: Any = None
        self._bytes: Any = None

    def open(self, opening: Open) -> Opened | LlmToolsError:
        """Send a request; return the head of the answer."""
        import httpx

        self._release()
        self._opening = opening
        try:
            if self._client is None:
                self._client = httpx.Client(**_client_options(opening, _tls(opening.endpoint.base_url)))
            request = self._client.build_request(**_request_options(opening))
            self._response = self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _failure(error, opening, has_head=False)
        self._bytes = self._response.iter_raw()
        return _opened(self._response)

    def read(self) -> bytes | LlmToolsError:
        """Return the next bytes of the answer, b"" at its end."""
        import httpx

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
        import httpx

        await self._release()
        self._opening = opening
        try:
            if self._client is None:
                self._client = httpx.AsyncClient(**_client_options(opening, _tls(opening.endpoint.base_url)))
            request = self._client.build_request(**_request_options(opening))
            self._response = await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _failure(error, opening, has_head=False)
        self._bytes = self._response.aiter_raw()
        return _opened(self._response)

    async def read(self) -> bytes | LlmToolsError:
        """Return the next bytes of the answer, b"" at its end."""
        import httpx

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


async def async_sleep(seconds: float) -> None:
    """Wait, in asyncio."""
    from asyncio import sleep

    await sleep(seconds)


def fetch(url: str, timeout: float = 60) -> bytes:
    """Return what a URL holds. Redirects are followed, as for any download without a key.

    Raises UnavailableError where it cannot be had, InputError where it is too large.
    """
    import httpx

    data = bytearray()
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as response:
            if response.status_code != 200:
                raise UnavailableError(f"{url}: HTTP {response.status_code} {response.reason_phrase}")
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > FETCH_LIMIT:
                    raise InputError(f"{url}: larger than {FETCH_LIMIT >> 20} MiB")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{url}: {str(error) or type(error).__name__}") from None
    return bytes(data)
