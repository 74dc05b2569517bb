"""Anthropic Messages, the request.

Rules:
* Options go to their places (see `options`) and are laid over the rest of the body, except
  `betas` and `anthropic_version`, which are headers. An option that is null removes the field.
* The vendor requires max_tokens. Without the option it is the most that the model is known to
  write, or MAX_TOKENS.
* The version is 2026-10-21. It is 2023-06-01 if the request has what the newer one refuses:
  temperature, top_p, top_k, a document in a message of the model, citations in one of the user.
* Reasoning is adaptive with an effort. Older models get a budget of tokens below max_tokens.
* The text of the thinking is asked for, also of a model that thinks by itself and hides it.
* The schema of an answer has the form that `schemas` describes. If it has none, it is asked for in
  words, and so is JSON without a schema.

Quirks: `budget_tokens` (a budget in the place of an effort), `hidden_thinking` (the model thinks
by itself, and shows it only on request), `always_thinking` (it cannot be turned off),
`between_tools` (the word for thinking that is turned off),
`no_forced_tools` (the model decides whether it calls a tool), `no_schema`, and those of `messages`.
"""

from __future__ import annotations

import re
from functools import partial

from ...http.failure import failure_from_response as error_of
from ..builder import name_and_description, overlay
from ..schemas import properties_of, without_properties
from .decoder import Decoder
from .messages import Messages
from .schemas import answer_schema
from .spec import API_VERSION, OLD_API_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...http.request import HttpRequest
    from ...records.conversation import Conversation
    from ...records.types import Record, ToolRecord
    from ..json_fields import JsonObject
    from ..request import Request

__all__ = ["Decoder", "encode", "error_of"]

_PATH = "/v1/messages"

MAX_TOKENS = 32000
"""The max_tokens of a request that has none, for a model whose limit is not known."""

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 31999}
"""Effort -> tokens of thinking, for models that need a budget."""

_LEAST_BUDGET = 1024
_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_SAMPLING = ("temperature", "top_p", "top_k")
_HEADER_OPTIONS = ("betas", "anthropic_version")


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the HTTP request, and a notice for each thing that cannot be sent.

    Raises UsageError if more than one answer is asked for. Raises InputError for an attachment
    whose bytes were not read, and for values that nest too deep to be written.
    """
    messages = Messages(request)
    answer = _output_format(request, messages)
    if messages.wants_json(conversation.messages, always_in_words=True):
        messages.notice("changed_option", "the option json_object was sent in words: this protocol does not have it")
    wire_messages = messages.encode(conversation.messages)
    options = {name: value for name, value in messages.options().items() if name not in _HEADER_OPTIONS}
    body: JsonObject = {"model": request.served_name, "max_tokens": _max_tokens(request), "messages": wire_messages}
    if messages.system:
        body["system"] = _system(messages.system)
    tools = messages.tool_blocks(conversation.tools.values(), partial(_function, messages))
    if tools:
        body["tools"] = tools
    if choice := messages.tool_choice(tools):
        body["tool_choice"] = _tool_choice(choice, messages, is_free="no_forced_tools" in request.quirks)
    if request.cache_prompt:
        body["cache_control"] = {"type": "ephemeral"}  # up to the last block
    if messages.container:  # skills of an option join it
        is_object = isinstance(options.get("container"), dict)
        body["container"] = {"id": messages.container} if is_object else messages.container
    body = overlay({**body, **_reasoning(request, options, body, messages)}, answer)
    body = {name: value for name, value in overlay(body, options).items() if value is not None}
    _complete_tool_choice(body)
    if request.stream:
        body["stream"] = True
    return messages.http_request(_PATH, body, _headers(request, _api_version(body, wire_messages)))


def _complete_tool_choice(body: JsonObject) -> None:
    """Add the type of a tool_choice that comes from an option alone; without tools remove it."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and "type" not in choice:
        body["tool_choice"] = {"type": "auto", **choice}
        if "tools" not in body:
            del body["tool_choice"]


def _headers(request: Request, version: str) -> dict[str, str]:
    headers = {"anthropic-version": str(request.options.get("anthropic_version") or version)}
    betas = request.options.get("betas")
    if betas:
        headers["anthropic-beta"] = betas if isinstance(betas, str) else ",".join(map(str, betas))
    return headers


def _api_version(body: JsonObject, messages: list[JsonObject]) -> str:
    """Return the newest version that allows this body and these messages."""
    if any(name in body for name in _SAMPLING):
        return OLD_API_VERSION
    for message in messages:
        for block in message["content"]:
            if message["role"] == "assistant" and block.get("type") == "document":
                return OLD_API_VERSION
            if message["role"] == "user" and block.get("type") == "text" and block.get("citations"):
                return OLD_API_VERSION
    return API_VERSION


def _max_tokens(request: Request) -> Any:
    option = request.options.get("max_tokens")
    return request.longest or MAX_TOKENS if option is None else option


def _system(blocks: list[JsonObject]) -> str | list[JsonObject]:
    """Return the text of a single plain block, or the blocks."""
    is_plain = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
    return str(blocks[0]["text"]) if is_plain else blocks


def _function(messages: Messages, tool: ToolRecord) -> JsonObject:
    """Return the block of a function. The vendor refuses alternatives at the root of its schema
    (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use), and properties there with
    odd names ("Property keys should match pattern …")."""
    schema = messages.flat_parameters(tool)
    odd = [name for name in properties_of(schema) if not _PROPERTY.fullmatch(name)]
    if odd:
        schema = without_properties(schema, odd)
        what = f"the schema of the tool {tool['name']}"
        messages.notice(
            "changed_schema", f"{what} was sent without properties whose names are refused: {', '.join(odd)}"
        )
    return {**name_and_description(tool), "input_schema": schema}


def _tool_choice(choice: str, messages: Messages, *, is_free: bool) -> JsonObject:
    """Return the tool choice; `is_free`: the model cannot be made to call a tool."""
    if choice in ("auto", "none"):
        return {"type": choice}
    if is_free:
        messages.notice("changed_tool_choice", f"tool choice {choice} was sent as auto: this model takes no other")
        return {"type": "auto"}
    return {"type": "any"} if choice == "required" else {"type": "tool", "name": choice}


def _reasoning(request: Request, options: JsonObject, body: JsonObject, messages: Messages) -> JsonObject:
    """Return the fields that ask for reasoning. Each model takes and refuses others:
    https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting#supported-models"""
    effort, quirks, is_shown = request.reasoning, request.quirks, messages.summary() is not False
    thinking = {"type": "adaptive", "display": "summarized" if is_shown else "omitted"}
    off = {"thinking": {"type": "between_tools" if "between_tools" in quirks else "disabled"}}
    is_free = "thinking" not in options
    if _is_forced(body) and "always_thinking" not in quirks:
        return _without_thinking(request, off, messages) if is_free else {}
    if effort is None:
        return {"thinking": thinking} if "hidden_thinking" in quirks and is_shown and is_free else {}
    if effort == "none" and "always_thinking" not in quirks:
        return off
    if "budget_tokens" in quirks:
        return _budget(effort, thinking["display"], body, messages, is_fixed="max_tokens" in options)
    if effort == "none":
        messages.notice("changed_reasoning", "reasoning none was sent as low: this model always reasons")
    return {"thinking": thinking, "output_config": {"effort": "low" if effort in ("none", "minimal") else effort}}


def _without_thinking(request: Request, off: JsonObject, messages: Messages) -> JsonObject:
    """Return the fields for a request that forces a tool, with which thinking does not go. The effort is what the
    model spends on the call; above `high` the vendor takes none without thinking."""
    effort, quirks = request.reasoning, request.quirks
    if effort in (None, "none"):
        return off if effort == "none" or "hidden_thinking" in quirks else {}
    messages.notice("changed_reasoning", "thinking was turned off: it does not go with a forced tool")
    effort = {"minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
    return off if "budget_tokens" in quirks else {**off, "output_config": {"effort": effort}}


def _is_forced(body: JsonObject) -> bool:
    """Return whether a request forces the model to call a tool."""
    return body.get("tool_choice", {}).get("type") in ("any", "tool")


def _budget(effort: str, display: str, body: JsonObject, messages: Messages, *, is_fixed: bool) -> JsonObject:
    """Return the thinking of a model that needs a budget.

    The budget is part of max_tokens. If the user set max_tokens (`is_fixed`), the budget stays
    below it; if not, it is at most half of it.
    """
    budget, longest = BUDGETS.get(effort, BUDGETS["medium"]), body["max_tokens"]
    if is_fixed and isinstance(longest, int):
        budget = min(budget, longest - 1)
    if budget < _LEAST_BUDGET:
        messages.notice("dropped_reasoning", f"reasoning was not asked for: max_tokens {longest} leaves no room for it")
        return {}
    if not is_fixed:
        budget = min(budget, longest // 2)
    return {"thinking": {"type": "enabled", "budget_tokens": budget, "display": display}}


def _output_format(request: Request, messages: Messages) -> JsonObject:
    """Return the form of the answer, {} if there is none or if it is asked for in words."""
    if request.schema is None:
        return {}
    if "no_schema" in request.quirks:
        messages.ask_for_schema("this provider does not take one")
        return {}
    schema, described, obstacle = answer_schema(request.schema)
    if obstacle:
        messages.ask_for_schema(f"this provider does not take it: {obstacle}")
        return {}
    if described:
        messages.notice("changed_schema", f"the schema was sent with {', '.join(described)} in its descriptions")
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
