"""The model replay/PATH: a reply of a saved stream, played again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from llmtools.errors import InputError, LlmToolsError, NoInputError, TruncatedError, UsageError
from llmtools.exchange.replay import reply as replay
from llmtools.http.request import Emit, Sleep
from llmtools.protocols.request import Request
from llmtools.records.fold import message_of
from llmtools.records.jsonl import encode
from support.records import (
    BROKEN,
    RESET,
    Record,
    conversation,
    end,
    joined_chunks,
    response,
    results,
    said,
    start,
    text,
    user,
)


def play(path: Path, *messages: Record, **options: Any) -> list[Any]:
    """What the model replay/PATH yields: records and pauses, in order."""
    found: list[Any] = []
    for item in replay(str(path), conversation(*messages), Request("replay", options=options)):
        found += item.records if isinstance(item, Emit) else [item]
    return found


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / "saved.jsonl"


def test_the_reply_at_the_same_place_is_played(saved: Path) -> None:
    tools = [start(role="tool"), results("c"), end()]
    saved.write_bytes(encode([user("1"), *response("one"), *tools, *response("two"), user("3"), said("three")]))
    assert joined_chunks(play(saved, user("x"))) == "one"
    assert joined_chunks(play(saved, user("x"), said("other"), user("y"))) == "two"
    assert joined_chunks(play(saved, said("a"), said("b"), user("y"))) == "three"
    with pytest.raises(NoInputError):
        play(saved, said("a"), said("b"), said("c"), user("y"))


def test_a_reply_that_failed_fails_again_after_its_events(saved: Path) -> None:
    saved.write_bytes(encode([user("1"), *BROKEN]))
    played = replay(str(saved), conversation(user("x")), Request("replay"))
    assert [
        event["type"] for item in (next(played), next(played)) if isinstance(item, Emit) for event in item.records
    ] == [
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
    assert joined_chunks(play(saved, user("x"), said("one"), user("y"))) == "two"


def test_timing_is_played_as_pauses(saved: Path) -> None:
    timed = {**said("abcd", status="ok"), "response": {"status": "ok", "timing": {"first": 0.5, "total": 1.5}}}
    records = [user("1"), start(), *(text(letter) for letter in "abcd"), timed]
    saved.write_bytes(encode(records))
    begun = time.monotonic()
    items = play(saved, user("x"), timing=True)
    assert [item.seconds for item in items if isinstance(item, Sleep)] == [0.5, 0.25, 0.25, 0.25]
    assert [item for item in play(saved, user("x")) if isinstance(item, Sleep)] == []
    assert joined_chunks(items) == "abcd"
    assert time.monotonic() - begun < 60  # the pauses are said, not slept


@pytest.mark.parametrize("timing", [{"first": -1, "total": -2}, {"first": 10**400, "total": 0}, {"total": 10**400}])
def test_every_pause_can_be_slept(saved: Path, timing: Record) -> None:
    saved.write_bytes(encode([user("1"), start(), text("a"), text("b"), said("ab", timing=timing)]))
    assert all(0 <= item.seconds <= 10**6 for item in play(saved, user("x"), timing=True) if isinstance(item, Sleep))


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
