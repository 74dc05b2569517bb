"""The first law: the events of a response fold to exactly its message."""

from __future__ import annotations

import copy
import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError
from llmtools.records.check import check_record
from llmtools.records.fold import (
    Fold,
    events_of,
    merge_metadata,
    message_of,
    parse_arguments,
)
from llmtools.records.jsonl import dumps, loads
from support.strategies import (
    QUICK,
    json_objects,
    json_values,
    known_parts,
    messages,
    metadata,
    parts,
    texts,
    unknown_parts,
)

Event = dict[str, Any]
START: Event = {"type": "start", "response_id": "r1", "model": "echo"}
END: Event = {"type": "end", "response_id": "r1", "status": "ok"}
CUT: Event = {"type": "end", "response_id": "r1", "status": "truncated", "exit_status": 75}


def fold(*events: Event, end: Event = END) -> list[Event]:
    """The parts of the message that the events of one response make."""
    for event in events:
        check_record(event)
    message = message_of([START, *events, end])
    check_record(message)
    return message["parts"]


def text(chunk: str, index: int = 0, **fields: Any) -> Event:
    return {"type": "text", "chunk": chunk, "part_index": index, **fields}


def call(name: str, *arguments: str, index: int = 0, **fields: Any) -> list[Event]:
    first: Event = {"type": "tool_call_name", "chunk": name, "part_index": index, **fields}
    return [first, *({"type": "tool_call_args", "chunk": chunk, "part_index": index} for chunk in arguments)]


def whole(part: Event, index: int = 0, **fields: Any) -> Event:
    return {"type": "part", "part_index": index, "part": part, **fields}


# A message to events and back


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1 is not 1.0, and true is not 1."""
    return (
        one == other
        and json.loads(dumps(one)) == json.loads(dumps(other))
        and repr(_sorted(one)) == repr(_sorted(other))
    )


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@QUICK
@given(messages())
def test_a_message_folds_from_its_own_events(message: Any) -> None:
    assert same(fold(*events_of(message)), message["parts"])


@pytest.mark.parametrize("kind", sorted(known_parts()))
def test_every_kind_of_part_does(kind: str) -> None:
    @QUICK
    @given(known_parts(unknown=False)[kind])
    def holds(part: Any) -> None:
        assert same(fold(*events_of({"type": "message", "role": "assistant", "parts": [part]})), [part])

    holds()


@QUICK
@given(st.lists(parts(), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_it_does_when_the_parts_interleave(given_parts: list[Event], random: Any) -> None:
    events = events_of({"type": "message", "role": "assistant", "parts": given_parts})
    queues = [[event for event in events if event["part_index"] == place] for place in range(len(given_parts))]
    mixed: list[Event] = []
    while any(queues):
        mixed.append(random.choice([queue for queue in queues if queue]).pop(0))
    assert same(fold(*mixed), given_parts)


def test_arguments_that_differ_from_their_raw_text_come_back_both() -> None:
    part = {"type": "tool_call", "name": "f", "arguments": {"a": 1}, "tool_call_id": "c", "arguments_raw": '{"a": 2}'}
    assert fold(*events_of({"type": "message", "role": "assistant", "parts": [part]})) == [part]


def test_a_message_says_what_its_bracket_says() -> None:
    start = {
        **START,
        "provider": "p",
        "created": "2026-11-21T00:00:00Z",
        "request": {"options": {"n": 1}},
        "request_id": "q",
    }
    end = {
        **{"type": "end", "response_id": "r2", "status": "error", "exit_status": 69, "finish_reason": "error"},
        **{"finish_reason_raw": "boom", "usage": {"input": 1, "output": 2}, "model_served": "echo-1"},
        **{"timing": {"first": 0.1, "total": 0.2}, "details": {"p": {"cost": 0.5}}},
    }
    error = {"type": "error", "code": "unavailable", "message": "gone", "exit_status": 69, "http_status": 503}
    assert message_of([start, text("a"), error, end])["response"] == {
        **{"id": "r2", "model": "echo", "provider": "p", "created": "2026-11-21T00:00:00Z", "request_id": "q"},
        **{"request": {"options": {"n": 1}}, "status": "error", "exit_status": 69, "finish_reason": "error"},
        **{"finish_reason_raw": "boom", "usage": {"input": 1, "output": 2}, "model_served": "echo-1"},
        **{"timing": {"first": 0.1, "total": 0.2}, "details": {"p": {"cost": 0.5}}},
        **{"error": {"code": "unavailable", "message": "gone", "http_status": 503}},
    }


def test_a_bracket_of_tools_makes_a_tool_message() -> None:
    result = {"type": "tool_result", "chunk": "4", "part_index": 0, "tool_call_id": "c", "tool_name": "add"}
    message = message_of([{**START, "role": "tool"}, result, END])
    assert message["role"] == "tool"
    assert message["parts"] == [{"type": "tool_result", "name": "add", "output": "4", "tool_call_id": "c"}]


def test_other_records_among_the_events_are_passed_over() -> None:
    others: list[Event] = [
        {"type": "message", "role": "user", "parts": []},
        {"type": "tool", "name": "f"},
        {"type": "notice", "code": "retry", "message": "again"},
        {"type": "new", "x": 1},
    ]
    mixed = [record for event in (START, text("a"), text("b"), END) for record in (*others, event)]
    assert message_of(mixed) == message_of([START, text("a"), text("b"), END])


def test_a_response_without_parts_is_an_empty_message() -> None:
    assert fold() == []


# Random responses, with the message they must make


def _pieces(draw: st.DrawFn, value: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(value)), max_size=3)))
    return [value[a:b] for a, b in zip([0, *cuts], [*cuts, len(value)], strict=True)]


def _merged(metadatas: list[dict[str, Any]]) -> dict[str, Any]:
    issuers: dict[str, dict[str, Any]] = {issuer: {} for said in metadatas for issuer in said}
    for said in metadatas:
        for issuer, fields in said.items():
            issuers[issuer] = issuers[issuer] | fields
    return issuers


def _with_metadata(draw: st.DrawFn, events: list[Event], part: Event) -> tuple[list[Event], Event]:
    said = [draw(st.none() | metadata()) for _ in events]
    events = [
        event if meta is None else {**event, "provider_metadata": meta}
        for event, meta in zip(events, said, strict=True)
    ]
    found = [meta for meta in said if meta is not None]
    return events, {**part, "provider_metadata": _merged(found)} if found else part


def _text_like(draw: st.DrawFn) -> tuple[list[Event], Event]:
    kind = draw(st.sampled_from(("text", "reasoning", "refusal")))
    value = draw(texts(20))
    fields: Event = {"phase": "answer"} if kind == "text" and draw(st.booleans()) else {}
    events = [{"type": kind, "chunk": chunk, **fields} for chunk in _pieces(draw, value)]
    notes: list[Event] = []
    if kind == "text":
        notes = draw(st.lists(st.fixed_dictionaries({"kind": st.just("url"), "title": texts()}), max_size=2))
        events += [{"type": "annotation", "annotation": note} for note in notes]
    return events, {"type": kind, "text": value, **fields, **({"annotations": notes} if notes else {})}


def _tool_call(draw: st.DrawFn) -> tuple[list[Event], Event]:
    name, arguments = draw(texts()), draw(json_objects())
    raw = draw(st.sampled_from((None, " ", "\n  ")))
    value = dumps(arguments).decode() if raw is None else raw + dumps(arguments).decode()
    said = {"tool_call_id": "c1", "server_executed": True} if draw(st.booleans()) else {"tool_call_id": "c1"}
    events = [{"type": "tool_call_name", "chunk": chunk, **said} for chunk in _pieces(draw, name)]
    events += [{"type": "tool_call_args", "chunk": chunk, "tool_call_id": "c1"} for chunk in _pieces(draw, value)]
    nameless = {} if name else {"exception": "the call has no name"}
    part = {"type": "tool_call", "name": name, "arguments": arguments, **nameless, **said}
    return events, part if raw is None else {**part, "arguments_raw": value}


def _tool_result(draw: st.DrawFn) -> tuple[list[Event], Event]:
    output = draw(texts(20))
    said = {"tool_call_id": "c1", "exception": "boom"} if draw(st.booleans()) else {"tool_call_id": "c1"}
    events = [{"type": "tool_result", "chunk": chunk, "tool_name": "f", **said} for chunk in _pieces(draw, output)]
    return events, {"type": "tool_result", "name": "f", "output": output, **said}


def _attachment(draw: st.DrawFn) -> tuple[list[Event], Event]:
    chunks = draw(st.lists(st.binary(max_size=7), max_size=3))
    first: Event = {"type": "attachment", "attachment": {"type": "image/png"}}
    events = [first, *({"type": "attachment", "chunk": b64encode(chunk).decode()} for chunk in chunks)]
    attachment = {"type": "image/png", **({"content": b64encode(b"".join(chunks)).decode()} if chunks else {})}
    return events, {"type": "attachment", "attachment": attachment}


def _replaced(draw: st.DrawFn) -> tuple[list[Event], Event]:
    part = draw(parts())
    return [{"type": "reasoning", "chunk": "void"}, {"type": "part", "part": part}], part


@st.composite
def responses(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Part events in any order that keeps those of one part in theirs, and the parts they make."""
    makers = draw(st.lists(st.sampled_from((_text_like, _tool_call, _tool_result, _attachment, _replaced)), max_size=4))
    made = []
    for make in makers:
        events, part = make(draw)
        made.append((events, part) if make is _replaced else _with_metadata(draw, events, part))
    queues = {place: list(events) for place, (events, _) in enumerate(made)}
    events = []
    order: dict[int, int] = {}
    while any(queues.values()):
        place = draw(st.sampled_from([place for place, queue in queues.items() if queue]))
        index = order.setdefault(place, len(order))
        events.append({**queues[place].pop(0), "part_index": index})
    return events, [made[place][1] for place in order]


@QUICK
@given(responses())
def test_events_fold_to_the_parts_they_were_made_of(response: tuple[list[Event], list[Event]]) -> None:
    events, expected = response
    assert same(fold(*events), expected)


@QUICK
@given(responses())
def test_folding_and_asking_early_change_nothing(response: tuple[list[Event], list[Event]]) -> None:
    events, expected = response
    before = copy.deepcopy(events)
    folded = Fold()
    early = []
    for event in [START, *events, END]:
        folded.feed(event)
        message = folded.message()
        early.append((message, copy.deepcopy(message)))
    assert folded.message()["parts"] == expected
    assert events == before
    assert all(message == as_it_was for message, as_it_was in early)


# provider_metadata


META = {"a": {"x": {"p": 1}, "y": 1}, "b": {"z": 1}}
MORE = {"a": {"x": {"q": 2}}, "c": {}}
MERGED = {"a": {"x": {"q": 2}, "y": 1}, "b": {"z": 1}, "c": {}}

KINDS: dict[str, Event] = {
    "text": {"type": "text", "chunk": "a"},
    "reasoning": {"type": "reasoning", "chunk": "a"},
    "refusal": {"type": "refusal", "chunk": "a"},
    "tool_call_name": {"type": "tool_call_name", "chunk": "a"},
    "tool_call_args": {"type": "tool_call_args", "chunk": ""},
    "tool_result": {"type": "tool_result", "chunk": "a"},
    "attachment": {"type": "attachment", "attachment": {}},
    "annotation": {"type": "annotation", "annotation": {"kind": "x"}},
    "part": {"type": "part", "part": {"type": "x", "provider_metadata": {}}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_is_merged_one_level_deep(kind: str) -> None:
    event = {**KINDS[kind], "part_index": 0}
    (part,) = fold({**event, "provider_metadata": META}, {**event, "provider_metadata": MORE})
    assert part["provider_metadata"] == (MORE if kind == "part" else MERGED)


def test_metadata_may_come_before_its_text_or_after_everything() -> None:
    late = text("", 0, provider_metadata={"a": {"signature": "s"}})
    early = {"type": "reasoning", "chunk": "", "part_index": 1, "provider_metadata": {"a": {"id": 1}}}
    assert fold(text("hi"), early, {"type": "reasoning", "chunk": "hm", "part_index": 1}, late) == [
        {"type": "text", "text": "hi", "provider_metadata": {"a": {"signature": "s"}}},
        {"type": "reasoning", "text": "hm", "provider_metadata": {"a": {"id": 1}}},
    ]


def test_metadata_of_a_part_event_is_merged_into_the_part() -> None:
    part = {"type": "x", "provider_metadata": META}
    assert fold(whole(part, provider_metadata=MORE)) == [{"type": "x", "provider_metadata": MERGED}]


def test_metadata_of_start_and_end_is_the_messages() -> None:
    message = message_of([{**START, "provider_metadata": META}, text("a"), {**END, "provider_metadata": MORE}])
    assert message["provider_metadata"] == MERGED
    assert message["parts"] == [{"type": "text", "text": "a"}]


@QUICK
@given(metadata(), metadata())
def test_merging_keeps_fields_that_the_new_metadata_lacks(one: Any, other: Any) -> None:
    into = copy.deepcopy(one)
    merge_metadata(into, other)
    assert into == _merged([one, other])


# part and reset


def test_part_replaces_all_that_was_there() -> None:
    before = text("void", phase="commentary", provider_metadata=META)
    note = {"type": "annotation", "part_index": 0, "annotation": {"kind": "x"}}
    assert fold(before, note, whole({"type": "text", "text": "new"})) == [{"type": "text", "text": "new"}]


def test_part_may_change_the_type_of_the_part() -> None:
    redacted = {"type": "reasoning", "text": "", "redacted": True}
    assert fold(text("a"), whole(redacted), text("b", 1)) == [redacted, {"type": "text", "text": "b"}]


def test_chunks_after_a_part_append_to_it() -> None:
    assert fold(whole({"type": "text", "text": "a"}), text("b"), text("c")) == [{"type": "text", "text": "abc"}]
    result = {"type": "tool_result", "name": "f", "output": "a", "tool_call_id": "c"}
    more = {"type": "tool_result", "chunk": "b", "part_index": 0}
    assert fold(whole(result), more) == [{**result, "output": "ab"}]
    file = whole({"type": "attachment", "attachment": {"content": b64encode(b"a").decode()}})
    more = {"type": "attachment", "chunk": b64encode(b"b").decode(), "part_index": 0}
    assert fold(file, more) == [{"type": "attachment", "attachment": {"content": b64encode(b"ab").decode()}}]


def test_arguments_after_a_part_append_to_its_text() -> None:
    cut = {"type": "tool_call", "name": "f", "arguments": {}, "tool_call_id": "c", "arguments_raw": '{"a":'}
    expected = {"type": "tool_call", "name": "f", "arguments": {"a": 1}, "tool_call_id": "c"}
    assert fold(whole(cut), {"type": "tool_call_args", "chunk": "1}", "part_index": 0}) == [expected]


def test_annotations_after_a_part_append_and_leave_the_event_alone() -> None:
    event = whole({"type": "text", "text": "a", "annotations": [{"kind": "x"}]})
    before = copy.deepcopy(event)
    (part,) = fold(event, {"type": "annotation", "part_index": 0, "annotation": {"kind": "y"}})
    assert part["annotations"] == [{"kind": "x"}, {"kind": "y"}]
    assert event == before


def test_reset_forgets_everything_since_start() -> None:
    start = {**START, "provider": "old", "provider_metadata": META}
    error = {"type": "error", "code": "failed", "message": "", "exit_status": 1}
    reset: Event = {"type": "reset", "reason": "the stream was cut"}
    again = {**START, "response_id": "r2"}
    events = [start, text("void", 0), *call("f", "{}", index=1), error, reset, again, text("new", 0)]
    message = message_of([*events, {**END, "response_id": "r2"}])
    assert message == message_of([again, text("new", 0), {**END, "response_id": "r2"}])
    assert message["parts"] == [{"type": "text", "text": "new"}]


# Attachments


def test_chunks_of_an_attachment_are_decoded_each_on_its_own() -> None:
    pieces = [b"a", b"bc", b"def", b""]
    events = [{"type": "attachment", "chunk": b64encode(piece).decode(), "part_index": 0} for piece in pieces]
    (part,) = fold({"type": "attachment", "attachment": {"type": "audio/wav"}, "part_index": 0}, *events)
    assert b64decode(part["attachment"].pop("content")) == b"abcdef"
    assert part == {"type": "attachment", "attachment": {"type": "audio/wav"}}


def test_an_attachment_replaces_what_was_there() -> None:
    chunk = {"type": "attachment", "chunk": "YQ==", "part_index": 0}
    new = {"type": "attachment", "attachment": {"url": "https://x"}, "part_index": 0}
    assert fold(chunk, new) == [{"type": "attachment", "attachment": {"url": "https://x"}}]


def test_an_attachment_and_a_chunk_may_come_together() -> None:
    event = {"type": "attachment", "attachment": {"type": "a/b"}, "chunk": "YQ==", "part_index": 0}
    assert fold(event) == [{"type": "attachment", "attachment": {"type": "a/b", "content": "YQ=="}}]


@pytest.mark.parametrize("chunk", ["a", "YQ=", "é"])
def test_a_chunk_with_invalid_base64_is_refused(chunk: str) -> None:
    with pytest.raises(InputError):
        fold({"type": "attachment", "chunk": chunk, "part_index": 0})


# Tool calls


ARGUMENTS: dict[str, Event] = {
    "": {"arguments": {}},
    " ": {"arguments": {}},
    "null": {"arguments": {}},
    "{}": {"arguments": {}},
    "{ }": {"arguments": {}, "arguments_raw": "{ }"},
    '{"a":1}': {"arguments": {"a": 1}},
    '{"a": 1}': {"arguments": {"a": 1}, "arguments_raw": '{"a": 1}'},
    '{"a":1,"a":2}': {"arguments": {"a": 2}, "arguments_raw": '{"a":1,"a":2}'},
    '{"a":"\\u00e9"}': {"arguments": {"a": "é"}, "arguments_raw": '{"a":"\\u00e9"}'},
    '{"a":"é"}': {"arguments": {"a": "é"}},
    '{"a":18446744073709551616}': {"arguments": {"a": 2**64}},
    '{"a":1e400}': {"arguments": loads('{"a":1e400}')},
    '{"a":1E2}': {"arguments": {"a": 100.0}, "arguments_raw": '{"a":1E2}'},
    '{"a":2.50}': {"arguments": {"a": 2.5}, "arguments_raw": '{"a":2.50}'},
}


@pytest.mark.parametrize("raw", ARGUMENTS)
def test_arguments_are_parsed_and_their_text_kept_where_it_differs(raw: str) -> None:
    assert fold(*call("f", *raw, tool_call_id="c")) == [
        {"type": "tool_call", "name": "f", **ARGUMENTS[raw], "tool_call_id": "c"}
    ]


@pytest.mark.parametrize(
    "raw", ['{"a":', "[1]", '"text"', "1", "true", "{a:1}", '{"a":NaN}', '{"a":"\\ud800"}', "\ud800"]
)
def test_arguments_that_are_no_object_are_kept_and_never_run(raw: str) -> None:
    fields = parse_arguments(raw)
    assert fields.pop("exception").startswith("invalid arguments: ")
    assert fields == {"arguments": {}, "arguments_raw": raw}


@QUICK
@given(json_values() | texts(20))
def test_parsed_arguments_are_an_object_and_say_their_text(value: Any) -> None:
    raw = value if isinstance(value, str) else dumps(value).decode()
    fields = parse_arguments(raw)
    assert type(fields["arguments"]) is dict
    assert "exception" in fields or raw.strip() in ("", "null") or loads(raw) == fields["arguments"]
    assert "exception" not in fields or fields["arguments_raw"] == raw


@pytest.mark.parametrize("arguments", [(), ("",), (" ",), ("\n", " ")], ids=repr)
def test_a_call_cut_off_before_its_arguments_is_never_run(arguments: tuple[str, ...]) -> None:
    (part,) = fold(*call("f", *arguments, tool_call_id="c"), end=CUT)
    assert part["exception"]
    assert part["arguments"] == {}


def test_a_call_cut_off_in_its_arguments_is_never_run() -> None:
    (part,) = fold(*call("f", '{"a":', "1", tool_call_id="c"), end=CUT)
    assert part["exception"]
    assert part["arguments_raw"] == '{"a":1'


def test_a_whole_call_of_a_response_that_was_cut_may_run() -> None:
    expected = {"type": "tool_call", "name": "f", "arguments": {"a": 1}, "tool_call_id": "c"}
    assert fold(*call("f", '{"a":1}', tool_call_id="c"), end=CUT) == [expected]
    assert fold(whole({**expected, "arguments": {}}), end=CUT) == [{**expected, "arguments": {}}]


def test_a_call_without_an_id_is_named_by_its_place() -> None:
    part = {"type": "tool_call", "name": "h", "arguments": {}}
    ids = [part["tool_call_id"] for part in fold(*call("f"), *call("g", index=1, tool_call_id="c"), whole(part, 2))]
    assert ids == ["~0", "c", "~2"]


def test_an_id_that_comes_later_is_the_calls() -> None:
    late = {"type": "tool_call_args", "chunk": "{}", "part_index": 0, "tool_call_id": "c"}
    assert fold(*call("f"), late) == [{"type": "tool_call", "name": "f", "arguments": {}, "tool_call_id": "c"}]


def test_the_name_may_come_in_pieces_and_after_the_arguments() -> None:
    first: Event = {"type": "tool_call_args", "chunk": '{"a":1}', "part_index": 0, "tool_call_id": "c"}
    assert fold(first, *call("get_"), *call("time")) == [
        {"type": "tool_call", "name": "get_time", "arguments": {"a": 1}, "tool_call_id": "c"}
    ]


# Places and types


def test_parts_stand_in_the_order_of_their_places() -> None:
    parts_ = fold(text("c", 2), text("a", 0), text("b", 1))
    assert [part["text"] for part in parts_] == ["a", "b", "c"]


def test_flags_of_a_part_are_kept() -> None:
    hidden = {"type": "reasoning", "chunk": "", "part_index": 0, "redacted": True}
    assert fold(hidden, text("a", 1, phase="commentary")) == [
        {"type": "reasoning", "text": "", "redacted": True},
        {"type": "text", "text": "a", "phase": "commentary"},
    ]


@QUICK
@given(unknown_parts())
def test_an_unknown_part_type_comes_through_whole(part: Any) -> None:
    assert fold(whole(part)) == [part]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("text", "annotation", "part")])
def test_an_event_that_does_not_fit_its_part_is_refused(kind: str) -> None:
    with pytest.raises(InputError):
        fold(text("a"), {**KINDS[kind], "part_index": 0})


def test_a_text_in_the_place_of_an_unknown_part_is_refused() -> None:
    with pytest.raises(InputError):
        fold(whole({"type": "web_search_call"}), text("a"))
