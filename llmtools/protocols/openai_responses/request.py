"""OpenAI Responses, the request.

Rules:
* The vendor stores nothing: `store` is false, the whole conversation is sent, and the ciphertext
  of the reasoning is asked for in its place. Models that do not reason refuse to be asked for it.
  A reply in the background has to be stored. The option `include` asks for more; null asks for nothing.
* Options go to their places (see `options`) and are laid over the rest of the body. An option
  that is null removes the field.
* Tools are flat, and `strict` is always sent: without it the vendor takes every tool as strict,
  and changes those that are not.
* Never sent back are null and empty fields of an item, log-probabilities (details.logprobs),
  reasoning with neither a ciphertext nor an open text (which is a notice), and all fields of
  the response but its output.

Quirks: `no_include` (a server that cannot be asked for more), `reasoning_include` (only for encrypted
reasoning), `unreasoning` (the model does not reason: `Encrypted content is not supported with this
model`), `no_effort` (it reasons, and refuses to be told how much), `no_schema`.
"""

from __future__ import annotations

from functools import partial

from ...http.failure import failure_from_response as error_of
from ..builder import name_and_description, overlay, schema_name
from ..schemas import ALTERNATIVES, modern_schema, without_reference
from ..strict import strict_answer, strict_obstacle
from .decoder import Decoder
from .messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...http.request import HttpRequest
    from ...records.conversation import Conversation
    from ...records.types import Message, Record, ToolRecord
    from ..json_fields import JsonObject
    from ..request import Request

__all__ = ["Decoder", "encode", "error_of"]

_PATH = "/responses"
ENCRYPTED_REASONING = "reasoning.encrypted_content"

RESULTS_TO_INCLUDE = {
    "code_interpreter": "code_interpreter_call.outputs",
    "web_search": "web_search_call.action.sources",
}
"""Type of a tool whose results come only on request -> the name to ask for them by."""


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
    """Return the HTTP request, and a notice for each thing that cannot be sent.

    Raises UsageError if more than one answer is asked for, or if the last message is the model's
    own. Raises InputError for an attachment whose bytes were not read, and for values that nest
    too deep to be written.
    """
    messages = Messages(request)
    options = messages.options()
    text = _text_format(request, messages, conversation.messages)
    items = messages.encode(conversation.messages)
    body: JsonObject = {"model": request.served_name, "input": items, "store": options.get("background") is True}
    tools = messages.tool_blocks(conversation.tools.values(), partial(_function, messages))
    if tools:
        body["tools"] = tools
    include = _include(request, tools, options.pop("include", []))
    if include:
        body["include"] = include
    if choice := messages.tool_choice(tools):
        body["tool_choice"] = _tool_choice(choice, conversation, messages)
    if reasoning := _reasoning(request, messages):
        body["reasoning"] = reasoning
    body.update(text)
    if request.cache_prompt:
        body["prompt_cache_key"] = messages.cache_key()
    body = {name: value for name, value in overlay(body, options).items() if value is not None}
    if request.stream:
        body["stream"] = True
    return messages.http_request(_PATH, body)


def _include(request: Request, tools: list[JsonObject], option: Any) -> Any:
    """Return the value of `include`: the usual and what the option adds. An option that is not a list replaces it."""
    if not isinstance(option, list) or "no_include" in request.quirks:
        return option
    names = [] if "unreasoning" in request.quirks else [ENCRYPTED_REASONING]
    if "reasoning_include" not in request.quirks:
        names += [RESULTS_TO_INCLUDE[kind] for tool in tools if (kind := str(tool.get("type"))) in RESULTS_TO_INCLUDE]
    return names + [name for name in option if name not in names]


def _function(messages: Messages, tool: ToolRecord) -> JsonObject:
    """Return the block of a function. Its schema has no alternatives at the root, which the vendor refuses:
    https://platform.openai.com/docs/guides/structured-outputs"""
    parameters = messages.flat_parameters(tool)
    strict = messages.own_metadata(tool).get("strict", not strict_obstacle(parameters))
    return {"type": "function", **name_and_description(tool), "parameters": parameters, "strict": strict}


def _tool_choice(choice: str, conversation: Conversation, messages: Messages) -> str | JsonObject:
    if choice in ("auto", "none", "required"):
        return choice
    kind = messages.own_metadata(conversation.tools.get(choice, {})).get("type", "function")
    return {"type": kind, "name": choice} if kind in ("function", "custom") else {"type": kind}


def _reasoning(request: Request, messages: Messages) -> JsonObject:
    """Return the field `reasoning`, {} if there is nothing to ask. A summary comes only on request; an
    organization that is not verified is refused one (https://platform.openai.com/docs/guides/reasoning),
    so that it is asked for only with an effort."""
    effort, summary = request.reasoning, messages.summary()
    if summary is None and effort not in (None, "none"):
        summary = "auto"
    if effort is not None and "no_effort" in request.quirks:
        messages.notice("changed_reasoning", f"reasoning {effort} was not sent: this model sets it itself")
        effort = None
    return {**({"effort": effort} if effort is not None else {}), **({"summary": summary} if summary else {})}


def _text_format(request: Request, messages: Messages, conversation: list[Message]) -> JsonObject:
    is_plain = "no_schema" in request.quirks
    if messages.wants_json(conversation, always_in_words=is_plain):
        return {} if is_plain else {"text": {"format": {"type": "json_object"}}}
    if request.schema is None:
        return {}
    if is_plain:
        messages.ask_for_schema("this provider does not take one")
        return {}
    schema, obstacle = strict_answer(request.schema)
    if obstacle:
        schema = modern_schema(without_reference(schema))
        if schema.get("type") != "object" or not schema.keys().isdisjoint(ALTERNATIVES):
            messages.ask_for_schema("this provider takes only an object at its root, without alternatives")
            return {}
        messages.notice_loose_schema(obstacle)
    form = {"type": "json_schema", "name": schema_name(schema), "schema": schema, "strict": not obstacle}
    return {"text": {"format": form}}
