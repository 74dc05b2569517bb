"""Gemini Interactions, the request.

Rules:
* The vendor stores nothing: `store` is false, and the whole conversation is sent. The options
  `store` and `previous_interaction_id` ask for something else.
* Options go to their places (see `options`), most of them into generation_config, and are laid
  over the rest of the body. An option that is null removes the field.
* Reasoning is a level. Summaries of the thoughts are always asked for.
* A schema is the format of the text. A tool that makes images adds their format.
* The request names the revision of the protocol that this is written for.

Quirks: `unreasoning` (the model does not reason, and cannot be asked for thoughts).
"""

from __future__ import annotations

from ...http.failure import failure_from_response as error_of
from ..builder import name_and_description, overlay
from ..schemas import google_schema, parameters_of
from .decoder import Decoder
from .messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...http.request import HttpRequest
    from ...records.conversation import Conversation
    from ...records.types import Record, ToolRecord
    from ..json_fields import JsonObject
    from ..request import Request

__all__ = ["Decoder", "encode", "error_of"]

_PATH = "/interactions"
_HEADERS = {"api-revision": "2026-05-20"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_LEVELS = {"none": "minimal", "max": "xhigh"}


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the HTTP request, and a notice for each thing that cannot be sent.

    Raises UsageError if more than one answer is asked for, or if the last message is the model's
    own. Raises InputError for an attachment whose bytes were not read, and for values that nest
    too deep to be written.
    """
    messages = Messages(request)
    options = messages.options()
    is_json = messages.wants_json(conversation.messages)
    steps = messages.encode(conversation.messages)
    body: JsonObject = {"model": request.served_name.removeprefix("models/"), "input": steps, "store": False}
    if messages.system:
        body["system_instruction"] = "\n\n".join(messages.system)
    blocks = messages.tool_blocks(conversation.tools.values(), _function)
    tools = [block for block in blocks if "type" in block]
    body.update(messages.top_level(blocks))
    if tools:
        body["tools"] = tools
    if is_json or request.schema is not None:
        body["response_format"] = _with_json(body.get("response_format"), request.schema)
    generation = _generation(request, messages.tool_choice(tools), messages)
    if generation:
        body["generation_config"] = generation
    messages.notice_no_cache()
    body = overlay(body, _continuation(messages))
    body = {name: value for name, value in overlay(body, options).items() if value is not None}
    if request.stream:
        body["stream"] = True
    return messages.http_request(_PATH, body, dict(_HEADERS))


def _function(tool: ToolRecord) -> JsonObject:
    return {"type": "function", **name_and_description(tool), "parameters": google_schema(parameters_of(tool))}


def _with_json(formats: Any, schema: JsonObject | None) -> Any:
    """Return the formats of the answer, of which the text is JSON, with a schema if there is one."""
    text: JsonObject = {"type": "text", "mime_type": "application/json"}
    if schema is not None:
        text["schema"] = google_schema(schema)
    if not isinstance(formats, list):
        return text
    return [text if item == {"type": "text"} else item for item in formats]


def _generation(request: Request, choice: str | None, messages: Messages) -> JsonObject:
    generation: JsonObject = {}
    if request.reasoning is not None:
        if request.reasoning == "none":
            messages.notice("changed_reasoning", "reasoning none was sent as minimal: this model always reasons")
        generation["thinking_level"] = _LEVELS.get(request.reasoning, request.reasoning)
    summary = messages.summary()
    is_shown = request.reasoning != "none" and "unreasoning" not in request.quirks
    if summary or (summary is None and is_shown):
        generation["thinking_summaries"] = summary or "auto"
    if choice is not None:
        allowed = {"allowed_tools": {"mode": "any", "tools": [choice]}}
        generation["tool_choice"] = _CHOICES.get(choice, allowed)
    return generation


def _continuation(messages: Messages) -> JsonObject:
    """Return the fields that continue a reply that paused."""
    if not messages.token:
        return {}
    stored = {"previous_interaction_id": messages.previous, "input": None} if messages.previous else {}
    return {"continuation_token": messages.token, **stored}
