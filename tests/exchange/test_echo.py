"""The model echo: the words of the user, or what a script in them says."""

from __future__ import annotations

from typing import Any

import pytest

from llmtools.errors import LlmToolsError, RequestError, TruncatedError
from llmtools.exchange import echo
from llmtools.exchange.exchange import Exchange
from llmtools.http.request import Emit, Sleep
from llmtools.protocols.request import Request
from llmtools.records.check import EVENTS, check_record
from llmtools.records.fold import message_of
from llmtools.records.jsonl import dumps
from support.records import NOTICE, Record, call, conversation, error, joined_chunks, results, user
from support.strategies import known_parts


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
        if isinstance(item, Emit)
        for event in item.records
    ]
    assert joined_chunks(events) == "ok\nok"
    assert isinstance(last, Emit)


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
    assert [item.seconds for item in items if isinstance(item, Sleep)] == [0.5, 0.5]


def test_text_that_is_not_a_script_is_repeated() -> None:
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
