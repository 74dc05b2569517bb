"""A child process that holds an MCP server: `python -P -m llmtools.tools.mcp SPEC`.

SPEC is `mcp:COMMAND…` (stdio), `mcp+https://…` (streamable HTTP), or the latter with a path
that ends in /sse (the older transport). The official SDK speaks the protocol, of both eras.
What is said to the parent stands in `worker`.

Rules:
* A tool's name is made to fit what vendors take; the server gets its own.
* Texts are the output, images, sounds and blobs attachments; structured content is the output
  where there is no text. An error of the tool, or of the protocol, is an exception.
* What a server writes to stderr is kept for the case that it cannot be started.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
import tempfile

from ..errors import InputError
from ..jsonl import Number, dumps
from .function import Result
from .worker import Channel, serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..types import Attachment

LAST_WORDS = 500
"""How many characters of a server's stderr are told."""


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


def _transport(spec: str, errors: Any) -> Any:
    """Return what the SDK's client connects to. Raises InputError."""
    if spec.startswith("mcp+"):
        url = spec.removeprefix("mcp+")
        if not url.partition("?")[0].endswith("/sse"):
            return url
        from mcp.client.sse import sse_client

        return sse_client(url)
    from mcp import StdioServerParameters, stdio_client

    words = shlex.split(spec.removeprefix("mcp:"))
    if not words:
        raise InputError("mcp: which command?")
    return stdio_client(StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ)), errlog=errors)


async def _tools_of(client: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            return found


def _record(tool: Any) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "tool", "name": fitting(tool.name), **described, "input_schema": tool.input_schema}


async def hold(channel: Channel, spec: str, errors: Any) -> None:
    """Connect to the server and run calls until no more come."""
    from mcp import Client

    async with Client(_transport(spec, errors)) as client:
        tools = await _tools_of(client)
        names = {fitting(tool.name): tool.name for tool in tools}

        async def call(name: str, arguments: dict[str, Any]) -> Result:
            _refuse_inexact(arguments)
            return result_of(await client.call_tool(names[name], arguments))

        await serve(channel, [_record(tool) for tool in tools], call)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the exceptions that a group of them holds."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    return [error]


def main(spec: str) -> None:
    """Hold a server."""
    channel = Channel()
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        try:
            asyncio.run(hold(channel, spec, errors))
        except ModuleNotFoundError as error:
            channel.write({"error": f"{error.name} is not installed: pip install 'llm-pipes[mcp]'"})
        except BaseException as error:
            told = "; ".join(f"{cause}" or type(cause).__name__ for cause in _causes(error))
            errors.seek(0)
            words = " ".join(errors.read().split())[-LAST_WORDS:]
            channel.write({"error": f"{told} ({words})" if words else told})


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)
