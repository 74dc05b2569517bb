"""A child process that is the client of an MCP server: `python -P -m llmtools.tools.mcp_main SPEC`.

SPEC is `mcp:COMMAND…` (stdio), `mcp+https://…` (streamable HTTP), or the latter with a path
that ends in /sse (the older transport). The official SDK speaks the protocol, old and new
versions. `worker_main` describes the lines to and from the parent.

Rules:
* A tool gets a name that vendors accept. The server gets the tool's own name.
* Text is the output; images, audio and blobs are attachments. If there is no text, structured
  content is the output. An error of the tool or of the protocol is an exception.
* A server on stdio stays in the process group of this process (the SDK would start another), so
  that ending the group ends the server too. The end of its stderr is kept, for the message if
  the connection fails.
* If the server or the connection ends, this process ends: the next call starts both again.
* The SDK's log is not shown, as it has tracebacks: the call's exception says what went wrong.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import shutil
import sys
from contextlib import asynccontextmanager, suppress

from ..errors import InputError
from ..records.jsonl import Number, dumps
from .calls import Result
from .worker_main import Channel, serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from ..records.types import Attachment

MAX_STDERR = 500
"""How many bytes of a server's stderr, the last ones, an error message has."""
EXIT_TIMEOUT = 1.0
"""The seconds that a server has to end by itself after its stdin was closed, and again after SIGTERM."""
MAX_LINE = 1 << 28
"""The most bytes of a line that a server writes."""


def vendor_name(name: str) -> str:
    """Return the name of a tool in a form that vendors accept."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "tool"


def _refuse_inexact(value: Any) -> None:
    if isinstance(value, Number):
        raise InputError(f"{value.text} does not fit into a number that MCP can carry")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_inexact(item)


def mcp_result(answer: Any) -> Result:
    """Return the result for a `CallToolResult` of the SDK."""
    texts: list[str] = []
    attachments: list[Attachment] = []
    for block in answer.content:
        kind, resource = block.type, getattr(block, "resource", None)
        if kind == "text":
            texts.append(block.text)
        elif kind in ("image", "audio"):
            attachments.append({"type": block.mime_type, "content": block.data})
        elif kind == "resource_link":
            texts.append(f"{block.name}: {block.uri}")
        elif resource is not None and hasattr(resource, "text"):
            texts.append(resource.text)
        elif resource is not None:
            attachments.append({"type": resource.mime_type or "application/octet-stream", "content": resource.blob})
    if not texts and answer.structured_content is not None:
        texts = [dumps(answer.structured_content).decode()]
    output = "\n".join(texts)
    return Result(output, (output or "the tool failed") if answer.is_error else None, attachments)


class StdioServer:
    """A server that we start, on stdio. `transport` is for the SDK's client; `stderr` is the end of
    the server's stderr; `over` is set when the server ends. Raises InputError for an unknown command."""

    def __init__(self, command: str, over: asyncio.Event) -> None:
        words = shlex.split(command)
        program = shutil.which(words[0]) if words else None
        if program is None:
            raise InputError(f"{words[0]}: no such command" if words else "mcp: a command is missing")
        self._argv = [os.path.abspath(program), *words[1:]]
        self.stderr = b""
        self._over = over

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[Any]:
        """Run the server inside the context. Gives the streams of messages: (from the server, to it)."""
        import anyio

        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._argv, stdin=pipe, stdout=pipe, stderr=pipe, limit=MAX_LINE
        )
        received, to_client = anyio.create_memory_object_stream[object](0)
        from_client, to_send = anyio.create_memory_object_stream[object](0)
        tasks = [
            asyncio.create_task(self._read_messages(process.stdout, received)),
            asyncio.create_task(self._write_messages(process.stdin, to_send)),
            asyncio.create_task(self._read_stderr(process.stderr)),
        ]
        try:
            yield to_client, from_client
        finally:
            for stream in (received, to_client, from_client, to_send):
                stream.close()
            if process.stdin is not None:
                process.stdin.close()
            await _end_server(process)
            for task in tasks:
                task.cancel()

    async def _read_messages(self, pipe: Any, received: Any) -> None:
        import anyio
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ValueError):
            async for line in pipe:
                try:
                    message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
                except ValueError as error:  # a banner, or another line that is not a message
                    await received.send(error)
                else:
                    await received.send(message)
        self._over.set()
        received.close()  # fails the calls that wait for an answer

    async def _write_messages(self, pipe: Any, to_send: Any) -> None:
        import anyio

        with suppress(anyio.ClosedResourceError):
            async for message in to_send:
                pipe.write(message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                try:
                    await pipe.drain()
                except OSError:  # a server that does not read will not answer either
                    self._over.set()

    async def _read_stderr(self, pipe: Any) -> None:
        while data := await pipe.read(1 << 16):
            self.stderr = (self.stderr + data)[-MAX_STDERR:]


async def _end_server(process: asyncio.subprocess.Process) -> None:
    """Wait until a server whose stdin is closed has ended; else SIGTERM, then SIGKILL."""
    for end in (process.terminate, process.kill):
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), EXIT_TIMEOUT)
            return
        with suppress(ProcessLookupError):
            end()


async def _list_tools(client: Any) -> list[Any]:
    tools, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if not cursor:
            return tools


def _tools_by_name(tools: list[Any]) -> dict[str, Any]:
    """Return the tools by distinct names that vendors accept."""
    by_name: dict[str, Any] = {}
    for tool in tools:
        name, count = vendor_name(tool.name), 1
        while name in by_name:
            count += 1
            name = f"{vendor_name(tool.name)[:60]}_{count}"
        by_name[name] = tool
    return by_name


def _tool_record(name: str, tool: Any) -> dict[str, Any]:
    description = {"description": tool.description} if tool.description else {}
    return {"type": "tool", "name": name, **description, "input_schema": tool.input_schema}


def _web_transport(url: str) -> Any:
    """Return the transport of a URL for the SDK's client: the URL itself for streamable HTTP."""
    if not url.partition("?")[0].endswith("/sse"):
        return url
    from mcp.client.sse import sse_client

    return sse_client(url)


async def serve_mcp(channel: Channel, spec: str) -> None:
    """Connect to the server and run calls until the input or the connection ends. A failure to
    connect is written as {"error"}. Raises ImportError if the SDK is not installed."""
    from mcp import Client
    from mcp.shared.exceptions import MCPError
    from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST

    # the SDK also reports these when the server has restarted and does not know the session
    lost = (CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST)
    server: StdioServer | None = None
    over = asyncio.Event()
    try:
        if spec.startswith("mcp+"):
            transport = _web_transport(spec.removeprefix("mcp+"))
        else:
            server = StdioServer(spec.removeprefix("mcp:"), over)
            transport = server.transport()
        async with Client(transport) as client:
            tools = _tools_by_name(await _list_tools(client))

            async def run_call(name: str, arguments: dict[str, Any]) -> Result:
                _refuse_inexact(arguments)
                try:
                    return mcp_result(await client.call_tool(tools[name].name, arguments))
                except MCPError as error:
                    if server is None and error.code in lost:
                        over.set()
                    raise

            records = [_tool_record(name, tool) for name, tool in tools.items()]
            await serve(channel, records, run_call, over)
    except ImportError:
        raise
    except Exception as error:
        stderr = " ".join(server.stderr.decode(errors="replace").split()) if server is not None else ""
        reasons = "; ".join(f"{cause}" or type(cause).__name__ for cause in _causes(error))
        channel.write({"error": f"{reasons} ({stderr})" if stderr else reasons})


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
