"""What an MCP server says, taken as it comes: its tools and the results of calls. No I/O.

The SDK refuses a whole list of tools for one that is odd, and a whole result for one block. So a
`Mender` stands between the SDK and the server. It keeps the tools and the results as they came, and
gives the SDK a plain form of them; the functions here read what was kept.

Rules:
* One odd tool costs that tool at most: a part of its schema that is not valid is left out, and a
  tool that no model can call is left out. A notice names the tool.
* A tool gets a name that vendors accept, and no other tool has. The server gets the tool's own name.
* Text is the output; images, audio and blobs are attachments. If there is no text, structured
  content is the output. An error of the tool is an exception.
* The text of a result always arrives. What is wrong with the rest is the exception: an image that
  is not base64, structured content that does not fit the tool's outputSchema.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from contextlib import asynccontextmanager

from ..errors import InputError
from ..records.jsonl import dumps
from ..schema import SchemaError, check, valid_part
from .calls import Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from ..records.types import Attachment

KEPT = "llmtools/result"
"""The field of `_meta` in which the SDK hands us a result as it came."""
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?,(.*)", re.DOTALL)
_OTHER_DIGITS = str.maketrans("-_", "+/", " \t\r\n\v\f")


class Mender:
    """Mends what a server sends before the SDK sees it. `tools`: the tools as the server lists them."""

    def __init__(self) -> None:
        self.tools: list[Any] = []
        self._methods: dict[str, str] = {}  # of the requests that have no answer yet, by id

    @asynccontextmanager
    async def transport(self, inner: Any) -> AsyncIterator[Any]:
        """Give the streams of messages of a transport, mended."""
        async with inner as (received, to_send):
            yield _Mended(received, self._answer), _Mended(to_send, self._request)

    def _request(self, item: Any) -> Any:
        message = item.message
        if getattr(message, "id", None) is not None and hasattr(message, "method"):
            self._methods[str(message.id)] = message.method
        return item

    def _answer(self, item: Any) -> Any:
        message: Any = getattr(item, "message", None)
        method = self._methods.pop(str(getattr(message, "id", None)), "")
        mend = {"initialize": _plain_greeting, "tools/list": self._plain_list, "tools/call": _plain_result}.get(method)
        if mend is not None and hasattr(message, "result"):
            item.message = message.model_copy(update={"result": mend(message.result)})
        return item

    def _plain_list(self, result: dict[str, Any]) -> dict[str, Any]:
        tools = result.get("tools")
        tools = tools if isinstance(tools, list) else []
        self.tools += tools
        cursor = {"nextCursor": result["nextCursor"]} if isinstance(result.get("nextCursor"), str) else {}
        rest = {name: value for name, value in result.items() if name != "nextCursor"}
        return {**rest, **cursor, "tools": [_plain_tool(tool) for tool in tools if _server_name(tool)]}


class _Mended:
    """A stream of the SDK whose items go through `change`."""

    def __init__(self, stream: Any, change: Callable[[Any], Any]) -> None:
        self._stream = stream
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def send(self, item: Any) -> None:
        """Change an item, and send it."""
        await self._stream.send(self._change(item))

    async def receive(self) -> Any:
        """Return the next item, changed."""
        return self._change(await self._stream.receive())

    def __aiter__(self) -> _Mended:
        return self

    async def __anext__(self) -> Any:
        return self._change(await self._stream.__anext__())

    async def __aenter__(self) -> _Mended:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)


def _plain_greeting(result: dict[str, Any]) -> dict[str, Any]:
    unnamed = {"name": "", "version": ""}
    info = result.get("serverInfo")
    info = {**unnamed, **info} if isinstance(info, dict) else unnamed
    plain = {name: info[name] if isinstance(info[name], str) else str(info[name]) for name in unnamed}
    instructions = {"instructions": None} if "instructions" in result else {}
    capabilities = result["capabilities"] if isinstance(result.get("capabilities"), dict) else {}
    return {**result, **instructions, "capabilities": capabilities, "serverInfo": plain}


def _plain_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool for the SDK, which wants the headers that modern servers name in `properties`."""
    schema = tool.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    properties = properties if isinstance(properties, dict) else {}
    objects = {name: value for name, value in properties.items() if isinstance(value, dict)}
    return {"name": tool["name"], "inputSchema": {"type": "object", "properties": objects}}


def _plain_result(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("resultType") not in (None, "complete"):  # a question of the server, which the SDK answers
        return result
    return {"content": [], "resultType": "complete", "_meta": {KEPT: result}}


# Tools


def _server_name(tool: Any) -> str:
    """Return the server's name of a tool, "" for one that has none."""
    name = tool.get("name") if isinstance(tool, dict) else None
    return name if isinstance(name, str) else ""


def vendor_name(name: str) -> str:
    """Return the name of a tool in a form that vendors accept."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


def tools_of(listed: list[Any]) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Return the tools that a model can call: as the server lists them, by their new names, and as
    records; and notices about those that were changed or left out."""
    by_name: dict[str, dict[str, Any]] = {}
    records: list[dict[str, Any]] = []
    notices: list[str] = []
    seen: set[str] = set()
    for number, tool in enumerate(listed, 1):
        own_name = _server_name(tool)
        try:
            if not own_name:
                raise InputError(f"tool {number} has no name: it is left out")
            if own_name in seen:
                raise InputError(f"the tool {own_name} is listed again: the first counts")
            schema, problems = _input_schema(tool)
        except InputError as error:
            notices.append(error.message)
            continue
        seen.add(own_name)
        notices += [f"the tool {own_name}: a part of its inputSchema is left out: {problem}" for problem in problems]
        name = _new_name(own_name, by_name)
        by_name[name] = tool
        description = tool.get("description")
        described = {"description": description} if description and isinstance(description, str) else {}
        records.append({"type": "tool", "name": name, **described, "input_schema": schema})
    return by_name, records, notices


def _new_name(own_name: str, taken: dict[str, dict[str, Any]]) -> str:
    name, count = vendor_name(own_name), 1
    while name in taken:
        count += 1
        name = f"{vendor_name(own_name)[:60]}_{count}"
    return name


def _input_schema(tool: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the schema of a tool's arguments, and what was wrong with it. Raises InputError for a
    schema that no arguments fit."""
    schema = tool.get("inputSchema")
    if schema is None:
        return {"type": "object", "properties": {}}, []
    if not isinstance(schema, dict):
        raise InputError(f"the tool {tool['name']} is left out: its inputSchema is not an object")
    try:
        part, problems = valid_part(schema)
    except (InputError, RecursionError) as error:
        reason = error.message if isinstance(error, InputError) else "is too deep"
        raise InputError(f"the tool {tool['name']} is left out: its inputSchema {reason}") from None
    kind = part.get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else [kind]):
        raise InputError(f"the tool {tool['name']} is left out: its inputSchema takes no object")
    return part, problems


# Results


def result_of_reply(reply: dict[str, Any], output_schema: Any = None) -> Result:
    """Return the result for a reply of `tools/call`. output_schema: the `outputSchema` of the tool."""
    texts: list[str] = []
    attachments: list[Attachment] = []
    problems: list[str] = []
    content = reply.get("content")
    for block in content if isinstance(content, list) else [] if content is None else [content]:
        try:
            text, attachment = _read_block(block)
        except InputError as error:
            problems.append(error.message)
            continue
        texts += [] if text is None else [text]
        attachments += [] if attachment is None else [attachment]
    structured = reply.get("structuredContent")
    if not any(texts) and structured is not None:
        texts = [dumps(structured).decode()]
    output = "\n".join(texts)
    if reply.get("isError"):
        return Result(output, "; ".join([output or "the tool failed", *problems]), attachments)
    problems += _misfit(structured, output_schema)
    return Result(output, "; ".join(problems) or None, attachments)


def _read_block(block: Any) -> tuple[str | None, Attachment | None]:
    """Return the text and the attachment of a content block. Raises InputError for a broken one."""
    if not isinstance(block, dict):
        return block if isinstance(block, str) else dumps(block).decode(), None
    kind = block.get("type")
    if kind == "text":
        return _text(block.get("text")), None
    if kind in ("image", "audio"):
        return None, _attachment(kind, block.get("data"), block.get("mimeType"))
    if kind == "resource_link":
        about = f" ({block['description']})" if block.get("description") else ""
        return f"{block.get('name') or 'resource'}: {block.get('uri')}{about}", None
    resource = block.get("resource")
    if kind == "resource" and isinstance(resource, dict):
        if "text" in resource or "blob" not in resource:
            return _text(resource.get("text")), None
        return None, _attachment("resource", resource["blob"], resource.get("mimeType"))
    return f"[a content block of the type {kind} is left out]", None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else dumps(value).decode()


def _attachment(kind: str, data: Any, mime: Any) -> Attachment:
    """Return an attachment from base64 in any usual form: as a data URL, wrapped, unpadded, URL-safe.
    Raises InputError."""
    from ..media_type import media_type

    match = _DATA_URL.match(data) if isinstance(data, str) else None
    digits = match[2] if match else data
    try:
        digits = digits.translate(_OTHER_DIGITS).rstrip("=")
        content = a2b_base64(digits + "=" * (-len(digits) % 4), strict_mode=True)
    except (AttributeError, ValueError, Base64Error):
        raise InputError(f"the {kind} of the result is broken: it is not base64") from None
    if not content:
        raise InputError(f"the {kind} of the result is empty")
    mime = mime or (match[1] if match else None)
    found = media_type(content)
    if kind == "image" and found.startswith("text/"):
        raise InputError("the image of the result is broken: it is text")
    if not isinstance(mime, str) or not mime or (mime.startswith("image/") and found.startswith("image/")):
        mime = found  # vendors refuse an image under the name of another kind
    return {"type": mime, "content": b2a_base64(content, newline=False).decode()}


def _misfit(structured: Any, schema: Any) -> list[str]:
    """Return why structured content does not fit an outputSchema; nothing for a schema that cannot be used."""
    if not isinstance(schema, dict):
        return []
    if structured is None:
        return ["the result has no structured content, which the outputSchema of the tool promises"]
    try:
        check(structured, schema, "structuredContent")
    except SchemaError:
        return []
    except InputError as error:
        return [f"the result does not fit the outputSchema of the tool: {error.message}"]
    return []
