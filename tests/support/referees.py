"""The official SDKs as referees: is a request's body one that the vendor's own types allow?

Asked as they are, they let nearly anything by, so more is asked of them:
* openai and anthropic have TypedDicts, of which pydantic ignores fields that have no name
  and never looks at the elements of an Iterable, which messages are; and anthropic's take
  a block of an answer for one of a request. `_strict` takes all of that back.
* ollama has models that ignore what they do not name, and takes any mapping for a message:
  each message is asked for by itself, and must come out of its model whole.
* google-genai has strict models of generateContent, but no one for the whole body: each field has
  its own. Its models of Interactions keep what they do not name, in words too: a body that has
  anything of the kind is refused.
* What types leave open stands in `_RULES`: which roles there are, and that every call has
  its result and every result its call.

What a server takes and the SDK's types do not name is in `BEYOND`, and cut out first.
The SDKs are the dependency group `referees`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from typing import Any

import pytest

Object = dict[str, Any]

NEEDED = ("anthropic", "google.genai", "ollama", "openai", "pydantic")

BEYOND = {
    "openai-chat": (
        *("reasoning_details", "extra_content"),  # OpenRouter's, and Google's at this protocol
        *("thinking_blocks", "provider_specific_fields"),  # LiteLLM's
    ),
    "anthropic": (),
    "gemini": (),
    "gemini-interactions": (),
    "ollama": ("tool_call_id", "id", "type", "index"),  # in Ollama's own api.Message and api.ToolCall
    "openai-responses": (),
}
"""Protocol -> fields of messages and their calls that the server knows and its SDK does not."""


class RefusedError(Exception):
    """What a referee says of a body that is wrong."""


def require() -> None:
    """Skip the test where an SDK is not installed; fail it where all must be."""
    for name in NEEDED:
        try:
            import_module(name)
        except ImportError:
            reason = f"no {name} (tests/run installs the group referees)"
            if os.environ.get("LLMTOOLS_TEST_REAL") == "1":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


def judge(protocol: str, body: Any) -> list[int]:
    """Return how many calls each turn of the model has. Raises RefusedError for a body that
    the vendor would call wrong."""
    known = _cut(body, BEYOND[protocol])
    try:
        for name, value in _checked(protocol, known):
            _check(name)(json.dumps(value))
    except ValueError as error:  # pydantic's own is one
        raise RefusedError(str(error)) from None
    roles, items_of = _RULES[protocol]
    _check_roles(body, roles)
    turns = _turns(items_of(body))
    _check_pairs(turns, is_unique=protocol != "ollama")  # whose server tells calls apart by their place
    return [len(called) for called, _ in turns]


_TYPES = {
    "openai-chat": "openai.types.chat.completion_create_params:CompletionCreateParams",
    "openai-responses": "openai.types.responses.response_create_params:ResponseCreateParams",
    "anthropic": "anthropic.types.message_create_params:MessageCreateParams",
    "gemini-interactions": "google.genai.interactions:CreateModelInteraction",
    "ollama": "ollama._types:ChatRequest",
}

_GEMINI = {
    "contents": "Content",
    "systemInstruction": "Content",
    "tools": "Tool",
    "toolConfig": "ToolConfig",
    "generationConfig": "GenerationConfig",
}
"""The fields of Google's REST body, and the types of what is in them."""


def _checked(protocol: str, body: Object) -> Iterator[tuple[str, Any]]:
    """Yield what is checked, each behind the name of its type."""
    if protocol != "gemini":
        yield _TYPES[protocol], body
        if protocol == "ollama":
            yield from (("ollama._types:Message", message) for message in body["messages"])
        return
    if body.keys() - _GEMINI or not body.get("contents"):
        raise ValueError(f"fields of a request: {sorted(body)}")
    for field, value in body.items():
        for item in value if isinstance(value, list) else [value]:
            yield f"google.genai.types:{_GEMINI[field]}", item


@cache
def _check(name: str) -> Callable[[str], object]:
    """Return what raises ValueError for JSON that is not of a type of an SDK."""
    module, _, kind = name.partition(":")
    adapter = import_module("pydantic").TypeAdapter(getattr(import_module(module), kind))
    if module == "google.genai.types":
        check: Callable[[str], object] = adapter.validate_json
    elif module.startswith("google"):
        check = partial(_check_known, adapter)
    elif module.startswith("ollama"):
        check = partial(_check_whole, adapter)
    else:
        check = import_module("pydantic_core").SchemaValidator(_strict(adapter.core_schema)).validate_json
    return check


def _check_whole(adapter: Any, value: str) -> None:
    given, held = json.loads(value), json.loads(value)
    if "images" in held:  # which the SDK makes of objects, by the data or the file in them
        held["images"] = [{"value": image} for image in held["images"]]
    read = json.loads(adapter.dump_json(adapter.validate_python(held), by_alias=True, exclude_unset=True))
    if read != given:
        raise ValueError(f"of {given} is left {read}")


def _check_known(adapter: Any, value: str) -> None:
    body = adapter.validate_json(value)
    for item in _values_in(body):
        is_word = type(item).__name__ == "UnrecognizedStr" and item is not body.model
        if is_word or getattr(item, "is_unknown", False) or getattr(item, "model_extra", None):
            raise ValueError(f"not known: {item!r}")


def _values_in(value: Any) -> Iterator[Any]:
    """Yield a model and all that it holds."""
    yield value
    for item in value if isinstance(value, list) else getattr(value, "__dict__", {}).values():
        yield from _values_in(item)


def _strict(schema: Any) -> Any:
    """Return pydantic's schema of a TypedDict with every field named and every element looked at."""
    if isinstance(schema, (list, tuple)):
        return type(schema)(map(_strict, schema))
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "model":  # of an answer
        return {"type": "none", **({"ref": schema["ref"]} if "ref" in schema else {})}
    closed = {name: _strict(value) for name, value in schema.items()}
    if schema.get("type") == "typed-dict":
        closed["extra_behavior"] = "forbid"
    elif schema.get("type") == "generator":
        closed["type"] = "list"
    return closed


def _cut(value: Any, names: tuple[str, ...], depth: int = 0) -> Any:
    """Return messages without some fields: those of a message, its calls and their functions."""
    if isinstance(value, list):
        return [_cut(item, names, depth) for item in value]
    if not isinstance(value, dict):
        return value
    below = {0: ("messages",), 1: ("tool_calls",), 2: ("function",)}.get(depth, ())
    kept = {name: item for name, item in value.items() if not depth or name not in names}
    return {name: _cut(item, names, depth + 1) if name in below else item for name, item in kept.items()}


# What the types leave open


def _check_roles(body: Object, roles: tuple[str, ...]) -> None:
    for message in body.get("messages") or body.get("contents") or ():
        if message.get("role") not in roles:
            raise RefusedError(f"role {message.get('role')!r}")


Item = tuple[str, str]
"""What stands in a request in its order: "call" or "result", and an id."""
Turn = tuple[list[str], list[str]]
"""The ids of a turn's calls, and those that the results behind it answer."""


def _turns(items: list[Item]) -> list[Turn]:
    turns: list[Turn] = []
    before = "result"
    for kind, identity in items:
        if (before, kind) == ("result", "call") or not turns:
            turns.append(([], []))
        turns[-1][kind == "result"].append(identity)
        before = kind
    return turns


def _check_pairs(turns: list[Turn], *, is_unique: bool) -> None:
    for called, answered in turns:
        if sorted(called) != sorted(answered):
            raise RefusedError(f"calls {called}, results {answered}")
    everyone = [identity for called, _ in turns for identity in called]
    if is_unique and len(set(everyone)) < len(everyone):
        raise RefusedError(f"one id for two calls: {everyone}")


def _chat_items(body: Object) -> list[Item]:
    items = []
    for message in body["messages"]:
        items += [("call", call["id"]) for call in message.get("tool_calls") or ()]
        items += [("result", message["tool_call_id"])] if message["role"] == "tool" else []
    return items


def _anthropic_items(body: Object) -> list[Item]:
    kinds = {"tool_use": ("call", "id"), "tool_result": ("result", "tool_use_id")}
    blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
    found = [(kinds[block["type"]], block) for block in blocks if block["type"] in kinds]
    return [(kind, block[field]) for (kind, field), block in found]


def _gemini_items(body: Object) -> list[Item]:
    fields = {"functionCall": "call", "functionResponse": "result"}
    parts = [part for content in body["contents"] for part in content["parts"]]
    found = [(fields[field], said) for part in parts for field, said in part.items() if field in fields]
    return _placed([(kind, said.get("id"), said["name"]) for kind, said in found])


def _ollama_items(body: Object) -> list[Item]:
    found: list[tuple[str, str | None, str]] = []
    for message in body["messages"]:
        found += [("call", call.get("id"), call["function"]["name"]) for call in message.get("tool_calls", ())]
        if message["role"] == "tool":
            found.append(("result", message.get("tool_call_id"), message.get("tool_name", "")))
    return _placed(found)


def _placed(found: list[tuple[str, str | None, str]]) -> list[Item]:
    """Return what was found; without an id it is known by its name and its place."""
    counts = {"call": 0, "result": 0}
    items = []
    for kind, identity, name in found:
        items.append((kind, identity or f"{name} {counts[kind]}"))
        counts[kind] += 1
    return items


def _interaction_items(body: Object) -> list[Item]:
    kinds = {"function_call": ("call", "id"), "function_result": ("result", "call_id")}
    found = [(kinds[step["type"]], step) for step in body["input"] if step["type"] in kinds]
    return [(kind, step[field]) for (kind, field), step in found]


def _response_items(body: Object) -> list[Item]:
    kinds = {"function_call": "call", "function_call_output": "result"}
    found = [item for item in body["input"] if item.get("type") in kinds]
    if any(not item.get("call_id") for item in found):
        raise RefusedError("a call or an output without its call_id")
    return [(kinds[item["type"]], item["call_id"]) for item in found]


_RULES: dict[str, tuple[tuple[str, ...], Callable[[Object], list[Item]]]] = {
    "openai-chat": (("system", "developer", "user", "assistant", "tool"), _chat_items),
    "anthropic": (("system", "user", "assistant"), _anthropic_items),
    "gemini": (("user", "model"), _gemini_items),
    "gemini-interactions": ((), _interaction_items),
    "ollama": (("system", "user", "assistant", "tool"), _ollama_items),
    "openai-responses": ((), _response_items),
}
"""Protocol -> the roles of its messages, and what finds the calls and results in a body."""
