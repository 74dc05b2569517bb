"""OpenAI Chat Completions, the request.

Rules:
* What differs between servers is a quirk. Without quirks a request is as most servers take it.
* Options go to their places (see `options`). An option with the vendor's own name wins over the
  rest of the body.

Quirks: those of `options`, `spec` and `messages`; `no_finish` of `decoder`; `no_stream_options`,
`prompt_cache_key`, `tool_choice_any`, `flat_tools` (no alternatives at the root of a tool's schema);
`json_object` (the server takes no JSON Schema: the request is for JSON, and has the schema in words),
`no_schema` (it cannot be asked for JSON either); for the reasoning `reasoning_object`
({"reasoning": {"effort"}}), `thinking` ({"thinking": {"type"}}), `enable_thinking`,
`chat_template_kwargs`.
"""

from __future__ import annotations

from functools import partial

from ...http.failure import failure_from_response as error_of
from ..builder import function_tool, overlay, schema_name
from ..strict import strict_answer
from .decoder import Decoder
from .messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...http.request import HttpRequest
    from ...records.conversation import Conversation
    from ...records.types import Message, Record, ToolRecord
    from ..json_fields import JsonObject
    from ..request import Request

__all__ = ["Decoder", "encode", "error_of"]

_PATH = "/chat/completions"


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the HTTP request, and a notice for each thing that cannot be sent.

    Raises UsageError if more than one answer is asked for. Raises InputError for an attachment
    whose bytes were not read, and for values that nest too deep to be written.
    """
    messages = Messages(request)
    options = messages.options()
    answer = _response_format(request, messages, conversation.messages)
    body: JsonObject = {"model": request.served_name, "messages": messages.encode(conversation.messages), **answer}
    blocks = messages.tool_blocks(conversation.tools.values(), partial(_function, messages, request.quirks))
    tools = [block for block in blocks if "type" in block]
    if tools:
        body["tools"] = tools
    body.update(messages.top_level(blocks))
    if choice := messages.tool_choice(tools):
        body["tool_choice"] = _tool_choice(choice, request.quirks, tools)
    body.update(_reasoning(request.reasoning, request.quirks, messages))
    if request.cache_prompt and "prompt_cache_key" in request.quirks:
        body["prompt_cache_key"] = messages.cache_key()
    else:
        messages.notice_no_cache()
    body = overlay(body, options)
    if request.stream:
        body["stream"] = True
        option = body.get("stream_options")
        if "no_stream_options" not in request.quirks:
            body["stream_options"] = {"include_usage": True, **(option if isinstance(option, dict) else {})}
    return messages.http_request(_PATH, body)


def _function(messages: Messages, quirks: frozenset[str], tool: ToolRecord) -> JsonObject:
    return function_tool(tool, messages.flat_parameters(tool) if "flat_tools" in quirks else None)


def _tool_choice(choice: str, quirks: frozenset[str], tools: list[JsonObject]) -> str | JsonObject:
    if choice == "required" and "tool_choice_any" in quirks:
        return "any"
    if choice in ("auto", "none", "required"):
        return choice
    customs = [tool["custom"] for tool in tools if isinstance(tool.get("custom"), dict)]
    kind = "custom" if any(custom.get("name") == choice for custom in customs) else "function"
    return {"type": kind, kind: {"name": choice}}


def _response_format(request: Request, messages: Messages, conversation: list[Message]) -> JsonObject:
    is_plain = "no_schema" in request.quirks
    if messages.wants_json(conversation, always_in_words=is_plain):
        return {} if is_plain else {"response_format": {"type": "json_object"}}
    if request.schema is None:
        return {}
    if is_plain:
        messages.ask_for_schema("this provider does not take one")
        return {}
    if "json_object" in request.quirks:
        messages.ask_for_schema("this provider can only be asked for JSON")
        return {"response_format": {"type": "json_object"}}
    schema, obstacle = strict_answer(request.schema)
    json_schema: JsonObject = {"name": schema_name(schema), "schema": schema}
    if obstacle:
        messages.notice_loose_schema(obstacle)
    else:
        json_schema["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": json_schema}}


def _reasoning(effort: str | None, quirks: frozenset[str], messages: Messages) -> JsonObject:
    is_on = effort != "none"
    if "reasoning_object" in quirks:
        hidden = {"exclude": True} if messages.summary() is False else {}
        reasoning = {**({"effort": effort} if effort is not None else {}), **hidden}
        return {"reasoning": reasoning} if reasoning else {}
    if effort is None:
        return {}
    if "enable_thinking" in quirks:
        return {"enable_thinking": is_on}
    if "chat_template_kwargs" in quirks:
        return {"chat_template_kwargs": {"enable_thinking": is_on}}
    if "thinking" in quirks:
        thinking = {"thinking": {"type": "enabled" if is_on else "disabled"}}
        return {**thinking, "reasoning_effort": effort} if is_on else thinking
    return {"reasoning_effort": effort}
