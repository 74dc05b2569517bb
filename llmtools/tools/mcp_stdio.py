"""An MCP server that we start, on stdio.

Rules:
* The server stays in the process group of this process (the SDK would start another), so that
  ending the group ends the server too. The end of its stderr is kept for messages.
* A line is a message. What is not quite one is mended: bytes that are not UTF-8 and half surrogates
  become U+FFFD, NaN becomes null, JSON may go over several lines. Other lines, such as a banner, are
  skipped. A call never waits for an answer that came in a wrong form.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
from contextlib import asynccontextmanager, suppress

from ..errors import InputError
from ..records.jsonl import loads
from .process import describe_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

MAX_STDERR = 500
"""How many bytes of a server's stderr, the last ones, an error message has."""
EXIT_TIMEOUT = 1.0
"""The seconds that a server has to end by itself after its stdin was closed, and again after SIGTERM."""
STATUS_TIMEOUT = 0.5
"""The seconds that we wait for the status of a server that has closed its stdout."""
MAX_LINE = 1 << 28
"""The most bytes of a line that a server writes."""
_ID = re.compile(rb'"id"\s*:\s*(\d+)')
_INTERNAL_ERROR = -32603


class StdioServer:
    """A server that we start, on stdio. `transport` is for the SDK's client; `stderr` is the end of
    the server's stderr; `over` is set when the server ends. Raises InputError for an unknown command."""

    def __init__(self, command: str, over: asyncio.Event) -> None:
        words = shlex.split(command)
        program = shutil.which(words[0]) if words else None
        if program is None:
            raise InputError(f"{words[0]}: no such command" if words else "mcp: a command is missing")
        self._argv = [os.path.abspath(program), *words[1:]]
        self._process: asyncio.subprocess.Process | None = None
        self._errors: asyncio.Task[None] | None = None
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
        self._process = process
        self._errors = asyncio.create_task(self._read_stderr(process.stderr))
        tasks = [
            asyncio.create_task(self._read_messages(process.stdout, received)),
            asyncio.create_task(self._write_messages(process.stdin, to_send)),
            self._errors,
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

    async def describe_end(self) -> str:
        """Return how the server ended, with the last line of its stderr."""
        if self._process is None or self._errors is None:
            return "did not start"
        how = "closed its stdout"
        with suppress(TimeoutError):
            how = describe_status(await asyncio.wait_for(self._process.wait(), STATUS_TIMEOUT))
        await asyncio.wait([self._errors], timeout=STATUS_TIMEOUT / 2)  # a child of the server may hold it open
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return f"{how}: {lines[-1].strip()}" if lines else how

    async def _read_messages(self, pipe: Any, received: Any) -> None:
        import anyio
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        reader = MessageReader()
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ValueError):
            async for line in pipe:
                for value in reader.feed(line):
                    try:
                        message = SessionMessage(jsonrpc_message_adapter.validate_python(value, by_name=False))
                    except ValueError as error:
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


class MessageReader:
    """Reads the messages in the lines that a server writes."""

    def __init__(self) -> None:
        self._begun = b""  # the lines of a message that is not complete

    def feed(self, line: bytes) -> list[dict[str, Any]]:
        """Take a line; return the messages that it is, or that it completes."""
        messages = messages_of(line)
        if messages:
            messages, self._begun = [*_failed_answer(self._begun), *messages], b""
        elif line.startswith(b"{"):
            messages, self._begun = _failed_answer(self._begun), line
        elif self._begun:
            self._begun += line
            if line.startswith(b"}") or (line.rstrip().endswith(b"}") and not line[:1].isspace()):
                messages = messages_of(self._begun)
                self._begun = b"" if messages or len(self._begun) > MAX_LINE else self._begun
        return messages


def messages_of(text: bytes) -> list[dict[str, Any]]:
    """Return the messages of JSON-RPC in a text, mended; none in a text that is something else."""
    try:
        value = loads(text)
    except InputError:
        try:
            value = _mend_value(json.loads(text.decode(errors="replace"), strict=False))
        except (ValueError, RecursionError):
            return []
    values = value if isinstance(value, list) else [value]
    return [_mend_message(each) for each in values if isinstance(each, dict) and _is_message(each)]


def _is_message(value: dict[str, Any]) -> bool:
    return "method" in value or ("id" in value and not {"jsonrpc", "result", "error"}.isdisjoint(value))


def _mend_value(value: Any) -> Any:
    """Return a JSON value without half surrogates and without numbers that JSON does not have."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {_mend_value(name): _mend_value(item) for name, item in value.items()}
    return [_mend_value(item) for item in value] if isinstance(value, list) else value


def _mend_message(value: dict[str, Any]) -> dict[str, Any]:
    message = {**value, "jsonrpc": "2.0"}
    if "method" in message:
        return message
    error = message.pop("error", None)
    if error is None and "result" in message:
        result = message["result"]
        return message if isinstance(result, dict) else {**message, "result": {"content": result}}
    message.pop("result", None)
    return {**message, "error": _mend_error(error)}


def _mend_error(error: Any) -> dict[str, Any]:
    fields = error if isinstance(error, dict) else {}
    code, text = fields.get("code"), fields.get("message")
    if not isinstance(text, str):
        text = "the answer of the server has neither a result nor an error" if error is None else str(error)
    return {**fields, "code": code if type(code) is int else _INTERNAL_ERROR, "message": text}


def _failed_answer(text: bytes) -> list[dict[str, Any]]:
    """Return an error in the place of an answer that is not JSON, if it is known which request it answers."""
    match = _ID.search(text)
    error = {"code": _INTERNAL_ERROR, "message": "the answer of the server is not JSON"}
    return [{"jsonrpc": "2.0", "id": int(match[1]), "error": error}] if match else []
