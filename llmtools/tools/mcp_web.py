"""An MCP server on the web, over streamable HTTP or the older SSE transport.

The parent's first line says how we may identify ourselves (see `logins`): headers, a login that is
kept, or `log_in`, which asks the user to log in with a browser. The SDK does OAuth 2.1; a new or
refreshed login goes to the parent, which keeps it.

Rules:
* Without `log_in` nobody is asked, and no client is registered: a server that wants a login is a
  failure that names the command which logs in.
* The browser comes back to a port of 127.0.0.1 that listens for the time of the login.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from ..errors import KeyRefusedError, NoKeyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from ..errors import LlmToolsError
    from .worker_main import Channel

LOGIN_TIMEOUT = 300.0
"""The seconds that the user has to log in."""
TIMEOUT, READ_TIMEOUT = 30.0, 300.0
"""The seconds for a connection, and between two events: the SDK's own."""
MIN_SECRET = 7
"""Shorter secrets are not masked: they are in too many words."""
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
_CONTEXT = {"resource": "protected_resource_metadata", "metadata": "oauth_metadata"}
"""Parts of a login -> the fields of the SDK's context that a refresh needs, and that the SDK forgets."""


class WebServer:
    """A server at a URL. `transport` is for the SDK's client."""

    def __init__(self, url: str, channel: Channel) -> None:
        settings = channel.read() or {}
        self._url = url
        self._channel = channel
        self._headers: dict[str, str] = settings.get("headers", {})
        self._login: dict[str, Any] | None = settings.get("login")
        self._asks = bool(settings.get("log_in"))
        self._status = 0  # of the server's last response
        self._failure: LlmToolsError | None = None  # of a login

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[Any]:
        """Connect inside the context. Gives the streams of messages: (from the server, to it)."""
        import httpx2
        from mcp.client.sse import sse_client
        from mcp.client.streamable_http import streamable_http_client

        from ..http.proxy import proxy_of
        from ..http.transport import USER_AGENT, tls_context
        from .mcp_http import MendingTransport

        context = {"verify": tls_context()} if self._url.startswith("https:") else {}
        async with AsyncExitStack() as stack:
            client = httpx2.AsyncClient(
                transport=MendingTransport(httpx2.AsyncHTTPTransport(proxy=proxy_of(self._url), **context)),
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **self._headers},
                trust_env=False,
                auth=await self._auth(stack),
                timeout=httpx2.Timeout(TIMEOUT, read=READ_TIMEOUT),
                event_hooks={"response": [self._look]},
            )
            if self._url.partition("?")[0].endswith("/sse"):
                make_client: Any = lambda **_: client  # noqa: E731
                streams = sse_client(self._url, httpx_client_factory=make_client)
            else:
                await stack.enter_async_context(client)
                streams = streamable_http_client(self._url, http_client=client)
            yield await stack.enter_async_context(streams)

    async def _look(self, response: Any) -> None:
        if str(response.request.url).partition("?")[0] == self._url.partition("?")[0]:
            self._status = response.status_code

    def refusal(self) -> LlmToolsError | None:
        """Return why the server does not let us in, None if it does."""
        if self._failure is not None:
            return self._failure
        if self._status not in (401, 403) or self._asks:
            return None
        advice = f"llm-tools login mcp+{self._url}"
        if self._login is not None:
            return KeyRefusedError(f"the login is over (HTTP {self._status}): {advice}")
        if "authorization" in map(str.lower, self._headers):
            return KeyRefusedError(f"the server refuses the key (HTTP {self._status})")
        return NoKeyError(
            f"the server wants a login (HTTP {self._status}): {advice}, or name a key in the configuration"
        )

    def mask(self, text: str) -> str:
        """Return a text with *** in the place of our secrets, which a server may repeat."""
        tokens = (self._login or {}).get("tokens", {})
        secrets = [value.split()[-1] for value in self._headers.values() if value.strip()]
        for secret in [*secrets, *(str(tokens[name]) for name in tokens if name.endswith("_token"))]:
            text = text.replace(secret, "***") if len(secret) > MIN_SECRET else text
        return text

    # OAuth

    async def _auth(self, stack: AsyncExitStack) -> Any:
        """Return what logs in at the server, None without a login."""
        if self._login is None and not self._asks:
            return None
        from mcp.client.auth import OAuthClientProvider
        from mcp.shared.auth import OAuthClientMetadata, OAuthMetadata, ProtectedResourceMetadata

        callback = Callback()
        uri = await stack.enter_async_context(callback.listening()) if self._asks else "http://127.0.0.1/callback"
        storage = Storage(self._login or {}, self._channel)
        provider = OAuthClientProvider(
            self._url,
            OAuthClientMetadata.model_validate(
                {"client_name": "llmtools", "redirect_uris": [uri], "token_endpoint_auth_method": "none"}
            ),
            storage,
            self._ask_user if self._asks else self._refuse,
            partial(self._come_back, callback),
        )
        storage.context = provider.context
        if self._login is not None:
            provider.context.token_expiry_time = self._login.get("expires_at")
            provider.context.auth_server_url = self._login.get("auth_server")
            for part, model in (("resource", ProtectedResourceMetadata), ("metadata", OAuthMetadata)):
                if self._login.get(part):
                    setattr(provider.context, _CONTEXT[part], model.model_validate(self._login[part]))
        return provider

    async def _ask_user(self, url: str) -> None:
        import webbrowser

        sys.stderr.write(f"Open this page in a browser to log in:\n{url}\n")
        if sys.platform == "darwin" or any(map(os.environ.get, ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))):
            await asyncio.to_thread(webbrowser.open, url)

    async def _come_back(self, callback: Callback) -> Any:
        try:
            return await callback.result()
        except KeyRefusedError as error:
            self._failure = error
            raise

    async def _refuse(self, url: str) -> None:
        self._failure = KeyRefusedError(f"the login is over: llm-tools login mcp+{self._url}")
        raise self._failure


class Storage:
    """The login of one server, as the SDK reads and writes it. `context`: that of the SDK's provider."""

    def __init__(self, login: dict[str, Any], channel: Channel) -> None:
        self._login = login
        self._channel = channel
        self.context: Any = None

    async def get_tokens(self) -> Any:
        """Return the tokens, None if there are none."""
        from mcp.shared.auth import OAuthToken

        return OAuthToken.model_validate(self._login["tokens"]) if "tokens" in self._login else None

    async def get_client_info(self) -> Any:
        """Return what the server knows us by, None if it does not know us."""
        from mcp.shared.auth import OAuthClientInformationFull

        return OAuthClientInformationFull.model_validate(self._login["client"]) if "client" in self._login else None

    async def set_client_info(self, client_info: Any) -> None:
        """Take what the server knows us by."""
        self._login = {"client": _dump(client_info)}

    async def set_tokens(self, tokens: Any) -> None:
        """Take new tokens, and give the whole login to the parent."""
        expires = {"expires_at": time.time() + tokens.expires_in} if tokens.expires_in else {}
        found = {part: getattr(self.context, name) for part, name in _CONTEXT.items()}
        parts = {part: _dump(model) for part, model in found.items() if model is not None}
        server = {"auth_server": self.context.auth_server_url} if self.context.auth_server_url else {}
        client = {"client": self._login["client"]} if "client" in self._login else {}
        self._login = {**client, "tokens": _dump(tokens), **expires, **parts, **server}
        self._channel.write({"login": self._login})


def _dump(model: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped


class Callback:
    """Waits on 127.0.0.1 for the browser to come back from the page of a login."""

    def __init__(self) -> None:
        self._query: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen inside the context. Gives the URL for the browser."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from urllib.parse import parse_qsl, urlsplit

        words = (await reader.readline()).decode(errors="replace").split()
        query = dict(parse_qsl(urlsplit(words[1]).query)) if len(words) > 1 else {}
        if {"code", "error"} & query.keys() and not self._query.done():
            self._query.set_result(query)
        writer.write(PAGE + b"You can close this page and go back to llm-tools.\n")
        await writer.drain()
        writer.close()

    async def result(self) -> Any:
        """Return what the browser brought. Raises KeyRefusedError if the user or the server refused, or
        after `LOGIN_TIMEOUT`."""
        from mcp.shared.auth import AuthorizationCodeResult

        try:
            query = await asyncio.wait_for(self._query, LOGIN_TIMEOUT)
        except TimeoutError:
            raise KeyRefusedError(f"nobody logged in within {LOGIN_TIMEOUT:g} s") from None
        if "code" not in query:
            raise KeyRefusedError(f"the login was refused: {query.get('error_description') or query['error']}")
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))
