"""What llm-parts shows of a stream, and when."""

from __future__ import annotations

import pytest

from llmtools.cli.parts.view import STDERR, STDOUT, EventLines, PeopleView, View
from llmtools.records.jsonl import dumps
from support.records import BROKEN, NOTICE, RESET, Record, call, end, response, results, said, start, text, user


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
