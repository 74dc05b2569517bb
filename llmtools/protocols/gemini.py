"""Gemini generateContent: the protocol of the Gemini API and of Gemini on Vertex AI.

`encode` makes the request; `Decoder` makes events of the response; `error_of` makes an
exception of an error response.

Rules of the request:
* Options go into generationConfig under Google's names (`top_p` is topP, `max_tokens`
  maxOutputTokens, `stop` stopSequences), but for those that stand beside it; an option of
  Google's own name wins over what stands here for it.
* Schemas, of answers and of tools, go as JSON Schema.
* Reasoning is a budget of tokens for models before Gemini 3 (quirk `thinking_budget`), a
  level for the others; the thoughts are always asked for.

Quirks of the messages stand in `gemini_contents`. Facts: wire-protocols.md section 4.
"""

from __future__ import annotations

import re

from ..errors import UsageError
from ..jsonl import dumps
from ..request import HttpRequest
from ..wire import overlay
from .gemini_contents import Contents
from .gemini_decode import Decoder, error_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..conversation import Conversation
    from ..request import Request
    from ..types import Record, ToolRecord

    Wire = dict[str, Any]

__all__ = ["Decoder", "encode", "error_of"]

_TOP = frozenset(("safetySettings", "cachedContent", "serviceTier", "store", "labels", "toolConfig", "tools"))
"""The options that stand beside generationConfig."""

_NAMES = {"maxTokens": "maxOutputTokens", "stop": "stopSequences"}
_THINKING = frozenset(("thinkingBudget", "thinkingLevel", "includeThoughts"))
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
    body: Wire = {"contents": contents.encode(conversation.messages)}
    if contents.system:
        body["systemInstruction"] = {"parts": contents.system}
    tools = _tools(conversation, request.issuer, contents)
    config = _tool_config(request, tools, contents.has_trace)
    generation = _generation(request, contents)
    options = _options(request)
    body.update({name: options.pop(name) for name in list(options) if name in _TOP})
    if tools:
        body["tools"] = [*tools, *_listed(body.get("tools"))]
    if config:
        body["toolConfig"] = overlay(config, _object(body.get("toolConfig")))
    inner = _object(options.pop("generationConfig", None))
    generation = overlay(generation, overlay(options, inner))
    if generation:
        body["generationConfig"] = generation
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


def _object(value: Any) -> Wire:
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _options(request: Request) -> Wire:
    options: Wire = {}
    for name, value in request.options.items():
        camel = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
        if camel in ("n", "candidateCount"):
            if value not in (1, "1"):
                raise UsageError(f"-o {name}: only one answer can be asked for")
        elif camel in _NAMES:
            options.setdefault(_NAMES[camel], value)
        elif camel in _THINKING:
            options["thinkingConfig"] = {**_object(options.get("thinkingConfig")), camel: value}
        else:
            options[camel] = value
    if isinstance(options.get("stopSequences"), str):
        options["stopSequences"] = [options["stopSequences"]]
    return options


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
    if "thinking_budget" in request.quirks or re.search(r"gemini-[12]\b", request.served_name):
        return {**is_shown, "thinkingBudget": _BUDGETS.get(effort, _MOST)}
    if effort == "none":
        contents.drop("changed_reasoning", "reasoning none was sent as minimal: this model always reasons")
    return {**is_shown, "thinkingLevel": _LEVELS.get(effort, effort.upper())}


def _tools(conversation: Conversation, issuer: str, contents: Contents) -> list[Wire]:
    functions, others = [], []
    for tool in conversation.tools.values():
        own = tool.get("provider_metadata", {}).get(issuer, {})
        if "input_schema" in tool or not tool.get("provider_metadata"):
            functions.append(overlay(_function(tool), own))
        elif own:
            others.append(own)
        else:
            contents.drop("dropped_tool", f"the tool {tool['name']} was not offered: it belongs to another provider")
    return [*([{"functionDeclarations": functions}] if functions else []), *others]


def _function(tool: ToolRecord) -> Wire:
    function: Wire = {"name": tool["name"], "description": tool.get("description", "")}
    function["parametersJsonSchema"] = tool.get("input_schema", {"type": "object", "properties": {}})
    return function


def _tool_config(request: Request, tools: list[Wire], has_trace: bool) -> Wire:
    config: Wire = {}
    choice = request.tool_choice
    if choice is not None:
        named = {} if choice in _MODES else {"allowedFunctionNames": [choice]}
        config["functionCallingConfig"] = {"mode": _MODES.get(choice, "ANY"), **named}
    if has_trace or (len(tools) > 1 and "functionDeclarations" in tools[0]):
        config["includeServerSideToolInvocations"] = True  # else the two kinds do not go together
    return config
