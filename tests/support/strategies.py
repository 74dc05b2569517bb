"""What hypothesis draws: JSON values, parts, messages and records of a stream.

Written from llm-stream(5), not from `llmtools.records.check`: a test holds the two together.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

Json = Any
Record = dict[str, Any]
Strategy = st.SearchStrategy

QUICK = settings(derandomize=True, deadline=None, max_examples=30)

ODD_TEXTS = (
    "",
    "\0",
    "\x1b[2J",
    "a\u2028b\u2029c\u0085d",
    "e\u0301 \u00e9",  # one letter in two forms
    "\ufeff",
    "\uffff\U00010000",  # their order differs between UTF-16 and code points
    "👩\u200d👧",
    '"\\/\b\f\n\r\t',
    "~0",
)
BIG = (2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**40)


def texts(max_size: int = 12) -> Strategy[str]:
    """Any text that UTF-8 can hold."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size) | st.sampled_from(ODD_TEXTS)


def names() -> Strategy[str]:
    return st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=6)


def numbers() -> Strategy[int | float]:
    return st.integers() | st.sampled_from(BIG) | st.floats(allow_nan=False, allow_infinity=False)


def json_values(max_leaves: int = 4) -> Strategy[Json]:
    """Any JSON value: integers of any size, every finite double, odd texts."""
    scalars = st.none() | st.booleans() | numbers() | texts()
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=max_leaves,
    )


def json_objects() -> Strategy[dict[str, Json]]:
    return st.dictionaries(texts(), json_values(), max_size=2)


def unknown_fields() -> Strategy[dict[str, Json]]:
    """Fields that no version of the format knows."""
    return st.dictionaries(names().map(lambda name: "x_" + name), json_values(3), max_size=2)


@st.composite
def _objects(
    draw: st.DrawFn, required: dict[str, Strategy[Any]], optional: dict[str, Strategy[Any]], unknown: bool = True
) -> Record:
    fields: Record = draw(st.fixed_dictionaries(required, optional=optional))
    return {**fields, **draw(unknown_fields())} if unknown else fields


def metadata() -> Strategy[dict[str, dict[str, Json]]]:
    issuers = st.sampled_from(("openai", "anthropic", "gemini", "http://127.0.0.1:8080"))
    return st.dictionaries(issuers, json_objects(), max_size=2)


def counts() -> Strategy[int]:
    return st.integers(min_value=0) | st.sampled_from((0, 2**64))


META = {"provider_metadata": metadata()}
PHASE = {"phase": st.sampled_from(("commentary", "answer"))}
SERVER = {"server_executed": st.booleans()}
STATUSES = st.sampled_from(("ok", "error", "cancelled", "truncated"))
REASONS = st.sampled_from(("stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error"))


def attachments() -> Strategy[Record]:
    """An attachment of one of the four kinds; its base64 is base64."""
    from base64 import b64encode

    name = {"name": texts()}
    kind = {"type": st.sampled_from(("image/png", "text/plain"))}
    inline = _objects({**kind, "content": st.binary(max_size=9).map(lambda data: b64encode(data).decode())}, name)
    digest = st.binary(min_size=32, max_size=32).map(bytes.hex)
    by_path = _objects({**kind, "path": texts(), "sha256": digest}, name)
    by_url = _objects({"url": texts()}, {**kind, **name})
    return inline | by_path | by_url | _objects({}, {**kind, **name})


def sources() -> Strategy[Record]:
    """What an annotation says."""
    said = {"url": texts(), "title": texts(), "cited_text": texts(), "start": counts(), "end": counts()}
    return _objects({"kind": names()}, {**said, **META})


def _call_ids() -> Strategy[str]:
    return st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


def known_parts(unknown: bool = True) -> dict[str, Strategy[Record]]:
    """A strategy for each part type of the format, with unknown fields or without."""

    def _part(kind: str, required: dict[str, Strategy[Any]], optional: dict[str, Strategy[Any]]) -> Strategy[Record]:
        return _objects({"type": st.just(kind), **required}, {**optional, **META}, unknown)

    call_id = {"tool_call_id": _call_ids()}
    files = {"attachments": st.lists(attachments(), max_size=2)}
    raw = {"arguments_raw": texts() | st.sampled_from(("{}", "{ }", '{"a":1}', "null")), "exception": texts()}
    return {
        "text": _part("text", {"text": texts()}, {"annotations": st.lists(sources(), max_size=2), **PHASE}),
        "reasoning": _part("reasoning", {"text": texts()}, {"redacted": st.booleans()}),
        "refusal": _part("refusal", {"text": texts()}, {}),
        "tool_call": _part("tool_call", {"name": texts(), "arguments": json_objects(), **call_id}, {**SERVER, **raw}),
        "tool_result": _part(
            "tool_result",
            {"name": texts(), "output": texts(), **call_id},
            {**SERVER, "exception": texts(), **files},
        ),
        "attachment": _part("attachment", {"attachment": attachments()}, {}),
    }


def unknown_parts() -> Strategy[Record]:
    """A vendor's own block. Fields of other part types mean nothing in it."""
    borrowed = {name: json_values(3) for name in ("text", "attachment", "attachments", "arguments", "phase")}
    kinds = st.sampled_from(("web_search_call", "container_upload", "x"))
    return _objects({"type": kinds}, {**borrowed, **META})


def parts() -> Strategy[Record]:
    return st.one_of(*known_parts().values(), unknown_parts())


def _usages() -> Strategy[Record]:
    details = st.dictionaries(names(), counts(), max_size=2)
    return _objects({}, {"input": counts(), "output": counts(), "details": details})


def _timings() -> Strategy[Record]:
    return _objects({}, {"first": numbers(), "total": numbers()})


_FAILURE = {
    "http_status": counts(),
    "retryable": st.booleans(),
    "retry_after": numbers(),
    "request_id": texts(),
}
_SAID_ALWAYS = {"code": names(), "message": texts(), "exit_status": counts()}
_ORIGIN = {
    "model": texts(),
    "provider": texts(),
    "created": texts(),
    "request": json_objects(),
    "request_id": texts(),
}
_OUTCOME = {
    "finish_reason": REASONS,
    "finish_reason_raw": texts(),
    "usage": _usages(),
    "model_served": texts(),
    "timing": _timings(),
    "details": json_objects(),
}


def failures() -> Strategy[Record]:
    """An error without its type, as a response or a conversation record has it."""
    return _objects({}, {**_SAID_ALWAYS, **_FAILURE})


def responses() -> Strategy[Record]:
    optional = {"id": texts(), "error": failures(), **_ORIGIN, **_OUTCOME}
    whole = _objects({}, {"status": st.just("ok"), **optional})
    return whole | _objects({"status": STATUSES, "exit_status": counts()}, optional)


def messages(of: Strategy[Record] | None = None) -> Strategy[Record]:
    """A message of any role, with the parts of `of`."""
    roles = st.sampled_from(("system", "user", "assistant", "tool"))
    said = {"role": roles, "parts": st.lists(parts() if of is None else of, max_size=4)}
    return _objects({"type": st.just("message"), **said}, {**META, "response": responses()})


def tools() -> Strategy[Record]:
    optional = {"description": texts(), "input_schema": json_objects(), **META}
    return _objects({"type": st.just("tool"), "name": texts()}, optional)


def conversations() -> Strategy[Record]:
    optional = {
        "id": texts(),
        "tools": st.lists(tools(), max_size=2),
        "options": json_objects(),
        "meta": json_objects(),
        "error": failures(),
    }
    said = {"type": st.just("conversation"), "messages": st.lists(messages(), max_size=2)}
    return _objects(said, optional)


def _event(kind: str, required: dict[str, Strategy[Any]], optional: dict[str, Strategy[Any]]) -> Strategy[Record]:
    return _objects({"type": st.just(kind), **required}, optional)


def _part_events() -> dict[str, Strategy[Record]]:
    place = {"part_index": counts()}
    chunk = {"chunk": texts(), **place}
    call_id = {"tool_call_id": texts()}
    result = {"tool_name": texts(), "exception": texts(), **call_id, **SERVER, **META}
    return {
        "text": _event("text", chunk, {**PHASE, **META}),
        "reasoning": _event("reasoning", chunk, {"redacted": st.booleans(), **META}),
        "refusal": _event("refusal", chunk, META),
        "tool_call_name": _event("tool_call_name", chunk, {**call_id, **SERVER, **META}),
        "tool_call_args": _event("tool_call_args", chunk, {**call_id, **META}),
        "tool_result": _event("tool_result", chunk, result),
        "attachment": _event("attachment", place, {"chunk": texts(), "attachment": attachments(), **META}),
        "annotation": _event("annotation", {**place, "annotation": sources()}, META),
        "part": _event("part", {**place, "part": parts()}, META),
    }


def _bracket_events() -> dict[str, Strategy[Record]]:
    identity = {"response_id": texts()}
    role = {"role": st.sampled_from(("assistant", "tool"))}
    origin = {name: drawn for name, drawn in _ORIGIN.items() if name != "model"}
    ended = _event("end", {**identity, "status": STATUSES, "exit_status": counts()}, {**_OUTCOME, **META})
    return {
        "start": _event("start", {**identity, "model": texts()}, {**origin, **role, **META}),
        "reset": _event("reset", {"reason": texts()}, {}),
        "notice": _event("notice", {"code": names(), "message": texts()}, {}),
        "error": _event("error", _SAID_ALWAYS, _FAILURE),
        "end": ended | _event("end", {**identity, "status": st.just("ok")}, {**_OUTCOME, **META}),
    }


def known_records() -> dict[str, Strategy[Record]]:
    """A strategy for each record type of the format."""
    history = {"message": messages(), "tool": tools(), "conversation": conversations()}
    return {**history, **_part_events(), **_bracket_events()}


def records() -> Strategy[Record]:
    """A record of a known type."""
    return st.one_of(*known_records().values())


WRONG: Final[tuple[Json, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**64,
    "",
    "ok",
    "error",
    "tool",
    [],
    {},
    [0],
    [{}],
    {"a": 1},
    {"a": {}},
)
"""Values of every kind, for places that want another. No float among them is whole."""

_KNOWN_NAMES = ("type", "chunk", "part_index", "role", "usage", "status", "error", "annotations", "provider_metadata")


def _places(value: Json, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in `value`, objects before what they hold."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        found += _places(item, (*path, name))
    return found


def _with(value: Json, path: tuple[Any, ...], change: Any) -> Json:
    """A copy of `value` in which `change` was applied to the object or list that holds `path`."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        change(copy, path[0])
    else:
        copy[path[0]] = _with(value[path[0]], path[1:], change)
    return copy


@st.composite
def mutations(draw: st.DrawFn, of: Strategy[Record]) -> Record:
    """A record of `of` after one to three changes, some of which make it wrong."""
    record: Record = draw(of)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(record)
        if not places:
            break
        path = draw(st.sampled_from(places))
        wrong = draw(st.sampled_from(WRONG))
        name = draw(st.sampled_from(_KNOWN_NAMES) | names())
        how = draw(st.sampled_from(("drop", "replace", "add")))
        record = _with(record, path, lambda holder, at, h=how, w=wrong, n=name: _change(holder, at, h, w, n))
    return record


def _change(holder: Json, at: Any, how: str, wrong: Json, name: str) -> None:
    if how == "drop":
        del holder[at]
    elif how == "replace" or isinstance(holder, list):
        holder[at] = wrong
    else:
        holder[name] = wrong
