"""OpenAI Chat Completions: the protocol of OpenAI and of most other servers.

`encode` makes the request; `Decoder` makes events of the response; `error_of` makes an
exception of an error response.

Rules of the request:
* What is said of a server by name is a quirk; without one it is asked as most are.
* Options go as they are, but for `max_tokens`, `seed` and `stop`; an option of the vendor's
  own name wins over what stands here for it.

Quirks of the request: `max_completion_tokens`, `random_seed`, `no_stream_options`,
`tool_choice_any`, `json_object` (no JSON Schema), `no_schema`; for the reasoning:
`reasoning_object` ({"reasoning": {"effort"}}), `thinking` ({"thinking": {"type"}}),
`enable_thinking`, `chat_template_kwargs`. Those of the messages stand in
`openai_chat_messages`, `no_finish` in `openai_chat_decode`.

Facts: wire-protocols.md section 1.
"""

from __future__ import annotations

import re

from ..errors import UsageError
from ..failure import error_of
from ..jsonl import dumps
from ..request import HttpRequest
from ..wire import overlay
from .openai_chat_decode import Decoder
from .openai_chat_messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..conversation import Conversation
    from ..request import Request
    from ..types import Record, ToolRecord

    Wire = dict[str, Any]

__all__ = ["Decoder", "encode", "error_of"]

PATH = "/chat/completions"


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the request that asks for an answer, and a notice for what it cannot say.

    Raises UsageError for more than one answer, InputError for an attachment whose bytes
    were not read and for what nests too deep to be written.
    """
    if request.options.get("n", 1) not in (1, "1"):
        raise UsageError("-o n: only one answer can be asked for")
    messages = Messages(request)
    body: Wire = {"model": request.served_name, "messages": messages.encode(conversation.messages)}
    tools = _tools(conversation, request.issuer, messages)
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request, tools)
    if request.schema is not None:
        body.update(_response_format(request.schema, request.quirks, messages))
    if request.reasoning is not None:
        body.update(_reasoning(request.reasoning, request.quirks))
    body.update(_options(request))
    if request.stream:
        body["stream"] = True
        asked = body.get("stream_options")
        if "no_stream_options" not in request.quirks:
            body["stream_options"] = {"include_usage": True, **(asked if isinstance(asked, dict) else {})}
    accept = "text/event-stream" if request.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    return HttpRequest(PATH, dumps(body), headers), list(messages.notices.values())


def _options(request: Request) -> Wire:
    options = dict(request.options)
    if "max_tokens" in options and "max_completion_tokens" in request.quirks:
        options["max_completion_tokens"] = options.pop("max_tokens")
    if "seed" in options and "random_seed" in request.quirks:
        options["random_seed"] = options.pop("seed")
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    return options


def _tools(conversation: Conversation, issuer: str, messages: Messages) -> list[Wire]:
    tools = []
    for tool in conversation.tools.values():
        own = tool.get("provider_metadata", {}).get(issuer, {})
        if "input_schema" in tool or not tool.get("provider_metadata"):
            tools.append(overlay(_function(tool), own))
        elif own:
            tools.append(own)
        else:
            messages.drop("dropped_tool", f"the tool {tool['name']} was not offered: it belongs to another provider")
    return tools


def _function(tool: ToolRecord) -> Wire:
    function: Wire = {"name": tool["name"]}
    if "description" in tool:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema", {"type": "object", "properties": {}})
    return {"type": "function", "function": function}


def _tool_choice(request: Request, tools: list[Wire]) -> str | Wire:
    choice = request.tool_choice or "auto"
    if choice == "required" and "tool_choice_any" in request.quirks:
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


def is_strict(schema: Any) -> bool:
    """Return whether a JSON Schema can be asked for strictly: every object in it requires
    all its properties and allows no others."""
    pending = [schema]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            said = item.get("properties")
            properties = said if isinstance(said, dict) else {}
            if item.get("type") == "object" or "properties" in item:
                required = item.get("required", [])
                if item.get("additionalProperties") is not False or not isinstance(required, list):
                    return False
                if any(name not in required for name in properties):
                    return False
                pending += properties.values()
            pending += [value for name, value in item.items() if name not in ("properties", "enum", "const")]
    return True


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
