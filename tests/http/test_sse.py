"""Bytes to server-sent events, however they are cut."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import ProtocolError
from llmtools.http.sse import (
    BODY,
    UNNAMED,
    LineDecoder,
    SseDecoder,
    SseEvent,
)
from support.strategies import QUICK


def decode(*pieces: bytes) -> list[SseEvent]:
    decoder = SseDecoder()
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return found + decoder.eof()


def data(*values: str) -> list[SseEvent]:
    return [(UNNAMED, value.encode()) for value in values]


CASES: dict[str, tuple[str, list[SseEvent]]] = {
    # The examples of the standard, https://html.spec.whatwg.org/multipage/server-sent-events.html
    "stocks": ("data: YHOO\ndata: +2\ndata: 10\n\n", data("YHOO\n+2\n10")),
    "comment, id, leading space": (
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        data("first event", "second event", " third event"),
    ),
    "no value": ("data\n\ndata\ndata\n\ndata:", data("", "\n", "")),  # the last: our rule for the end of a stream
    "space after the colon": ("data:test\n\ndata: test\n\n", data("test", "test")),
    "names": (
        "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
        [("add", b"73857293"), ("remove", b"2153"), ("add", b"113411")],
    ),
    # What servers send.
    "usual": ('data: {"a":1}\n\ndata: {"a":2}\n\ndata: [DONE]\n\n', data('{"a":1}', '{"a":2}', "[DONE]")),
    "no blank line at the end": ('data: {"a":1}\n\ndata: {"a":2}\n', data('{"a":1}', '{"a":2}')),
    "no newline at the end": ("data: [DONE]", data("[DONE]")),
    "name before data": ("event: error\ndata: {}\n\ndata: x\n\n", [("error", b"{}"), (UNNAMED, b"x")]),
    "name behind data": ("data: {}\nevent: error\n\n", [("error", b"{}")]),
    "a name alone is no event": ("event: ping\n\nevent:\ndata: x\n\n", data("x")),
    "an id does not make events": ("id: 1\n\n\n\nretry: 5\n\n", []),
    "comments between": (": PROCESSING\n\n: PROCESSING\n\ndata: x\n\n: ping\n", data("x")),
    "many blank lines": ("\n\n\ndata: x\n\n\n\n\ndata: y\n\n\n", data("x", "y")),
    "a field of an error": ('error: {"code":400}\n\ndata: x\n\n', [("error", b'{"code":400}'), *data("x")]),
    "a field of an error, as text": ("Error:  gone \n\n", [("error", b"gone")]),
    "a field of an error without a value": ("error:\ndata: x\n\n", data("x")),
    "unknown fields": ("foo: 1\ndata: x\nbar\n\n", data("x")),
    "other ends of lines": (
        'data: "a\u2028b\u2029c\u0085d\x0be\x0cf\x1eg"\n\n',
        data('"a\u2028b\u2029c\u0085d\x0be\x0cf\x1eg"'),
    ),
    "a space before a field": (" data: x\n\ndata: y\n\n", data("y")),
    "an error behind the events": (
        'data: {"a":1}\n\n{\n  "error": {\n    "code": 8\n  }\n}\n',
        [(UNNAMED, b'{"a":1}'), (BODY, b'{\n  "error": {\n    "code": 8\n  }\n}\n')],
    ),
    "a body": ('{"choices":[]}', [(BODY, b'{"choices":[]}\n')]),
    "a body behind blank lines": ('\n   \n\n   \n{"choices":[]}\n', [(BODY, b'{"choices":[]}\n')]),
    "a body that is a list": ('[{"error":1}]', [(BODY, b'[{"error":1}]\n')]),
    "events behind a body": ('{"error":1}\n\ndata: [DONE]\n\n', [(BODY, b'{"error":1}\n'), (UNNAMED, b"[DONE]")]),
    "HTML": ("<html>\n<body>data: x</body>\n\n</html>", []),
    "nothing": ("", []),
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", CASES)
def test_every_cut(name: str, end: str) -> None:
    text, expected = CASES[name]
    whole = text.replace("\n", end).encode()
    assert decode(whole) == expected
    assert decode(*[whole[i : i + 1] for i in range(len(whole))]) == expected
    for cut in range(len(whole) + 1):
        assert decode(whole[:cut], b"", whole[cut:]) == expected
    assert decode(b"\xef\xbb\xbf" + whole) == expected
    assert decode(b"\xef", b"\xbb", b"\xbf", *[whole[i : i + 1] for i in range(len(whole))]) == expected


def test_a_bom_is_dropped_at_the_start_only() -> None:
    assert decode(b"\xef\xbb\xbfdata: x\n\ndata: \xef\xbb\xbfy\n\n") == [(UNNAMED, b"x"), (UNNAMED, b"\xef\xbb\xbfy")]


def test_an_event_comes_as_soon_as_it_is_whole() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        decoder = SseDecoder()
        assert decoder.feed(b"data: x" + end) == []
        assert decoder.feed(end) == [(UNNAMED, b"x")]
        assert decoder.feed(b"data: y" + end + end) == [(UNNAMED, b"y")]


def test_mixed_ends_of_lines() -> None:
    assert decode(b"data: a\r\n\ndata: b\r\rdata: c\n\r\n") == data("a", "b", "c")


@QUICK
@given(
    st.lists(st.sampled_from(["data: x", "data:y", "data", "event: e", ": c", "", "", "{", "id: 1", "zz"])), st.data()
)
def test_cuts_make_no_difference(lines: list[str], draw: st.DataObject) -> None:
    ends = draw.draw(st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=len(lines), max_size=len(lines)))
    text = "".join(line + end for line, end in zip(lines, ends, strict=True)).encode()
    expected = decode(text)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert decode(*pieces) == expected


def test_comments_are_counted() -> None:
    decoder = SseDecoder()
    decoder.feed(b": one\n\n:two\ndata: x\n\n: thr")
    decoder.eof()
    assert decoder.comments == 3


def test_what_is_no_event_is_kept_for_a_message() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"<html>\n<title>502</title>\n\n") == []
    assert decoder.feed(b"<p>" + b"x" * 10000) == []
    assert decoder.eof() == []
    assert decoder.head.startswith(b"<html>\n<title>502</title>\n")
    assert len(decoder.head) < 1000


def test_the_beginning_of_a_field_is_not_garbage() -> None:
    for cut in (b"d", b"dat", b"ev", b"retr"):
        decoder = SseDecoder()
        decoder.feed(b"data: x\n\n" + cut)
        assert decoder.eof() == []
        assert decoder.head == b""


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 200],
        [b"data: "] + [b"x" * 10] * 20,
        [b"data: " + b"x" * 200 + b"\n\n"],
        [b"data: a\n\ndata: " + b"x" * 200 + b"\n\ndata: b\n\n"],
        [b"data: xxxxxxxx\n"] * 20,
        [b"{\n"] + [b' "a": 1,\n\n'] * 20,
    ],
)
def test_one_event_has_a_limit(pieces: list[bytes]) -> None:
    decoder = SseDecoder(limit=100)
    with pytest.raises(ProtocolError):
        for piece in pieces:
            decoder.feed(piece)
        decoder.eof()


def test_many_events_have_none() -> None:
    decoder = SseDecoder(limit=100)
    assert len(decoder.feed(b"data: xxxxxxxx\n\n" * 100)) == 100


def test_a_large_event_is_not_copied_for_each_piece() -> None:
    def seconds(size: int) -> float:
        decoder, piece, begun = SseDecoder(), b"x" * 4096, time.process_time()
        decoder.feed(b"data: ")
        for _ in range(size):
            decoder.feed(piece)
        [(_, payload)] = decoder.feed(b"\n\n")
        assert len(payload) == size * 4096
        return time.process_time() - begun

    assert seconds(4000) < 16 * max(seconds(1000), 0.005)  # linear, with room for a busy machine


class TestLines:
    def test_every_cut(self) -> None:
        text = '{"a":"\u2028"}\n\n{"b":1}\r\n{"c":2}'.encode()
        expected = ['{"a":"\u2028"}'.encode(), b'{"b":1}\r', b'{"c":2}']
        for cut in range(len(text) + 1):
            lines = LineDecoder()
            assert lines.feed(text[:cut]) + lines.feed(text[cut:]) + lines.eof() == expected

    def test_a_line_has_a_limit(self) -> None:
        lines = LineDecoder(limit=100)
        with pytest.raises(ProtocolError):
            lines.feed(b"x" * 101)
        lines = LineDecoder(limit=100)
        with pytest.raises(ProtocolError):
            lines.feed(b"{}\n" + b"x" * 101 + b"\n")
