"""Gemini, the request.

Rules:
* Options go to their places (see `options`), most of them into generationConfig, and are laid
  over the rest of the body. Google's own names may be spelled with underscores.
* Schemas, of answers and of tools, are sent as JSON Schema.
* Reasoning is a level; for models before Gemini 3 (quirk `thinking_budget`) it is a budget of
  tokens. The thoughts are asked for with it, and of a model that is known to think by itself
  (quirk `hidden_thinking`); other models refuse the question.

Quirks: `thinking_budget`, `hidden_thinking`, and those of `messages`.
"""

from __future__ import annotations

import re

from ...http.failure import failure_from_response as error_of
from ...http.request import path_segment
from ..builder import overlay
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

_MODEL = re.compile(r"(models|tunedModels|endpoints|publishers/[^/]+/models)/(.+)", re.DOTALL)
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192}
_TOOL_GENERATION = ("responseModalities", "imageConfig", "speechConfig")
"""Fields of generationConfig that a tool's record may set: those of the media that the model makes."""
_HIGHEST_BUDGET = 24576
_LEVELS = {"none": "MINIMAL", "max": "XHIGH"}


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the HTTP request, and a notice for each thing that cannot be sent.

    Raises UsageError if more than one answer is asked for. Raises InputError for an attachment
    whose bytes were not read, and for values that nest too deep to be written.
    """
    messages = Messages(request)
    options = messages.options()
    is_json = messages.wants_json(conversation.messages)
    body: JsonObject = {"contents": messages.encode(conversation.messages)}
    if messages.system:
        body["systemInstruction"] = {"parts": messages.system}
    tools, tool_generation = _tools(conversation, messages)
    config = _tool_config(messages.tool_choice(tools), tools, messages.has_trace)
    generation = overlay(tool_generation, _generation(request, messages, options, is_json=is_json))
    if tools or "tools" in options:
        body["tools"] = [*tools, *_list_or_empty(options.pop("tools", None))]
    if config:
        body["toolConfig"] = config
    if generation:
        body["generationConfig"] = generation
    if messages.token:
        body["continuationToken"] = messages.token
    body = overlay(body, options)
    messages.notice_no_cache()
    return messages.http_request(_request_path(request), body)


def _request_path(request: Request) -> str:
    verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    return f"/{_model_path(request.served_name.strip('/'))}:{verb}"


def _model_path(name: str) -> str:
    """Return the path of a model, which is COLLECTION/MODEL or publishers/PUBLISHER/models/MODEL."""
    match = _MODEL.fullmatch(name)
    collection, model = (match[1], match[2]) if match else ("models", name)
    return "/".join([path_segment(each) for each in collection.split("/")] + [path_segment(model)])


def _list_or_empty(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _generation(request: Request, messages: Messages, options: JsonObject, *, is_json: bool) -> JsonObject:
    generation: JsonObject = {"responseMimeType": "application/json"} if is_json else {}
    if request.schema is not None:
        generation["responseMimeType"] = "application/json"
        generation["responseJsonSchema"] = google_schema(request.schema)
    if thinking := _thinking(request, messages, options):
        generation["thinkingConfig"] = thinking
    return generation


def _thinking(request: Request, messages: Messages, options: JsonObject) -> JsonObject:
    effort, summary = request.reasoning, messages.summary()
    is_shown = bool(summary) or (summary is None and effort != "none")
    shown = {"includeThoughts": True} if is_shown else {}
    if effort is None:
        is_asked = summary or "hidden_thinking" in request.quirks
        return shown if is_asked and not _has_thinking(options) else {}
    if "thinking_budget" in request.quirks:
        return {**shown, "thinkingBudget": _BUDGETS.get(effort, _HIGHEST_BUDGET)}
    if effort == "none":
        messages.notice("changed_reasoning", "reasoning none was sent as minimal: this model always reasons")
    return {**shown, "thinkingLevel": _LEVELS.get(effort, effort.upper())}


def _has_thinking(options: JsonObject) -> bool:
    """Return whether the user's own options say how the model thinks."""
    generation = options.get("generationConfig")
    return isinstance(generation, dict) and "thinkingConfig" in generation


def _tools(conversation: Conversation, messages: Messages) -> tuple[list[JsonObject], JsonObject]:
    """Return the tools, and the generationConfig of those that are not tools on the wire."""
    blocks = messages.tool_blocks(conversation.tools.values(), _function)
    functions = [block for block in blocks if "name" in block]
    others = [block for block in blocks if "name" not in block and "generationConfig" not in block]
    generation: JsonObject = {}
    for block in blocks:
        config = block.get("generationConfig")
        for name, value in config.items() if isinstance(config, dict) else ():
            if name in _TOOL_GENERATION:
                generation[name] = value
            else:
                messages.notice(
                    "dropped_tool", f"generationConfig.{name} was not sent: it asks for no tool (-o sets it)"
                )
    return [*([{"functionDeclarations": functions}] if functions else []), *others], generation


def _function(tool: ToolRecord) -> JsonObject:
    return {
        "name": tool["name"],
        "description": tool.get("description", ""),
        "parametersJsonSchema": google_schema(parameters_of(tool)),
    }


def _tool_config(choice: str | None, tools: list[JsonObject], has_trace: bool) -> JsonObject:
    config: JsonObject = {}
    if choice is not None:
        allowed = {} if choice in _MODES else {"allowedFunctionNames": [choice]}
        config["functionCallingConfig"] = {"mode": _MODES.get(choice, "ANY"), **allowed}
    if has_trace or (len(tools) > 1 and "functionDeclarations" in tools[0]):
        config["includeServerSideToolInvocations"] = True  # required if functions and server tools go together
    return config
