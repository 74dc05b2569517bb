"""What a stream says: its reply, its failure, its pending calls; and those who read it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from llmtools.cli.parts.view import (
    STDERR,
    STDOUT,
    EventLines,
    PeopleView,
    View,
)
from llmtools.cli.send.relay import Relay
from llmtools.errors import (
    InputError,
    LlmToolsError,
    NoInputError,
    RequestError,
    TruncatedError,
    UsageError,
)
from llmtools.errors import from_record as error_of
from llmtools.exchange import echo
from llmtools.exchange.exchange import Exchange
from llmtools.exchange.replay import reply as replay
from llmtools.protocols.request import Request
from llmtools.records.check import EVENTS, check_record
from llmtools.records.conversation import (
    Conversation,
    from_record,
    text_of,
    unanswered,
)
from llmtools.records.fold import message_of
from llmtools.records.jsonl import dumps, encode
from support.strategies import known_parts

Record = dict[str, Any]


def user(text: str) -> Record:
    return {"type": "message", "role": "user", "parts": [{"type": "text", "text": text}]}


def said(text: str, **response: Any) -> Record:
    message: Record = {"type": "message", "role": "assistant", "parts": [{"type": "text", "text": text}]}
    return {**message, "response": response} if response else message


def call(*ids: str | None, **fields: Any) -> Record:
    parts: list[Record] = [{"type": "tool_call", "name": "f", "arguments": {}, **fields} for _ in ids]
    for part, call_id in zip(parts, ids, strict=True):
        if call_id is not None:
            part["tool_call_id"] = call_id
    return {"type": "message", "role": "assistant", "parts": parts}


def results(*ids: str) -> Record:
    parts = [{"type": "tool_result", "name": "f", "output": "ok", "tool_call_id": call_id} for call_id in ids]
    return {"type": "message", "role": "tool", "parts": parts}


def start(**fields: Any) -> Record:
    return {"type": "start", "response_id": "r", "model": "echo", **fields}


def text(chunk: str, index: int = 0, **fields: Any) -> Record:
    return {"type": "text", "chunk": chunk, "part_index": index, **fields}


def end(status: str = "ok", exit_status: int | None = None) -> Record:
    record: Record = {"type": "end", "response_id": "r", "status": status}
    return record if exit_status is None else {**record, "exit_status": exit_status}


def error(exit_status: int = 69, code: str = "unavailable") -> Record:
    return {"type": "error", "code": code, "message": f"it failed: {code}", "exit_status": exit_status}


def response(answer: str) -> list[Record]:
    return [start(), text(answer), said(answer, model="echo", status="ok"), end()]


RESET: Record = {"type": "reset", "reason": "again"}
NOTICE: Record = {"type": "notice", "code": "retry", "message": "again"}
BROKEN = [start(), text("a"), error(75), said("a", status="error", exit_status=75), end("error", 75)]


def conversation(*records: Record) -> Conversation:
    for record in records:
        check_record(record)
    return Conversation(records)


# Failed or not


WHOLE: dict[str, list[Record]] = {
    "nothing": [],
    "a question": [user("hi")],
    "a response": [user("hi"), *response("yes")],
    "a message without its events": [user("hi"), said("yes")],
    "a message without its end": [user("hi"), *response("yes")[:-1]],
    "a notice at the end": [user("hi"), *response("yes"), NOTICE],
    "a tool at the end": [*response("yes"), {"type": "tool", "name": "f"}],
    "an unknown record at the end": [*response("yes"), {"type": "new"}],
    "a reset and the reply after it": [start(), text("x"), RESET, *response("yes")],
    "a failed response, healed by a later one": [user("hi"), *BROKEN, *response("yes")],
    "a failed message, healed by a message": [user("hi"), said("a", status="error", exit_status=1), said("yes")],
    "a cut response, healed": [user("hi"), start(), text("a"), *response("yes")],
    "an error outside, healed": [user("hi"), error(), *response("yes")],
    "a failed conversation record, a stream of its own": [{"type": "conversation", "messages": [], "error": {}}],
    "a bracket of tools": [user("hi"), call("c"), start(role="tool"), results("c"), end()],
}
FAILED: dict[str, tuple[int, list[Record]]] = {
    "an error outside": (69, [user("hi"), error()]),
    "an error alone": (69, [error()]),
    "an error after a whole reply": (65, [*response("yes"), error(65)]),
    "an error between message and end": (65, [*response("yes")[:-1], error(65), end()]),
    "a failed response": (75, [user("hi"), *BROKEN]),
    "a failed response whose events were dropped": (75, [user("hi"), BROKEN[-2]]),
    "a failed response whose message was dropped": (75, [start(), text("a"), end("truncated", 75)]),
    "a failed end after a whole message": (70, [*response("yes")[:-1], end("error", 70)]),
    "a failed response, then a question": (75, [*BROKEN, user("hi")]),
    "events without a message": (75, [user("hi"), start(), text("a")]),
    "events and an end without a message": (75, [user("hi"), start(), text("a"), end()]),
    "a start alone": (75, [user("hi"), start()]),
    "an event alone": (75, [user("hi"), text("a")]),
    "an unknown event": (75, [user("hi"), {"type": "new", "part_index": 0}]),
    "a reset alone": (75, [start(), text("a"), RESET]),
    "a whole reply, then a cut one": (75, [*response("yes"), start(), text("a")]),
    "a whole reply, then a failed one": (75, [*response("yes"), *BROKEN]),
    "the first of two errors": (78, [error(78), error(69)]),
    "the error, not the end after it": (77, [start(), error(77), end("error", 1)]),
    "the error of the response, not one after it": (75, [*BROKEN, error(65)]),
    "the error before a response that was cut": (78, [error(78), start(), text("a")]),
    "a failed bracket of tools": (74, [call("c"), start(role="tool"), error(74), end("error", 74)]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_has_not_failed_after(name: str) -> None:
    told = conversation(*WHOLE[name])
    assert told.failure is None
    assert not told.is_failing


@pytest.mark.parametrize("name", FAILED)
def test_a_stream_has_failed_after(name: str) -> None:
    exit_status, records = FAILED[name]
    told = conversation(*records)
    assert told.is_failing
    failure = told.failure
    assert failure is not None
    check_record(failure)
    assert failure["exit_status"] == exit_status
    assert error_of(failure).exit_status == exit_status


@pytest.mark.parametrize("name", FAILED)
def test_a_later_reply_heals_it(name: str) -> None:
    assert conversation(*FAILED[name][1], user("again"), *response("yes")).failure is None
    assert conversation(*FAILED[name][1], user("again"), said("yes")).failure is None


def test_a_question_after_a_failed_response_heals_nothing() -> None:
    assert conversation(*BROKEN, user("again"), {"type": "tool", "name": "f"}).is_failing


def test_the_failure_says_what_the_response_says() -> None:
    message = said(
        "a", status="error", exit_status=75, error={"code": "overloaded", "message": "busy", "http_status": 529}
    )
    failure = conversation(message).failure
    assert failure == {
        **{"type": "error", "code": "overloaded", "message": "busy", "http_status": 529, "exit_status": 75}
    }


@pytest.mark.parametrize(
    ("status", "code"), [("cancelled", "cancelled"), ("truncated", "truncated"), ("error", "failed")]
)
def test_a_status_alone_is_a_failure_of_its_name(status: str, code: str) -> None:
    failure = conversation(said("a", status=status, exit_status=75)).failure
    assert failure is not None
    assert failure["code"] == ("failed" if status == "error" else status)


# The reply and the model


def test_the_reply_is_every_assistant_message_after_the_last_user_message() -> None:
    told = conversation(user("1"), said("old"), user("2"), call("c"), results("c"), said("a"), said("b"))
    assert [text_of(message) for message in told.reply] == ["", "a", "b"]
    assert conversation(user("1"), said("old"), user("2")).reply == []
    assert conversation(said("a")).reply == [said("a")]
    assert conversation().reply == []


def test_the_text_of_a_message_leaves_commentary_out() -> None:
    parts = [
        {"type": "text", "text": "let me see. ", "phase": "commentary"},
        {"type": "reasoning", "text": "hm"},
        {"type": "text", "text": "4", "phase": "answer"},
        {"type": "text", "text": "2"},
    ]
    assert text_of({"type": "message", "role": "assistant", "parts": parts}) == "42"


def test_the_model_is_that_of_the_last_reply() -> None:
    told = conversation(
        user("1"), said("a", model="m1"), user("2"), said("b", model="m2", model_served="m2-2026"), user("3")
    )
    assert told.model == "m2"
    assert conversation(said("a", model="m1"), said("b")).model == "m1"
    assert conversation({**user("x"), "response": {"model": "m"}}).model is None
    assert conversation(start(), text("a")).model is None


def test_the_last_tool_of_a_name_wins() -> None:
    old, new, other = ({"type": "tool", "name": name, "description": what} for name, what in ("fo", "fn", "go"))
    told = conversation(old, other, new)
    assert told.tools == {"f": new, "g": other}
    assert told.has_history


def test_events_are_no_history() -> None:
    assert not conversation(start(), text("a"), NOTICE, error()).has_history


# Pending calls


def test_calls_are_pending_until_a_tool_message_answers_them() -> None:
    asked = call("c1", "c2", "c3")
    assert [part["tool_call_id"] for part in conversation(asked).pending_calls()] == ["c1", "c2", "c3"]
    told = conversation(user("x"), asked, results("c1"), results("c3", "other"))
    assert [part["tool_call_id"] for part in told.pending_calls()] == ["c2"]
    assert conversation(asked, results("c1", "c2", "c3")).pending_calls() == []


def test_a_call_without_an_id_is_named_by_its_place() -> None:
    assert [part["tool_call_id"] for part in conversation(call(None, "c", None)).pending_calls()] == ["~0", "c", "~2"]
    told = conversation(call(None, None), results("~1"))
    assert [part["tool_call_id"] for part in told.pending_calls()] == ["~0"]


def test_calls_of_the_provider_are_never_pending() -> None:
    assert conversation(call("c", server_executed=True)).pending_calls() == []
    assert len(conversation(call("c", server_executed=False)).pending_calls()) == 1


def test_only_calls_of_the_last_assistant_message_are_pending() -> None:
    assert conversation(call("c"), said("never mind")).pending_calls() == []
    assert conversation().pending_calls() == []


def test_an_id_means_nothing_outside_its_message() -> None:
    told = conversation(call("c"), results("c"), call("c"))
    assert len(told.pending_calls()) == 1
    assert unanswered(told.messages, 0) == []


def test_a_result_before_the_call_answers_nothing() -> None:
    assert len(conversation(results("c"), call("c")).pending_calls()) == 1


# Conversation records


def test_a_conversation_record_is_a_stream_of_its_own() -> None:
    record = {
        **{"type": "conversation", "id": "row-1", "tools": [{"name": "f"}], "meta": {"n": 1}},
        "messages": [{"role": "user", "parts": []}, said("yes", model="m")],
    }
    outer = conversation(user("hi"), record, record)
    assert outer.conversations == 2
    assert len(outer.messages) == 1
    inner = from_record(record)
    assert [message["role"] for message in inner.messages] == ["user", "assistant"]
    assert inner.tools == {"f": {"type": "tool", "name": "f"}}
    assert inner.model == "m"
    assert inner.failure is None


def test_an_error_in_a_conversation_record_is_its_failure() -> None:
    said_: Record = {"code": "quota", "message": "empty"}
    record = {"type": "conversation", "messages": [user("hi")], "error": said_}
    failure = from_record({**record, "error": {**said_, "exit_status": 77}}).failure
    assert failure == {"type": "error", "code": "quota", "message": "empty", "exit_status": 77}
    unnamed = from_record({**record, "error": {}}).failure
    assert unnamed is not None
    check_record(unnamed)


# Relay: what llm-send passes on


def passed(relay: Relay, *records: Record) -> list[Record]:
    """The records whose lines go on while they are read."""
    lines = {dumps(record): record for record in records}
    return [lines[line] for record in records for line in relay.feed(record, dumps(record))]


def test_events_of_earlier_responses_are_dropped() -> None:
    relay = Relay()
    records = [user("hi"), *response("yes"), NOTICE, user("again")]
    assert passed(relay, *records) == [user("hi"), records[3], NOTICE, user("again")]
    assert relay.release(events=False) == []


def test_unknown_events_of_earlier_responses_are_dropped_unknown_records_are_not() -> None:
    unknown: Record = {"type": "new", "x": 1}
    event: Record = {"type": "video", "chunk": "x", "part_index": 1}
    whole = response("yes")
    assert passed(Relay(), user("hi"), unknown, *whole[:2], event, *whole[2:]) == [user("hi"), unknown, whole[2]]


def test_a_failed_stream_is_passed_on_whole_and_in_order() -> None:
    relay = Relay()
    records = [user("hi"), *response("yes"), user("more"), *BROKEN, user("late")]
    now = passed(relay, *records)
    assert now == [user("hi"), records[3], user("more")]
    assert relay.conversation.is_failing
    assert relay.release(events=True) == [dumps(record) for record in [*BROKEN, user("late")]]
    assert relay.release(events=True) == []


def test_errors_are_never_dropped() -> None:
    relay = Relay()
    records = [user("hi"), *BROKEN, *response("yes")]
    assert passed(relay, *records) == [user("hi"), BROKEN[2], BROKEN[3], records[-2]]
    assert relay.conversation.failure is None


def test_lines_go_on_byte_for_byte() -> None:
    raw = b' {"role":"user", "type" : "message","parts":[],"x":1.50}'
    assert Relay().feed({"type": "message", "role": "user", "parts": [], "x": 1.5}, raw) == [raw]


SYSTEM = {"type": "message", "role": "system", "parts": [{"type": "text", "text": "Be brief"}]}


def test_instructions_become_the_first_message_unless_they_are() -> None:
    tool: Record = {"type": "tool", "name": "f"}
    assert Relay("Be brief").feed(user("hi"), b"raw") == [dumps(SYSTEM), b"raw"]
    assert Relay("Be brief").feed(SYSTEM, b"raw") == [b"raw"]
    relay = Relay("Be brief")
    assert relay.feed(tool, b"tool") == [b"tool"]
    assert relay.feed(user("hi"), b"raw") == [dumps(SYSTEM), b"raw"]
    assert relay.feed(user("more"), b"more") == [b"more"]
    assert relay.eof() == []
    assert Relay("Be brief").eof() == [dumps(SYSTEM)]
    assert Relay().eof() == []


# Replay


def play(path: Path, *messages: Record, **options: Any) -> list[Any]:
    """What the model replay/PATH yields: records and pauses, in order."""
    found: list[Any] = []
    for item in replay(str(path), conversation(*messages), Request("replay", options=options)):
        found += item if isinstance(item, list) else [item]
    return found


def chunks(items: list[Any]) -> str:
    return "".join(item["chunk"] for item in items if isinstance(item, dict) and "chunk" in item)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / "saved.jsonl"


def test_the_reply_at_the_same_place_is_played(saved: Path) -> None:
    tools = [start(role="tool"), results("c"), end()]
    saved.write_bytes(encode([user("1"), *response("one"), *tools, *response("two"), user("3"), said("three")]))
    assert chunks(play(saved, user("x"))) == "one"
    assert chunks(play(saved, user("x"), said("other"), user("y"))) == "two"
    assert chunks(play(saved, said("a"), said("b"), user("y"))) == "three"
    with pytest.raises(NoInputError):
        play(saved, said("a"), said("b"), said("c"), user("y"))


def test_a_reply_that_failed_fails_again_after_its_events(saved: Path) -> None:
    saved.write_bytes(encode([user("1"), *BROKEN]))
    played = replay(str(saved), conversation(user("x")), Request("replay"))
    assert [event["type"] for item in (next(played), next(played)) if isinstance(item, list) for event in item] == [
        "start",
        "text",
    ]
    with pytest.raises(LlmToolsError) as failure:
        next(played)
    assert failure.value.exit_status == 75


@pytest.mark.parametrize(
    "records",
    [
        [start(), text("a")],
        [start()],
        [start(), text("a"), said("a", status="truncated", exit_status=75)],
        [start(), text("a"), end("truncated", 75)],
        [said("a", status="truncated", exit_status=75)],
    ],
)
def test_a_reply_that_was_cut_off_is_cut_off_again(saved: Path, records: list[Record]) -> None:
    saved.write_bytes(encode([user("1"), *records]))
    with pytest.raises(TruncatedError):
        play(saved, user("x"))


def test_a_message_alone_is_played_as_events(saved: Path) -> None:
    message = {**said("hi", model="m", status="ok", finish_reason="stop"), "provider_metadata": {"a": {"x": 1}}}
    message["parts"].append({"type": "tool_call", "name": "f", "arguments": {"a": 1}, "tool_call_id": "c"})
    saved.write_bytes(encode([user("1"), message]))
    played = message_of([event for event in play(saved, user("x")) if isinstance(event, dict)])
    assert played["parts"] == message["parts"]
    assert played["provider_metadata"] == {"a": {"x": 1}}
    assert played["response"]["finish_reason"] == "stop"


def test_a_reply_with_a_reset_is_one_reply(saved: Path) -> None:
    saved.write_bytes(encode([user("1"), start(), text("void"), RESET, *response("one"), user("2"), *response("two")]))
    first = [event for event in play(saved, user("x")) if isinstance(event, dict)]
    assert message_of(first)["parts"] == said("one")["parts"]
    assert chunks(play(saved, user("x"), said("one"), user("y"))) == "two"


def test_timing_is_played_as_pauses(saved: Path) -> None:
    timed = {**said("abcd", status="ok"), "response": {"status": "ok", "timing": {"first": 0.5, "total": 1.5}}}
    records = [user("1"), start(), *(text(letter) for letter in "abcd"), timed]
    saved.write_bytes(encode(records))
    begun = time.monotonic()
    items = play(saved, user("x"), timing=True)
    assert [item for item in items if isinstance(item, float)] == [0.5, 0.25, 0.25, 0.25]
    assert [item for item in play(saved, user("x")) if isinstance(item, float)] == []
    assert chunks(items) == "abcd"
    assert time.monotonic() - begun < 60  # the pauses are said, not slept


@pytest.mark.parametrize("timing", [{"first": -1, "total": -2}, {"first": 10**400, "total": 0}, {"total": 10**400}])
def test_every_pause_can_be_slept(saved: Path, timing: Record) -> None:
    saved.write_bytes(encode([user("1"), start(), text("a"), text("b"), said("ab", timing=timing)]))
    assert all(0 <= item <= 10**6 for item in play(saved, user("x"), timing=True) if isinstance(item, float))


def test_timing_is_true_or_false(saved: Path) -> None:
    saved.write_bytes(encode([user("1"), *response("a")]))
    with pytest.raises(UsageError):
        play(saved, user("x"), timing="yes")


def test_a_file_that_is_not_there_or_no_stream_is_refused(saved: Path) -> None:
    with pytest.raises(NoInputError):
        play(saved, user("x"))
    saved.write_bytes(encode([user("1")]) + b"nonsense\n")
    with pytest.raises(InputError, match=r"line 2"):
        play(saved, user("x"))


# Echo


def answer(prompt: str, *before: Record) -> tuple[list[Record], LlmToolsError | None]:
    """The records of echo's response to `prompt`, and how it failed."""
    exchange = Exchange(conversation(*before, user(prompt)), Request("echo"))
    records = [record for batch in exchange.batches(lambda seconds: None) for record in batch]
    for record in records:
        check_record(record)
    return records, exchange.failure


def script(**said_: Any) -> str:
    return dumps(said_).decode()


def parts_of(records: list[Record]) -> list[Record]:
    (message,) = (record for record in records if record["type"] == "message")
    assert message_of(records) == message
    return [*message["parts"]]


def test_echo_repeats_the_last_user_message() -> None:
    records, failure = answer("one  two\nthree ", user("first"))
    assert failure is None
    assert [record["chunk"] for record in records if record["type"] == "text"] == ["one", "  two", "\nthree", " "]
    assert parts_of(records) == [{"type": "text", "text": "one  two\nthree "}]
    assert [record["type"] for record in records][-2:] == ["message", "end"]


def test_echo_answers_tool_results_with_their_outputs() -> None:
    (*_, last) = echo.reply(conversation(user("x"), call("c", "d"), results("c", "d")), Request("echo"))
    events = [
        event
        for item in echo.reply(conversation(user("x"), call("c", "d"), results("c", "d")), Request("echo"))
        if isinstance(item, list)
        for event in item
    ]
    assert chunks(events) == "ok\nok"
    assert isinstance(last, list)


def test_an_echo_script_makes_every_part_type() -> None:
    file = {"type": "image/png", "content": "YQ=="}
    result = {"type": "tool_result", "chunk": "4", "part_index": 5, "tool_name": "f", "tool_call_id": "~3"}
    records, failure = answer(
        script(
            reasoning="let me see",
            text="the answer",
            refusal="no",
            tool_calls=[{"name": "f", "arguments": {"a": 2**64}}],
            attachments=[file],
            events=[result, {"type": "part", "part_index": 6, "part": {"type": "web_search_call", "x": 1}}],
        )
    )
    assert failure is None
    assert parts_of(records) == [
        {"type": "reasoning", "text": "let me see"},
        {"type": "text", "text": "the answer"},
        {"type": "refusal", "text": "no"},
        {"type": "tool_call", "name": "f", "arguments": {"a": 2**64}, "tool_call_id": "~3"},
        {"type": "attachment", "attachment": file},
        {"type": "tool_result", "name": "f", "output": "4", "tool_call_id": "~3"},
        {"type": "web_search_call", "x": 1},
    ]
    assert set(known_parts()) <= {part["type"] for part in parts_of(records)}


def test_an_echo_script_makes_every_event_type() -> None:
    place = {"part_index": 0}
    events = [
        {"type": "text", "chunk": "void", **place},
        {"type": "reset", "reason": "again"},
        {"type": "start", "response_id": "r2", "model": "echo"},
        {"type": "text", "chunk": "a", **place},
        {"type": "annotation", "annotation": {"kind": "url"}, **place},
        {"type": "reasoning", "chunk": "b", "part_index": 1},
        {"type": "refusal", "chunk": "c", "part_index": 2},
        {"type": "tool_call_name", "chunk": "f", "part_index": 3},
        {"type": "tool_call_args", "chunk": "{}", "part_index": 3},
        {"type": "tool_result", "chunk": "d", "part_index": 4},
        {"type": "attachment", "chunk": "YQ==", "part_index": 5},
        {"type": "part", "part": {"type": "x"}, "part_index": 6},
        NOTICE,
        error(),
    ]
    records, failure = answer(script(events=events))
    assert failure is not None
    assert failure.exit_status == 69
    assert {record["type"] for record in records} == set(EVENTS) | {"message"}
    assert [part["type"] for part in parts_of(records)] == [
        *("text", "reasoning", "refusal", "tool_call", "tool_result", "attachment", "x")
    ]


def test_an_echo_script_fails_as_it_says() -> None:
    records, failure = answer(script(text="a", error={"code": "rate_limited", "retry_after": 3}))
    assert [record["type"] for record in records] == ["start", "text", "error", "message", "end"]
    assert failure is not None
    assert (failure.code, failure.exit_status) == ("rate_limited", 75)
    assert [record["type"] for record in answer(script(error={"code": "no_key"}))[0]] == ["error"]


def test_an_echo_script_is_cut_off() -> None:
    records, failure = answer(script(text="a b", cut=True))
    assert isinstance(failure, TruncatedError)
    assert records[-1]["status"] == "truncated"
    assert records[-2]["parts"] == [{"type": "text", "text": "a b"}]


def test_an_echo_script_says_how_it_ends() -> None:
    records, failure = answer(script(text="a", finish_reason="length", usage={"input": 7, "output": 9}))
    assert failure is None
    assert (records[-1]["finish_reason"], records[-1]["usage"]) == ("length", {"input": 7, "output": 9})


def test_an_echo_script_pauses_between_events() -> None:
    items = list(echo.reply(conversation(user(script(text="a b c", delay=0.5))), Request("echo")))
    assert [item for item in items if not isinstance(item, list)] == [0.5, 0.5]


def test_text_that_is_no_script_is_repeated() -> None:
    for prompt in ('{"a":1}', "{}", "{", "[]", '{"text"'):
        assert parts_of(answer(prompt)[0]) == [{"type": "text", "text": prompt}]


@pytest.mark.parametrize(
    "wrong",
    [
        script(text="a", unknown=1),
        script(text=1),
        script(tool_calls=1),
        script(tool_calls=[{}]),
        script(attachments=[1]),
        script(events=[{"type": "text"}]),
        script(events=1),
        script(error=1),
        script(error={"code": []}),
        script(delay="x"),
        script(text="a b", delay=-1),
        '{"text":"a b","delay":1e400}',
        script(text="a b", delay=10**400),
        script(usage={"input": "x"}),
        script(usage=1),
        script(finish_reason="because"),
    ],
)
def test_a_wrong_echo_script_is_refused(wrong: str) -> None:
    assert isinstance(answer(wrong)[1], RequestError)


# View


def feed(view: View, *records: Record) -> None:
    view.feed([(record, dumps(record)) for record in records])


def shown(view: View, *, is_quiet: bool = False, is_end: bool = False, descriptor: int = STDOUT) -> str:
    return "".join(text for fd, text in view.take(is_quiet=is_quiet, is_end=is_end) if fd == descriptor)


def shown_whole(*records: Record, kinds: tuple[str, ...] = ("text",)) -> str:
    """What a stream that comes in one piece shows on stdout."""
    view = View(kinds)
    feed(view, *records)
    return shown(view, is_end=True)


def shown_live(*records: Record) -> str:
    """What a stream whose records come one by one shows on stdout."""
    view = View()
    found = ""
    for record in records:
        feed(view, record)
        found += shown(view)
    return found + shown(view, is_end=True)


def test_text_is_shown_as_it_comes() -> None:
    view = View()
    feed(view, user("hi"), start(), text("a"))
    assert shown(view) == "a"
    feed(view, text("b"), text("c"))
    assert shown(view) == "bc"
    assert shown(view, is_end=True) == ""


def test_a_reply_is_shown_once_from_events_or_from_its_message() -> None:
    assert shown_whole(user("hi"), *response("yes")) == shown_live(user("hi"), *response("yes")) == "yes"
    assert shown_whole(user("hi"), said("yes")) == shown_live(user("hi"), said("yes")) == "yes"


def test_an_old_reply_is_never_shown_as_new_within_one_feed() -> None:
    for old in (response("old"), [said("old")], BROKEN, [start(), text("old")]):
        assert shown_whole(user("1"), *old, user("2")) == ""
        assert shown_whole(user("1"), *old, user("2"), *response("new")) == "new"
        assert shown_whole(user("1"), *old, user("2"), said("new")) == "new"


def test_a_message_without_events_waits_for_the_end() -> None:
    view = View()
    feed(view, user("1"), said("maybe old"))
    assert shown(view) == shown(view, is_quiet=True) == ""
    feed(view, user("2"), said("new"))
    assert shown(view) == shown(view, is_quiet=True) == ""
    assert shown(view, is_end=True) == "new"


def test_a_complete_response_waits_for_quiet() -> None:
    view = View()
    feed(view, user("1"), *response("yes"))
    assert view.is_waiting
    assert shown(view) == ""
    assert shown(view, is_quiet=True) == "yes"
    assert not view.is_waiting


def test_the_rest_of_a_response_that_is_being_shown_does_not_wait() -> None:
    view = View()
    feed(view, user("1"), start(), text("y"))
    assert shown(view) == "y"
    feed(view, text("es"), said("yes"))
    assert shown(view) == "es"


def test_messages_stand_on_lines_of_their_own() -> None:
    both = [start(), text("a"), said("a"), end(), start(), text("b"), said("b"), end()]
    for records in (
        both,
        [said("a"), said("b")],
        [said("a"), *response("b")],
        [*response("a"), results("c"), said("b")],
    ):
        assert shown_whole(user("1"), *records) == shown_live(user("1"), *records) == "a\nb"
    assert shown_whole(user("1"), said("a\n"), said(""), said("b")) == "a\nb"


def test_commentary_is_not_shown() -> None:
    events = [text("hm ", 0, phase="commentary"), text("so ", 0), text("4", 1, phase="answer"), text("2", 1)]
    commented = {
        **said("42"),
        "parts": [{"type": "text", "text": "hm so ", "phase": "commentary"}, *said("42")["parts"]],
    }
    assert shown_whole(user("1"), start(), *events, commented) == "42"
    assert shown_live(user("1"), start(), *events, commented) == "42"
    assert shown_whole(user("1"), commented) == "42"
    assert shown_whole(user("1"), start(), *events, said("42"), *response("b")) == "42\nb"


def test_reset_takes_back_what_was_not_printed() -> None:
    assert shown_whole(user("1"), start(), text("void"), RESET, *response("yes")) == "yes"
    again = [start(), text("b"), RESET, *response("c")]
    assert shown_whole(user("1"), *response("a"), *again) == shown_whole(user("1"), said("a"), *again) == "a\nc"


@pytest.mark.parametrize("more", [[], [text("d")]], ids=["nothing more waits", "more waits"])
def test_reset_after_text_was_printed_is_a_newline_and_a_notice(more: list[Record]) -> None:
    view = View()
    feed(view, user("1"), start(), text("voi"))
    assert shown(view) == "voi"
    feed(view, *more, RESET)
    pieces = view.take()
    feed(view, start(), text("yes"))
    pieces += view.take()
    assert "".join(piece for fd, piece in pieces if fd == STDOUT) == "\nyes"
    assert "".join(piece for fd, piece in pieces if fd == STDERR).count("void") == 1


RICH: dict[str, Record] = {
    "with annotations": {"annotations": [{"kind": "url"}]},
    "with an unknown field": {"x": 1},
    "with metadata": {"provider_metadata": {"a": {"x": 1}}},
}


@pytest.mark.parametrize("name", RICH)
def test_text_that_came_whole_is_shown(name: str) -> None:
    part = {"type": "text", "text": "yes", **RICH[name]}
    message = {"type": "message", "role": "assistant", "parts": [part]}
    event = {"type": "part", "part_index": 0, "part": part}
    assert shown_whole(user("1"), message) == "yes"
    assert shown_live(user("1"), start(), event, message, end()) == "yes"


def test_every_part_that_came_whole_is_shown_once() -> None:
    parts = [{"type": "text", "text": chunk, "annotations": [{"kind": "url"}]} for chunk in "ab"]
    message = {"type": "message", "role": "assistant", "parts": [*parts, {"type": "text", "text": "c"}]}
    events = [{"type": "part", "part_index": place, "part": part} for place, part in enumerate(message["parts"])]
    assert shown_whole(user("1"), message) == "abc"
    assert shown_live(user("1"), start(), *events, message, end()) == "abc"
    corrected = [text("a", 0), text("b", 1), events[0], events[1], text("c", 2)]
    assert shown_live(user("1"), start(), *corrected, message, end()) == "abc"


def test_only_the_kinds_asked_for_are_shown() -> None:
    parts = [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "yes"}, {"type": "refusal", "text": "no"}]
    message = {"type": "message", "role": "assistant", "parts": parts}
    events = [
        {"type": kind, "chunk": chunk, "part_index": place}
        for place, (kind, chunk) in enumerate([("reasoning", "hm"), ("text", "yes"), ("refusal", "no")])
    ]
    for kind, expected in (("reasoning", "hm"), ("text", "yes"), ("refusal", "no")):
        assert shown_whole(user("1"), message, kinds=(kind,)) == expected
        assert shown_whole(user("1"), start(), *events, message, end(), kinds=(kind,)) == expected


def test_event_lines_are_the_lines_as_they_came() -> None:
    view = EventLines()
    lines = [(record, dumps(record) + b" ") for record in [user("1"), *response("old"), user("2"), *response("a")]]
    view.feed(lines)
    wanted = [raw.decode() + "\n" for record, raw in lines[6:] if record["type"] != "message"]
    assert shown(view, is_end=True) == "".join(wanted)


def test_the_view_for_people_keeps_all_but_the_answer_from_stdout() -> None:
    view = PeopleView(colour=False)
    thought = {"type": "reasoning", "chunk": "hm", "part_index": 0}
    feed(view, user("1"), start(), thought, text("yes", 1))
    pieces = view.take()
    assert "".join(piece for fd, piece in pieces if fd == STDOUT) == "yes"
    assert "".join(piece for fd, piece in pieces if fd == STDERR) == "hm\n"
    feed(view, call("c"), results("c"), NOTICE)
    aside = shown(view, is_end=True, descriptor=STDERR)
    assert "f({})" in aside
    assert "ok" in aside
    assert "again" in aside
