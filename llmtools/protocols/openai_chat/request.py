"""OpenAI Chat Completions: the protocol of OpenAI and of most other servers.

`encode` makes the request; `Decoder` makes events of the response; `error_of` makes an
exception of an error response.

Rules of the request:
* What is said of a server by name is a quirk; without one it is asked as most are.
* Options are placed by `options`; one of the vendor's own name wins over what stands here.

Quirks of the request: those of `options` and `server_tools`, `no_stream_options`,
`prompt_cache_key`, `tool_choice_any`, `json_object` (no JSON Schema), `no_schema`; for the reasoning:
`reasoning_object` ({"reasoning": {"effort"}}), `thinking` ({"thinking": {"type"}}),
`enable_thinking`, `chat_template_kwargs`. Those of the messages stand in
`openai_chat_messages`, `no_finish` in `openai_chat_decode`.

Facts: wire-protocols.md section 1.
"""

from __future__ import annotations

import re

from ...http.failure import error_of
from ...http.request import HttpRequest
from ...records.jsonl import dumps
from ...schema import is_strict
from ..builder import overlay
from .decoder import Decoder
from .messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.conversation import Conversation
    from ...records.types import Record, ToolRecord
    from ..request import Request

    Wire = dict[str, Any]

__all__ = ["Decoder", "encode", "error_of"]

PATH = "/chat/completions"


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the request that asks for an answer, and a notice for what it cannot say.

    Raises UsageError for more than one answer, InputError for an attachment whose bytes
    were not read and for what nests too deep to be written.
    """
    messages = Messages(request)
    options = messages.options()
    body: Wire = {"model": request.served_name, "messages": messages.encode(conversation.messages)}
    offered = messages.offered(conversation.tools.values(), _function)
    tools = [block for block in offered if "type" in block]
    if tools:
        body["tools"] = tools
    for block in offered:
        body.update({} if "type" in block else block)
    if choice := messages.choice(tools):
        body["tool_choice"] = _tool_choice(choice, request.quirks, tools)
    if request.schema is not None:
        body.update(_response_format(request.schema, request.quirks, messages))
    if request.reasoning is not None:
        body.update(_reasoning(request.reasoning, request.quirks))
    if request.cache_prompt and "prompt_cache_key" in request.quirks:
        body["prompt_cache_key"] = messages.cache_key()
    else:
        messages.cannot_cache()
    body = overlay(body, options)
    if request.stream:
        body["stream"] = True
        asked = body.get("stream_options")
        if "no_stream_options" not in request.quirks:
            body["stream_options"] = {"include_usage": True, **(asked if isinstance(asked, dict) else {})}
    accept = "text/event-stream" if request.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    return HttpRequest(PATH, dumps(body), headers), list(messages.notices.values())


def _function(tool: ToolRecord) -> Wire:
    function: Wire = {"name": tool["name"]}
    if "description" in tool:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema", {"type": "object", "properties": {}})
    return {"type": "function", "function": function}


def _tool_choice(choice: str, quirks: frozenset[str], tools: list[Wire]) -> str | Wire:
    if choice == "required" and "tool_choice_any" in quirks:
        return "any"
    if choice in ("auto", "none", "required"):
        return choice
    customs = [tool["custom"] for tool in tools if isinstance(tool.get("custom"), dict)]
    kind = "custom" if any(custom.get("name") == choice for custom in customs) else "function"
    return {"type": kind, kind: {"name": choice}}


def _response_format(schema: Wire, quirks: frozenset[str], messages: Messages) -> Wire:
    if "no_schema" in quirks:
        messages.drop("dropped_schema", "the schema was not sent: this provider takes none")
        return {}
    if "json_object" in quirks:
        messages.drop("dropped_schema", "the schema was not sent: this provider is only told to answer in JSON")
        return {"response_format": {"type": "json_object"}}
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title", ""))).strip("_")[:64]
    named: Wire = {"name": name or "answer", "schema": schema}
    if is_strict(schema):
        named["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _reasoning(effort: str, quirks: frozenset[str]) -> Wire:
    is_on = effort != "none"
    if "reasoning_object" in quirks:
        return {"reasoning": {"effort": effort}}
    if "enable_thinking" in quirks:
        return {"enable_thinking": is_on}
    if "chat_template_kwargs" in quirks:
        return {"chat_template_kwargs": {"enable_thinking": is_on}}
    if "thinking" in quirks:
        thinking = {"thinking": {"type": "enabled" if is_on else "disabled"}}
        return {**thinking, "reasoning_effort": effort} if is_on else thinking
    return {"reasoning_effort": effort}
