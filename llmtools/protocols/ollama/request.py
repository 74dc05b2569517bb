"""Ollama, the request.

Rules:
* Options go to their places (see `options`): those of the model's sampler into `options`.
* `stream` is always sent: without it a server streams.
* A tool call cannot be demanded here. Choice `none` offers no tools; any other is a notice.
"""

from __future__ import annotations

from ...http.failure import failure_from_response as error_of
from ..builder import function_tool, overlay
from .decoder import Decoder
from .messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...http.request import HttpRequest
    from ...records.conversation import Conversation
    from ...records.types import Record
    from ..json_fields import JsonObject
    from ..request import Request

__all__ = ["Decoder", "encode", "error_of"]

_PATH = "/api/chat"

_EFFORTS: dict[str, bool | str] = {"none": False, "minimal": "low", "xhigh": "high"}


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the HTTP request, and a notice for each thing that cannot be sent.

    Raises UsageError if more than one answer is asked for. Raises InputError for an attachment
    whose bytes were not read, and for values that nest too deep to be written.
    """
    messages = Messages(request)
    form: Any = "json" if messages.wants_json(conversation.messages) else request.schema
    body: JsonObject = {"model": request.served_name, "messages": messages.encode(conversation.messages)}
    tools = _tools(conversation, request, messages)
    if tools:
        body["tools"] = tools
    if form is not None:
        body["format"] = form
    if request.reasoning is not None:
        body["think"] = _EFFORTS.get(request.reasoning, request.reasoning)
    body = overlay(body, messages.options())
    messages.notice_no_cache()
    body["stream"] = request.stream
    return messages.http_request(_PATH, body, stream="application/x-ndjson")


def _tools(conversation: Conversation, request: Request, messages: Messages) -> list[JsonObject]:
    choice = request.tool_choice or "auto"
    if choice == "none":
        return []
    if choice != "auto":
        messages.notice("dropped_tool_choice", f"tool choice {choice} was not sent: this protocol has none")
    return messages.tool_blocks(conversation.tools.values(), function_tool)
