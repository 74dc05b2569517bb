"""Ollama native: /api/chat of an Ollama server, NDJSON.

`encode` makes the request; `Decoder` makes events of the response; `error_of` makes an
exception of an error response.

Rules of the request:
* Options are placed by `options`: what the model's sampler takes goes under `options`.
* `stream` is always said: without it a server streams.
* A tool cannot be demanded here: `none` offers no tools, any other choice is a notice.

Facts: wire-protocols.md section 5.
"""

from __future__ import annotations

from ...http.failure import error_of
from ...http.request import HttpRequest
from ...records.jsonl import dumps
from ..builder import overlay
from .messages import Messages
from .reply import Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.conversation import Conversation
    from ...records.types import Record, ToolRecord
    from ..request import Request

    Wire = dict[str, Any]

__all__ = ["Decoder", "encode", "error_of"]

PATH = "/api/chat"

_EFFORTS: dict[str, bool | str] = {"none": False, "minimal": "low", "xhigh": "high"}


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the request that asks for an answer, and a notice for what it cannot say.

    Raises UsageError for more than one answer, InputError for an attachment whose bytes
    were not read and for what nests too deep to be written.
    """
    messages = Messages(request)
    body: Wire = {"model": request.served_name, "messages": messages.encode(conversation.messages)}
    tools = _tools(conversation, request, messages)
    if tools:
        body["tools"] = tools
    if request.schema is not None:
        body["format"] = request.schema
    if request.reasoning is not None:
        body["think"] = _EFFORTS.get(request.reasoning, request.reasoning)
    body = overlay(body, messages.options())
    messages.cannot_cache()
    body["stream"] = request.stream
    accept = "application/x-ndjson" if request.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    return HttpRequest(PATH, dumps(body), headers), list(messages.notices.values())


def _tools(conversation: Conversation, request: Request, messages: Messages) -> list[Wire]:
    choice = request.tool_choice or "auto"
    if choice == "none":
        return []
    if choice != "auto":
        messages.drop("dropped_tool_choice", f"tool choice {choice} was not sent: this protocol has none")
    return messages.offered(conversation.tools.values(), _function)


def _function(tool: ToolRecord) -> Wire:
    function: Wire = {"name": tool["name"]}
    if "description" in tool:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema", {"type": "object", "properties": {}})
    return {"type": "function", "function": function}
