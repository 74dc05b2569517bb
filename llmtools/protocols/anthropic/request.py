"""Anthropic Messages: the protocol of Anthropic, and of servers that speak it too.

`encode` makes the request; `Decoder` makes events of the response; `error_of` makes an
exception of an error response.

Rules of the request:
* Options are placed by `options` and laid over what stands here, but for `betas` (the
  header anthropic-beta) and `anthropic_version` (its header); one that is null takes the
  field away. max_tokens is required by the vendor: without the option it is the most that
  the model is known to write, or MAX_TOKENS.
* The version is 2026-10-21, and 2023-06-01 where the request has what the newer one
  refuses: temperature, top_p, top_k, a document in the model's message, citations in
  the user's.
* Reasoning is adaptive with an effort; models from before that get a budget of tokens,
  below max_tokens.
* Every object of a schema is closed: the vendor takes no other.

Quirks of the request: `budget_tokens` (a budget in the place of an effort), `no_schema`;
those of the messages stand in `anthropic_messages`.

Facts: wire-protocols.md sections 0 and 3.
"""

from __future__ import annotations

from ...http.failure import error_of
from ...http.request import HttpRequest
from ...records.jsonl import dumps
from ..builder import overlay
from .decoder import Decoder
from .messages import Messages
from .spec import OLD_VERSION, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.conversation import Conversation
    from ...records.types import Record, ToolRecord
    from ..request import Request

    Wire = dict[str, Any]

__all__ = ["Decoder", "encode", "error_of"]

PATH = "/v1/messages"

MAX_TOKENS = 32000
"""The max_tokens of a request that names none."""

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 31999}
"""The tokens of thinking for an effort, where a model wants a budget."""

_LEAST_BUDGET = 1024
_SAMPLING = ("temperature", "top_p", "top_k")
_HEADERS = ("betas", "anthropic_version")


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the request that asks for an answer, and a notice for what it cannot say.

    Raises UsageError for more than one answer, InputError for an attachment whose bytes
    were not read and for what nests too deep to be written.
    """
    messages = Messages(request)
    said = messages.encode(conversation.messages)
    options = {name: value for name, value in messages.options().items() if name not in _HEADERS}
    body: Wire = {"model": request.served_name, "max_tokens": _max_tokens(request), "messages": said}
    if messages.system:
        body["system"] = _system(messages.system)
    tools = messages.offered(conversation.tools.values(), _function)
    if tools:
        body["tools"] = tools
    if asked := messages.choice(tools):
        body["tool_choice"] = _tool_choice(asked)
    if request.cache_prompt:
        body["cache_control"] = {"type": "ephemeral"}  # up to the last block
    if messages.container:
        body["container"] = messages.container
    if request.reasoning is not None:
        body.update(_reasoning(request, options, body, messages))
    if request.schema is not None:
        body = overlay(body, _output_format(request, messages))
    body = {name: value for name, value in overlay(body, options).items() if value is not None}
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and "type" not in choice:  # said by an option alone
        body["tool_choice"] = {"type": "auto", **choice}
        if "tools" not in body:
            del body["tool_choice"]
    if request.stream:
        body["stream"] = True
    headers = _headers(request, _version(body, said))
    return HttpRequest(PATH, dumps(body), headers), list(messages.notices.values())


def _headers(request: Request, version: str) -> dict[str, str]:
    accept = "text/event-stream" if request.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    headers["anthropic-version"] = str(request.options.get("anthropic_version") or version)
    betas = request.options.get("betas")
    if betas:
        headers["anthropic-beta"] = betas if isinstance(betas, str) else ",".join(map(str, betas))
    return headers


def _version(body: Wire, messages: list[Wire]) -> str:
    """Return the newest version that allows what the body and its messages have."""
    if any(name in body for name in _SAMPLING):
        return OLD_VERSION
    for message in messages:
        for block in message["content"]:
            if message["role"] == "assistant" and block.get("type") == "document":
                return OLD_VERSION
            if message["role"] == "user" and block.get("type") == "text" and block.get("citations"):
                return OLD_VERSION
    return VERSION


def _max_tokens(request: Request) -> Any:
    given = request.options.get("max_tokens")
    return request.longest or MAX_TOKENS if given is None else given


def _system(blocks: list[Wire]) -> str | list[Wire]:
    """Return the text of a lone plain block, several blocks as they are."""
    is_plain = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
    return str(blocks[0]["text"]) if is_plain else blocks


def _function(tool: ToolRecord) -> Wire:
    function: Wire = {"name": tool["name"]}
    if "description" in tool:
        function["description"] = tool["description"]
    function["input_schema"] = tool.get("input_schema", {"type": "object", "properties": {}})
    return function


def _tool_choice(choice: str) -> Wire:
    if choice in ("auto", "none"):
        return {"type": choice}
    return {"type": "any"} if choice == "required" else {"type": "tool", "name": choice}


def _reasoning(request: Request, options: Wire, body: Wire, messages: Messages) -> Wire:
    effort = request.reasoning or "none"
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if "budget_tokens" in request.quirks:
        return _budget(effort, body, messages, is_fixed="max_tokens" in options)
    said = {"type": "adaptive", "display": "summarized"}
    return {"thinking": said, "output_config": {"effort": "low" if effort == "minimal" else effort}}


def _budget(effort: str, body: Wire, messages: Messages, *, is_fixed: bool) -> Wire:
    """Return the thinking of a model that wants a budget; it is part of max_tokens, so it
    is taken from those that were asked for, and added to those that were not."""
    budget, longest = BUDGETS.get(effort, BUDGETS["medium"]), body["max_tokens"]
    if is_fixed and isinstance(longest, int):
        budget = min(budget, longest - 1)
    if budget < _LEAST_BUDGET:
        messages.drop("dropped_reasoning", f"reasoning was not asked for: max_tokens {longest} leaves it no room")
        return {}
    if not is_fixed:
        budget = min(budget, longest // 2)
    return {"thinking": {"type": "enabled", "budget_tokens": budget, "display": "summarized"}}


def _output_format(request: Request, messages: Messages) -> Wire:
    if "no_schema" in request.quirks:
        messages.drop("dropped_schema", "the schema was not sent: this provider takes none")
        return {}
    return {"output_config": {"format": {"type": "json_schema", "schema": closed(request.schema)}}}


def closed(schema: Any) -> Any:
    """Return a JSON Schema in which every object that does not say otherwise allows no
    further properties."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = ("enum", "const", "default", "examples")
    said = {name: value if name in kept else closed(value) for name, value in schema.items() if name != "properties"}
    if isinstance(schema.get("properties"), dict):
        said["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
    if schema.get("type") == "object" or "properties" in said:
        said.setdefault("additionalProperties", False)
    return said
