"""What llm-send passes on of its input."""

from __future__ import annotations

from llmtools.cli.send.sender import Relay
from llmtools.records.jsonl import dumps
from support.records import BROKEN, NOTICE, Record, response, user


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
