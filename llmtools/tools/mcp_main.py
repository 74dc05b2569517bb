"""A child process that is the client of an MCP server: `python -P -m llmtools.tools.mcp_main SPEC`.

SPEC is `mcp:COMMAND…` (stdio), `mcp+https://…` (streamable HTTP), or the latter with a path
that ends in /sse (the older transport). The official SDK speaks the protocol, old and new
versions. `worker_main` describes the lines to and from the parent; `mcp_web` the first line for a
server on the web, and `mcp_replies` what becomes of the server's tools and results.

Rules:
* If the server or the connection ends, this process ends: the next call starts both again. The call
  that was running learns how the server ended.
* The SDK's log is not shown, as it has tracebacks: the call's exception says what went wrong.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from ..errors import InputError
from ..records.jsonl import Number, dumps
from .calls import Result
from .mcp_replies import KEPT, Mender, result_of_reply, tools_of
from .mcp_stdio import StdioServer
from .mcp_web import WebServer
from .process import ToolError
from .worker_main import Channel, serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DATA = 300
"""The most characters of the data of an error."""


def _refuse_inexact(value: Any) -> None:
    if isinstance(value, Number):
        raise InputError(f"{value.text} does not fit into a number that MCP can carry")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_inexact(item)


async def _list_tools(client: Any) -> None:
    """Ask for every page of the list. A cursor that was there before ends it."""
    cursors: set[str] = set()
    cursor = None
    while True:
        cursor = (await client.list_tools(cursor=cursor)).next_cursor
        if not cursor or cursor in cursors:
            return
        cursors.add(cursor)


def _describe(error: Any) -> str:
    """Return the message and the data of an MCPError."""
    data = error.error.data
    return f"{error.error.message}" if data is None else f"{error.error.message}: {_short(data)}"


def _short(data: Any) -> str:
    text = data if isinstance(data, str) else dumps(data).decode()
    return text if len(text) <= MAX_DATA else f"{text[:MAX_DATA]} …"


async def serve_mcp(channel: Channel, spec: str) -> None:
    """Connect to the server and run calls until the input or the connection ends. A failure to
    connect is written as {"error"}. Raises ImportError if the SDK is not installed."""
    from mcp import Client
    from mcp.shared.exceptions import MCPError
    from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST

    # the SDK also reports these when the server has restarted and does not know the session
    lost = (CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST)
    over = asyncio.Event()
    server: StdioServer | WebServer | None = None
    try:
        if spec.startswith("mcp+"):
            server = WebServer(spec.removeprefix("mcp+"), channel)
        else:
            server = StdioServer(spec.removeprefix("mcp:"), over)
        mender = Mender()
        async with Client(mender.transport(server.transport())) as client:
            await _list_tools(client)
            tools, records, notices = tools_of(mender.tools)

            async def run_call(name: str, arguments: dict[str, Any]) -> Result:
                _refuse_inexact(arguments)
                try:
                    answer = await client.call_tool(tools[name]["name"], arguments)
                except MCPError as error:
                    if isinstance(server, WebServer):
                        if error.code in lost:
                            over.set()
                        raise server.refusal() or ToolError(server.mask(_describe(error))) from None
                    if error.code == CONNECTION_CLOSED:
                        raise ToolError(f"the server {await server.describe_end()}") from None
                    raise ToolError(_describe(error)) from None
                return result_of_reply((answer.meta or {}).get(KEPT, {}), tools[name].get("outputSchema"))

            await serve(channel, records, run_call, over, notices)
    except ImportError:
        raise
    except Exception as error:
        channel.write(_failure(error, server))


def _failure(error: Exception, server: StdioServer | WebServer | None) -> dict[str, Any]:
    """Return the line for a connection that failed."""
    refusal = server.refusal() if isinstance(server, WebServer) else None
    if refusal is not None:
        return {"error": refusal.message, "code": refusal.code}
    reasons = "; ".join(f"{cause}" or type(cause).__name__ for cause in _causes(error))
    stderr = " ".join(server.stderr.decode(errors="replace").split()) if isinstance(server, StdioServer) else ""
    reasons = server.mask(reasons) if isinstance(server, WebServer) else reasons
    return {"error": f"{reasons} ({stderr})" if stderr else reasons}


def _causes(error: BaseException) -> list[BaseException]:
    """Return the exceptions of an exception group, at any depth, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    return [error]


def main(spec: str) -> None:
    """Serve the tools of an MCP server."""
    channel = Channel()
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        asyncio.run(serve_mcp(channel, spec))
    except ImportError as error:
        channel.write({"error": f"MCP support is not installed ({error}): pip install 'llm-pipes[mcp]'"})


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)
