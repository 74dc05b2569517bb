"""A child process that holds an MCP server: `python -P -m llmtools.tools.mcp_main SPEC`.

SPEC is `mcp:COMMAND…` (stdio), `mcp+https://…` (streamable HTTP), or the latter with a path
that ends in /sse (the older transport). The official SDK speaks the protocol, of both eras;
what is said to the parent stands in `worker`.

Rules:
* A tool's name is made to fit what vendors take; the server gets its own.
* Texts are the output, images, sounds and blobs attachments; structured content is the output
  where there is no text. An error of the tool, or of the protocol, is an exception.
* A server on stdio stays in this process's group (the SDK's own start of it would not), so
  that whoever ends the group ends it too. Of what it writes to stderr the end is kept, for the
  case that it cannot be asked.
* Where the server ends, or the connection to it does, this process ends: the next call starts both again.
* What the SDK logs, tracebacks among it, is not shown: a call says what went wrong.
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

LAST_WORDS = 500
"""How many bytes of a server's stderr are told."""
PATIENCE = 1.0
"""Seconds for which a server whose stdin is closed may take its leave."""
LONGEST = 1 << 28
"""The most bytes of a line of a server's."""


def fitting(name: str) -> str:
    """Return a tool's name as vendors take it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "tool"


def _refuse_inexact(value: Any) -> None:
    if isinstance(value, Number):
        raise InputError(f"{value.text} does not fit into a number that MCP can carry")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_inexact(item)


def result_of(said: Any) -> Result:
    """Return the result that an MCP result says (`CallToolResult` of the SDK)."""
    texts: list[str] = []
    attachments: list[Attachment] = []
    for block in said.content:
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
    if not texts and said.structured_content is not None:
        texts = [dumps(said.structured_content).decode()]
    output = "\n".join(texts)
    return Result(output, (output or "the tool failed") if said.is_error else None, attachments)


class Server:
    """A server of our own on stdio; `transport` is what the SDK's client connects to."""

    def __init__(self, command: str, over: asyncio.Event) -> None:
        words = shlex.split(command)
        found = shutil.which(words[0]) if words else None
        if found is None:
            raise InputError(f"{words[0]}: no such command" if words else "mcp: which command?")
        self._argv = [os.path.abspath(found), *words[1:]]
        self.last_words = b""
        self._over = over

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[Any]:
        """Run the server while this is open; give its two streams of messages."""
        import anyio

        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*self._argv, stdin=pipe, stdout=pipe, stderr=pipe, limit=LONGEST)
        heard, to_client = anyio.create_memory_object_stream[object](0)
        from_client, said = anyio.create_memory_object_stream[object](0)
        tasks = [
            asyncio.create_task(self._listen(process.stdout, heard)),
            asyncio.create_task(self._feed(process.stdin, said)),
            asyncio.create_task(self._keep(process.stderr)),
        ]
        try:
            yield to_client, from_client
        finally:
            for stream in (heard, to_client, from_client, said):
                stream.close()
            if process.stdin is not None:
                process.stdin.close()
            await _gone(process)
            for task in tasks:
                task.cancel()

    async def _listen(self, pipe: Any, heard: Any) -> None:
        import anyio
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ValueError):
            async for line in pipe:
                try:
                    message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
                except ValueError as error:  # a banner, or another line that is no message
                    await heard.send(error)
                else:
                    await heard.send(message)
        self._over.set()
        heard.close()  # whoever waits for an answer is told

    async def _feed(self, pipe: Any, said: Any) -> None:
        import anyio

        with suppress(anyio.ClosedResourceError):
            async for message in said:
                pipe.write(message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                try:
                    await pipe.drain()
                except OSError:  # it takes no more, and will answer no more
                    self._over.set()

    async def _keep(self, pipe: Any) -> None:
        while data := await pipe.read(1 << 16):
            self.last_words = (self.last_words + data)[-LAST_WORDS:]


async def _gone(process: asyncio.subprocess.Process) -> None:
    """See a server out, whose stdin is closed."""
    for end in (process.terminate, process.kill):
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), PATIENCE)
            return
        with suppress(ProcessLookupError):
            end()


async def _tools_of(client: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            return found


def _named(tools: list[Any]) -> dict[str, Any]:
    """Return the tools by names that vendors take, each its own."""
    found: dict[str, Any] = {}
    for tool in tools:
        name, count = fitting(tool.name), 1
        while name in found:
            count += 1
            name = f"{fitting(tool.name)[:60]}_{count}"
        found[name] = tool
    return found


def _record(name: str, tool: Any) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "tool", "name": name, **described, "input_schema": tool.input_schema}


def _web(url: str) -> Any:
    """Return what the SDK's client connects to for a URL."""
    if not url.partition("?")[0].endswith("/sse"):
        return url
    from mcp.client.sse import sse_client

    return sse_client(url)


async def hold(channel: Channel, spec: str) -> None:
    """Connect to the server and run calls until no more come."""
    from mcp import Client
    from mcp.shared.exceptions import MCPError
    from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST

    lost = (CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST)  # what the SDK says of a server that began anew, too
    server: Server | None = None
    over = asyncio.Event()
    try:
        if spec.startswith("mcp+"):
            transport = _web(spec.removeprefix("mcp+"))
        else:
            server = Server(spec.removeprefix("mcp:"), over)
            transport = server.transport()
        async with Client(transport) as client:
            tools = _named(await _tools_of(client))

            async def call(name: str, arguments: dict[str, Any]) -> Result:
                _refuse_inexact(arguments)
                try:
                    return result_of(await client.call_tool(tools[name].name, arguments))
                except MCPError as error:
                    if server is None and error.code in lost:
                        over.set()
                    raise

            records = [_record(name, tool) for name, tool in tools.items()]
            await serve(channel, records, call, over)
    except ImportError:
        raise
    except Exception as error:
        words = " ".join(server.last_words.decode(errors="replace").split()) if server is not None else ""
        told = "; ".join(f"{cause}" or type(cause).__name__ for cause in _causes(error))
        channel.write({"error": f"{told} ({words})" if words else told})


def _causes(error: BaseException) -> list[BaseException]:
    """Return the exceptions that a group of them holds."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    return [error]


def main(spec: str) -> None:
    """Hold a server."""
    channel = Channel()
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        asyncio.run(hold(channel, spec))
    except ImportError as error:
        channel.write({"error": f"MCP is not here ({error}): pip install 'llm-pipes[mcp]'"})


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)
