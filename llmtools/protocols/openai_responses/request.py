"""OpenAI Responses: the newer protocol of OpenAI, and of servers that speak it too.

`encode` makes the request; `Decoder` makes events of the response; `error_of` makes an
exception of an error response.

Rules of the request:
* Nothing is left with the vendor: `store` is false, the whole conversation goes along, and
  the ciphertext of the reasoning is asked for, which takes its place. Models that do not
  reason refuse to be asked for it. The option `include` asks for more, null for nothing.
* Options are placed by `options` and laid over what stands here; one that is null takes
  the field away.
* Tools are flat, and `strict` is always said: without it the vendor takes every one for
  strict, and changes those that are not.

Quirks of the request: `no_include` (a server that cannot be asked for more), `unreasoning` (a
model that does not reason: `Encrypted content is not supported with this model`), `no_schema`;
those of the messages stand in `openai_responses_items`.

Output only, so never sent back: what is null or empty in an item, log-probabilities
(details.logprobs), reasoning without a ciphertext or an open text (which a notice tells), and
every field of the response but its output.

Facts: wire-protocols.md sections 0 and 2.
"""

from __future__ import annotations

import re

from ...http.failure import error_of
from ...http.request import HttpRequest
from ...records.jsonl import dumps
from ...schema import is_strict
from ..builder import overlay
from .decoder import Decoder
from .messages import Items, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.conversation import Conversation
    from ...records.types import Record, ToolRecord
    from ..request import Request

    Wire = dict[str, Any]

__all__ = ["Decoder", "encode", "error_of"]

PATH = "/responses"
ENCRYPTED = "reasoning.encrypted_content"

SHOWN = {
    "code_interpreter": "code_interpreter_call.outputs",
    "web_search": "web_search_call.action.sources",
}
"""Tools whose results are told only to those who ask."""


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the request that asks for an answer, and a notice for what it cannot say.

    Raises UsageError for more than one answer, InputError for an attachment whose bytes
    were not read and for what nests too deep to be written.
    """
    items = Items(request)
    options = items.options()
    body: Wire = {"model": request.served_name, "input": items.encode(conversation.messages), "store": False}
    tools = items.offered(conversation.tools.values(), _function)
    if tools:
        body["tools"] = tools
    include = _include(request, tools, options.pop("include", []))
    if include:
        body["include"] = include
    if choice := items.choice(tools):
        body["tool_choice"] = _tool_choice(choice, conversation, items)
    if request.reasoning is not None:
        body["reasoning"] = _reasoning(request.reasoning)
    if request.schema is not None:
        body.update(_text(request.schema, request.quirks, items))
    if request.cache_prompt:
        body["prompt_cache_key"] = items.cache_key()
    body = {name: value for name, value in overlay(body, options).items() if value is not None}
    if request.stream:
        body["stream"] = True
    accept = "text/event-stream" if request.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    return HttpRequest(PATH, dumps(body), headers), list(items.notices.values())


def _include(request: Request, tools: list[Wire], given: Any) -> Any:
    """Return what is asked for beside the usual; null asks for nothing, a list for more."""
    if not isinstance(given, list) or "no_include" in request.quirks:
        return given
    asked = [] if "unreasoning" in request.quirks else [ENCRYPTED]
    asked += [SHOWN[kind] for tool in tools if (kind := str(tool.get("type"))) in SHOWN]
    return asked + [name for name in given if name not in asked]


def _function(tool: ToolRecord) -> Wire:
    parameters = tool.get("input_schema", {"type": "object", "properties": {}})
    return {"type": "function", **named(tool), "parameters": parameters, "strict": is_strict(parameters)}


def _tool_choice(choice: str, conversation: Conversation, items: Items) -> str | Wire:
    if choice in ("auto", "none", "required"):
        return choice
    kind = items.own(conversation.tools.get(choice, {})).get("type", "function")
    return {"type": kind, "name": choice} if kind in ("function", "custom") else {"type": kind}


def _reasoning(effort: str) -> Wire:
    return {"effort": effort} if effort == "none" else {"effort": effort, "summary": "auto"}


def _text(schema: Wire, quirks: frozenset[str], items: Items) -> Wire:
    if "no_schema" in quirks:
        items.drop("dropped_schema", "the schema was not sent: this provider takes none")
        return {}
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title", ""))).strip("_")[:64]
    form = {"type": "json_schema", "name": name or "answer", "schema": schema, "strict": is_strict(schema)}
    return {"text": {"format": form}}
