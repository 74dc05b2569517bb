"""Gemini generateContent: the protocol of the Gemini API and of Gemini on Vertex AI.

`encode` makes the request; `Decoder` makes events of the response; `error_of` makes an
exception of an error response.

Rules of the request:
* Options are placed by `options`, most of them in generationConfig, and laid over what
  stands here; Google's own names may be spelled with underscores.
* Schemas, of answers and of tools, go as JSON Schema.
* Reasoning is a budget of tokens for models before Gemini 3 (quirk `thinking_budget`), a
  level for the others; the thoughts are always asked for.

Quirks of the messages stand in `gemini_contents`. Facts: wire-protocols.md section 4.
"""

from __future__ import annotations

import re

from ...http.request import HttpRequest
from ...records.jsonl import dumps
from ..builder import overlay
from .decoder import Decoder, error_of
from .messages import Contents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.conversation import Conversation
    from ...records.types import Record, ToolRecord
    from ..request import Request

    Wire = dict[str, Any]

__all__ = ["Decoder", "encode", "error_of"]

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192}
_MOST = 24576
_LEVELS = {"none": "MINIMAL", "max": "XHIGH"}


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the request that asks for an answer, and a notice for what it cannot say.

    Raises UsageError for more than one answer, InputError for an attachment whose bytes
    were not read and for what nests too deep to be written.
    """
    contents = Contents(request)
    options = contents.options()
    body: Wire = {"contents": contents.encode(conversation.messages)}
    if contents.system:
        body["systemInstruction"] = {"parts": contents.system}
    tools, beside = _tools(conversation, contents)
    config = _tool_config(contents.choice(tools), tools, contents.has_trace)
    generation = overlay(beside, _generation(request, contents))
    if tools or "tools" in options:
        body["tools"] = [*tools, *_listed(options.pop("tools", None))]
    if config:
        body["toolConfig"] = config
    if generation:
        body["generationConfig"] = generation
    body = overlay(body, options)
    contents.cannot_cache()
    if contents.token:
        body["continuationToken"] = contents.token
    accept = "text/event-stream" if request.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    return HttpRequest(_path(request), dumps(body), headers), list(contents.notices.values())


def _path(request: Request) -> str:
    name = re.sub(
        r"[^A-Za-z0-9._~/@-]", lambda match: "".join([f"%{byte:02X}" for byte in match[0].encode()]), _model(request)
    )
    return f"/{name}:" + ("streamGenerateContent?alt=sse" if request.stream else "generateContent")


def _model(request: Request) -> str:
    name = request.served_name.strip("/")
    return name if name.startswith(("models/", "tunedModels/", "endpoints/", "publishers/")) else f"models/{name}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _generation(request: Request, contents: Contents) -> Wire:
    generation: Wire = {}
    if request.schema is not None:
        generation["responseMimeType"] = "application/json"
        generation["responseJsonSchema"] = request.schema
    if request.reasoning is not None:
        generation["thinkingConfig"] = _thinking(request, contents)
    return generation


def _thinking(request: Request, contents: Contents) -> Wire:
    effort = request.reasoning or "none"
    is_shown = {"includeThoughts": True} if effort != "none" else {}
    if "thinking_budget" in request.quirks:
        return {**is_shown, "thinkingBudget": _BUDGETS.get(effort, _MOST)}
    if effort == "none":
        contents.drop("changed_reasoning", "reasoning none was sent as minimal: this model always reasons")
    return {**is_shown, "thinkingLevel": _LEVELS.get(effort, effort.upper())}


def _tools(conversation: Conversation, contents: Contents) -> tuple[list[Wire], Wire]:
    """Return the tools, and what the generation must be told for those that are none here."""
    offered = contents.offered(conversation.tools.values(), _function)
    functions = [block for block in offered if "name" in block]
    others = [block for block in offered if "name" not in block and "generationConfig" not in block]
    beside: Wire = {}
    for block in offered:
        beside = overlay(beside, block.get("generationConfig", {}))
    return [*([{"functionDeclarations": functions}] if functions else []), *others], beside


def _function(tool: ToolRecord) -> Wire:
    function: Wire = {"name": tool["name"], "description": tool.get("description", "")}
    function["parametersJsonSchema"] = tool.get("input_schema", {"type": "object", "properties": {}})
    return function


def _tool_config(choice: str | None, tools: list[Wire], has_trace: bool) -> Wire:
    config: Wire = {}
    if choice is not None:
        named = {} if choice in _MODES else {"allowedFunctionNames": [choice]}
        config["functionCallingConfig"] = {"mode": _MODES.get(choice, "ANY"), **named}
    if has_trace or (len(tools) > 1 and "functionDeclarations" in tools[0]):
        config["includeServerSideToolInvocations"] = True  # else the two kinds do not go together
    return config
