"""What a stream says: its reply, its failure, its pending calls."""

from __future__ import annotations

import pytest

from llmtools.errors import from_record as error_of
from llmtools.records.check import check_record
from llmtools.records.conversation import conversation_of, text_of, unanswered_calls
from support.records import (
    BROKEN,
    NOTICE,
    RESET,
    Record,
    call,
    conversation,
    end,
    error,
    response,
    results,
    said,
    start,
    text,
    user,
)

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
    assert unanswered_calls(told.messages, 0) == []


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
    inner = conversation_of(record)
    assert [message["role"] for message in inner.messages] == ["user", "assistant"]
    assert inner.tools == {"f": {"type": "tool", "name": "f"}}
    assert inner.model == "m"
    assert inner.failure is None


def test_an_error_in_a_conversation_record_is_its_failure() -> None:
    said_: Record = {"code": "quota", "message": "empty"}
    record = {"type": "conversation", "messages": [user("hi")], "error": said_}
    failure = conversation_of({**record, "error": {**said_, "exit_status": 77}}).failure
    assert failure == {"type": "error", "code": "quota", "message": "empty", "exit_status": 77}
    unnamed = conversation_of({**record, "error": {}}).failure
    assert unnamed is not None
    check_record(unnamed)
