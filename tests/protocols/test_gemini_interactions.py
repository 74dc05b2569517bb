"""Gemini Interactions: what is asked, what is made of the answer; streams written here.

Each request of these tests is judged by the vendor's own types, where they are installed.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError, UsageError
from llmtools.protocols.gemini_interactions.request import encode, error_of
from llmtools.protocols.gemini_interactions.spec import SPEC
from llmtools.protocols.request import Request
from llmtools.protocols.server_tools import server_tool_record
from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps
from support import decoding, strategies
from support.decoding import assistant, call, end, kinds, machines, results, user
from support.harness import request_to
from support.referees import RefusedError, judge, require
from support.strategies import QUICK, mutations

Decoder = machines("gemini-interactions")

Object = dict[str, Any]
ISSUER = "interactions"
CANARY = "CANARY-of-another-issuer"
MODEL = "gemini-3-pro-preview"
PNG = b64encode(b"\x89PNG\r\n\x1a\n and no more").decode()
SOUND = [b64encode(piece).decode() for piece in (b"\1\2\3", b"\4\5")]
USAGE = {"total_input_tokens": 7, "total_cached_tokens": 4, "total_output_tokens": 3, "total_thought_tokens": 2}


def started(index: int, **fields: Any) -> Object:
    return {"event_type": "step.start", "index": index, "step": fields}


def grown(index: int, kind: str, **fields: Any) -> Object:
    return {"event_type": "step.delta", "index": index, "delta": {"type": kind, **fields}}


def stopped(index: int) -> Object:
    return {"event_type": "step.stop", "index": index}


def step(index: int, fields: Object, *deltas: Object) -> list[Object]:
    """The events of a whole step; each delta has its type."""
    events = [{"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas]
    return [started(index, **fields), *events, stopped(index)]


BEGIN = {"event_type": "interaction.created", "interaction": {"id": "i1", "status": "in_progress", "model": "g-1"}}


def finished(status: str = "completed", **fields: Any) -> Object:
    return {"event_type": "interaction.completed", "interaction": {"id": "i1", "status": status, **fields}}


def sse(*events: Object) -> bytes:
    return b"".join([b"data: " + dumps(event) + b"\n\n" for event in events])


def decode(data: bytes) -> list[Object]:
    """The records of a stream, which are the same however it is cut, each of them checked."""
    return decoding.decoded(lambda: Decoder(ISSUER), data, ISSUER)


def whole(records: list[Object]) -> Object:
    return decoding.whole(records, ISSUER)


def reply(*events: Object, last: Object | None = None) -> Object:
    """The message of a stream of these events."""
    return whole(decode(sse(BEGIN, *events, last or finished())))


def body_of(*steps: Object, **fields: Any) -> Object:
    """The message of a whole body with these steps."""
    body = {"id": "i1", "object": "interaction", "status": "completed", "steps": list(steps), **fields}
    return whole(Decoder(ISSUER).body(dumps(body)))


def own(**fields: Any) -> Object:
    return {"provider_metadata": {ISSUER: fields}}


def text(said: str, **fields: Any) -> Object:
    return {"type": "text", "text": said, **fields}


def ask(*records: Any, served: str = MODEL, **asked: Any) -> tuple[Object, list[str]]:
    """The body of a request, and the codes of its notices."""
    http, notices = encode(Conversation(records), request_to("gemini-interactions", served, ISSUER, **asked))
    for notice in notices:
        check_record(notice)
    return json.loads(http.body), [notice["code"] for notice in notices]


def allowed(body: Object) -> Object:
    """A body that the vendor's types allow."""
    require()
    judge("gemini-interactions", body)
    return body


def sent_back(message: Object) -> list[Object]:
    """The steps of a reply in the next request."""
    body, codes = ask(message, user("go on"))
    assert codes == []
    steps: list[Object] = body["input"][:-1]
    return steps


class TestReply:
    def test_a_plain_reply(self) -> None:
        usage = {**USAGE, "total_tool_use_tokens": 5}
        records = decode(
            sse(
                BEGIN,
                {"event_type": "interaction.status_update", "interaction_id": "i1", "status": "in_progress"},
                started(0, type="thought"),
                grown(0, "thought_summary", content=text("hm")),
                grown(0, "thought_summary", content=text(", so")),
                grown(0, "thought_signature", signature="S"),
                stopped(0),
                started(1, type="model_output"),
                grown(1, "text", text="Hel"),
                grown(1, "text", text="lo"),
                stopped(1),
                finished(usage=usage, service_tier="flex", created="2026-01-01T00:00:00Z", object="interaction"),
            )
        )
        assert records == [
            {"type": "start", "response_id": "i1"},
            {"type": "reasoning", "chunk": "hm", "part_index": 0},
            {"type": "reasoning", "chunk": ", so", "part_index": 0},
            {"type": "reasoning", "chunk": "", "part_index": 0, **own(signature="S")},
            {"type": "text", "chunk": "Hel", "part_index": 1},
            {"type": "text", "chunk": "lo", "part_index": 1},
            {
                "type": "end",
                "status": "ok",
                "finish_reason": "stop",
                "finish_reason_raw": "completed",
                "usage": {"input": 12, "output": 5, "details": {"cached": 4, "reasoning": 2}},
                "model_served": "g-1",
                "details": {ISSUER: {"service_tier": "flex", "usage": usage}},
            },
        ]
        assert sent_back(whole(records)) == [
            {"type": "thought", "signature": "S", "summary": [text("hm, so")]},
            {"type": "model_output", "content": [text("Hello")]},
        ]

    def test_events_come_when_their_event_does(self) -> None:
        decoder = Decoder(ISSUER)
        assert kinds(decoder.feed(sse(BEGIN))) == ["start"]
        assert kinds(decoder.feed(sse(started(0, type="thought"), grown(0, "thought_signature", signature="S")))) == [
            "reasoning"
        ]
        assert kinds(decoder.feed(sse(stopped(0)))) == ["reasoning"]
        assert kinds(decoder.feed(sse(started(1, type="function_call", id="a", name="f", arguments={})))) == [
            "tool_call_name"
        ]
        assert kinds(decoder.feed(sse(grown(1, "arguments_delta", arguments='{"a"')))) == ["tool_call_args"]
        assert kinds(decoder.feed(sse(grown(1, "arguments_delta", arguments=":1}")))) == ["tool_call_args"]
        assert kinds(decoder.feed(sse(stopped(1), finished("requires_action")))) == ["end"]
        assert decoder.feed(sse(BEGIN)) == decoder.eof() == []

    def test_a_thought_that_is_hidden(self) -> None:
        message = reply(*step(0, {"type": "thought"}, {"type": "thought_signature", "signature": "S"}))
        assert message["parts"] == [{"type": "reasoning", "text": "", **own(signature="S"), "redacted": True}]
        assert sent_back(message) == [{"type": "thought", "signature": "S"}]

    @pytest.mark.parametrize(
        "steps",
        [
            [{"type": "thought", "signature": "S", "summary": [text("a"), text("b")]}],
            [
                {"type": "thought", "signature": "1", "summary": [text("a")]},
                {"type": "thought", "signature": "2", "summary": [text("b")]},
            ],
            [{"type": "model_output", "content": [text("a"), text("b")]}],
            [{"type": "model_output", "content": [text("a")]}, {"type": "model_output", "content": [text("b")]}],
            [
                {
                    "type": "model_output",
                    "content": [text("a"), {"type": "image", "mime_type": "image/png", "data": PNG}, text("b")],
                }
            ],
            [{"type": "model_output", "content": [{"type": "video", "uri": "https://x/v", "mime_type": "video/mp4"}]}],
            [{"type": "model_output", "content": [{"type": "audio", "mime_type": "audio/l16", "data": SOUND[0],
                                                   "sample_rate": 24000}]}],
            [{"type": "model_output", "content": [{"type": "document", "mime_type": "text/csv", "data": PNG}]}],
            [{"type": "model_output", "content": [{"type": "image", "uri": "https://x/y", "resolution": "high"}]}],
            [{"type": "thought", "signature": "S", "summary": [{"type": "image", "mime_type": "image/png",
                                                                "data": PNG}, text("a")]}],
            [{"type": "model_output", "content": [text("a", mood="good"), {"type": "table", "rows": [1]}, text("b")]}],
            [{"type": "model_output", "content": [{"type": "image", "mime_type": "image/png", "data": PNG}],
              "error": {"code": 3, "message": "no more"}}],
            [{"type": "model_output", "error": {"code": 3, "message": "nothing"}}],
            [{"type": "function_call", "id": "a", "name": "f", "arguments": {"x": 1}, "signature": "S"}],
            [
                {"type": "google_search_call", "id": "a", "arguments": {"queries": ["x"]}, "search_type": "web_search",
                 "signature": "S"},
                {"type": "google_search_result", "call_id": "a", "result": [{"search_suggestions": "<a>"}],
                 "signature": "T"},
            ],
            [
                {"type": "code_execution_call", "id": "a", "arguments": {"language": "python", "code": "1/0"}},
                {"type": "code_execution_result", "call_id": "a", "result": "oops", "is_error": True},
            ],
            [
                {"type": "code_execution_call", "id": "a", "arguments": {}},
                {"type": "code_execution_result", "call_id": "a", "result": "1\n", "is_error": False},
            ],
            [
                {"type": "url_context_call", "id": "a", "arguments": {"urls": ["https://x"]}},
                {"type": "url_context_result", "call_id": "a", "result": [{"url": "https://x", "status": "success"}]},
            ],
            [{"type": "file_search_call", "id": "a"}, {"type": "file_search_result", "call_id": "a", "signature": "S"}],
            [
                {"type": "mcp_server_tool_call", "id": "a", "name": "t", "server_name": "s", "arguments": {"x": 1}},
                {"type": "mcp_server_tool_result", "call_id": "a", "name": "t", "server_name": "s",
                 "result": [text("done"), {"type": "image", "mime_type": "image/png", "data": PNG}]},
            ],
            [
                {"type": "google_maps_call", "id": "a", "arguments": {"queries": ["x"]}},
                {"type": "google_maps_result", "call_id": "a",
                 "result": [{"places": [{"name": "Café", "url": "https://x"}]}]},
            ],
            [{"type": "processing_call", "id": "a"}, {"type": "processing_result", "call_id": "a"}],
        ],
    )  # fmt: skip
    def test_second_law(self, steps: list[Object]) -> None:
        """Steps go back as they came, in a body and in events."""
        message = body_of(*steps)
        events = [event for index, fields in enumerate(steps) for event in step(index, fields)]
        assert reply(*events)["parts"] == message["parts"]
        calls = [part for part in message["parts"] if part["type"] == "tool_call" and not part.get("server_executed")]
        answers = [results((part["tool_call_id"], "1")) for part in calls]
        body, codes = ask(message, *answers, user("go on"))
        assert (body["input"][: len(steps)], codes) == (steps, [])
        is_known = not {"mood", "table", "signature"} & {*json.dumps(steps).split('"')} or "search_type" in str(steps)
        if is_known:
            allowed(body)

    def test_a_part_that_was_taken_out_leaves_the_others(self) -> None:
        content = [text("a"), text("b"), text("c")]
        message = body_of({"type": "model_output", "content": content})
        del message["parts"][0]
        assert sent_back(message) == [{"type": "model_output", "content": content[1:]}]

    def test_the_pieces_of_what_the_server_ran(self) -> None:
        message = reply(
            *step(
                0,
                {"type": "google_search_call", "id": "a", "signature": ""},
                {"type": "google_search_call", "arguments": {"queries": ["x"]}},
                {"type": "google_search_call", "arguments": {}, "signature": "S"},
            ),
            *step(
                1,
                {"type": "google_search_result", "call_id": "a", "signature": ""},
                {"type": "google_search_result", "result": [{"title": "An atlas"}]},
                {"type": "google_search_result", "result": [{"url": "https://x"}], "signature": "T"},
            ),
            *step(
                2,
                {"type": "code_execution_call", "id": "b"},
                {"type": "code_execution_call", "arguments": {"code": "1"}},
            ),
            *step(
                3,
                {"type": "code_execution_result", "call_id": "b"},
                {"type": "code_execution_result", "result": "1\n"},
                {"type": "code_execution_result", "result": "2\n", "is_error": True},
            ),
        )
        assert message["parts"] == [
            {
                **call("google_search", "a", arguments={"queries": ["x"]}, server_executed=True),
                **own(type="google_search_call", signature="S"),
            },
            {
                "type": "tool_result",
                "name": "google_search",
                "output": "An atlas\nhttps://x",
                "tool_call_id": "a",
                "server_executed": True,
                **own(type="google_search_result", result=[{"title": "An atlas"}, {"url": "https://x"}], signature="T"),
            },
            {
                **call("code_execution", "b", arguments={"code": "1"}, server_executed=True),
                **own(type="code_execution_call"),
            },
            {
                "type": "tool_result",
                "name": "code_execution",
                "output": "1\n2\n",
                "tool_call_id": "b",
                "server_executed": True,
                "exception": "failed",
                **own(type="code_execution_result"),
            },
        ]
        assert [item["type"] for item in sent_back(message)] == [
            "google_search_call", "google_search_result", "code_execution_call", "code_execution_result"
        ]  # fmt: skip

    def test_images_and_sounds_in_pieces(self) -> None:
        message = reply(
            *step(
                0,
                {"type": "model_output"},
                {"type": "text", "text": "Look"},
                {"type": "image", "mime_type": "image/png", "data": PNG},
                {"type": "image", "mime_type": "image/png", "data": PNG},
                *({"type": "audio", "mime_type": "audio/l16", "data": piece} for piece in SOUND),
                {"type": "text", "text": " here"},
            )
        )
        image = {"type": "image/png", "content": PNG}
        sound = {"type": "audio/l16", "content": b64encode(b"\1\2\3\4\5").decode()}
        assert [part.get("attachment", part.get("text")) for part in message["parts"]] == [
            "Look", image, image, sound, " here"
        ]  # fmt: skip
        [output] = sent_back(message)
        assert [content["type"] for content in output["content"]] == ["text", "image", "image", "audio", "text"]
        allowed(ask(message, user("go on"))[0])

    @pytest.mark.parametrize("content", [{"data": "!!!"}, {"data": ""}, {}, {"uri": 5}])
    def test_a_file_without_bytes_is_kept(self, content: Object) -> None:
        image = {"type": "image", "mime_type": "image/png", **content}
        message = body_of({"type": "model_output", "content": [image]})
        assert message["parts"] == [{"type": "image", **own(block=image)}]
        assert sent_back(message) == [{"type": "model_output", "content": [image]}]

    def test_a_step_and_a_delta_that_are_not_known(self) -> None:
        message = reply(
            *step(0, {"type": "dream", "id": "d"}, {"type": "dream", "pictures": [1]}, {"type": "x", "pictures": [2]}),
            *step(1, {"type": "model_output"}, text("a"), {"type": "table", "rows": [1]}, text("b")),
            *step(2, {"type": "refusal", "text": "a step with the name of a part"}),
            *step(3, {"type": "nothing"}),
        )
        dream = {"type": "dream", "id": "d", "pictures": [1, 2]}
        assert message["parts"] == [
            {"type": "dream", **own(**dream)},
            text("a"),
            {"type": "table", **own(of="1", block={"type": "table", "rows": [1]})},
            text("b", **own(of="1")),
            {"type": "refusal_step", **own(type="refusal", text="a step with the name of a part")},
        ]
        assert sent_back(message) == [
            dream,
            {"type": "model_output", "content": [text("a"), {"type": "table", "rows": [1]}, text("b")]},
            {"type": "refusal", "text": "a step with the name of a part"},
        ]

    def test_an_event_that_is_not_known_is_told_once(self) -> None:
        odd = {"event_type": "interaction.dreamt", "what": 1}
        records = decode(sse(BEGIN, odd, odd, finished()))
        assert [record["message"] for record in records if record["type"] == "notice"] == [
            "the provider sent an event that is not known: interaction.dreamt"
        ]

    def test_steps_that_come_between_each_other(self) -> None:
        message = reply(
            started(0, type="model_output"),
            started(1, type="function_call", id="c", name="f"),
            grown(0, "text", text="a"),
            grown(1, "arguments_delta", arguments="{}"),
            grown(0, "text", text="b"),
            stopped(1),
            stopped(0),
        )
        assert message["parts"] == [call("f", "c"), text("ab")]

    def test_a_delta_without_its_step(self) -> None:
        message = reply(
            grown(0, "text", text="a"), grown(1, "thought_signature", signature="S"), {"event_type": "step.stop"}
        )
        assert [part["type"] for part in message["parts"]] == ["text", "reasoning"]

    def test_sources(self) -> None:
        said = "Kraków lies north of 東京."
        end_index = len(said.encode())
        sources = [
            {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 7},
            {"type": "file_citation", "file_name": "f.pdf", "document_uri": "files/1", "source": "s",
             "start_index": 8, "end_index": end_index},
            {"type": "place_citation", "name": "Café", "url": "https://y", "place_id": "places/1"},
            {"type": "word_info", "text": "Kraków", "start_offset": "1s", "start_index": 5, "end_index": 7},
            {"type": "url_citation", "url": "https://z", "start_index": 3, "end_index": 9999},
        ]  # fmt: skip
        events = step(
            0,
            {"type": "model_output"},
            text(said),
            {"type": "text_annotation_delta", "annotations": sources[:2]},
            {"type": "text_annotation_delta", "annotations": sources[2:]},
        )
        message = reply(*events)
        first, file, place, word, far = message["parts"][0]["annotations"]
        assert first == {"kind": "url_citation", "url": "https://x", "title": "X", "start": 0, "end": 6}
        assert (file["url"], file["title"], file["start"], file["end"]) == ("files/1", "f.pdf", 7, len(said))
        assert (place["title"], place["url"]) == ("Café", "https://y") and "start" not in place
        assert word["provider_metadata"][ISSUER]["end_index"] == 7, "a byte in the middle of a character"
        assert "start" not in far
        assert sent_back(message) == [{"type": "model_output", "content": [text(said, annotations=sources)]}]
        assert (
            body_of({"type": "model_output", "content": [text(said, annotations=sources)]})["parts"] == message["parts"]
        )
        allowed(ask(message, user("go on"))[0])

    def test_two_calls_with_one_id_and_one_without(self) -> None:
        calls = [
            {"type": "function_call", "name": "f", "arguments": {}, **more} for more in ({"id": "a"}, {"id": "a"}, {})
        ]
        message = body_of(*calls, status="requires_action")
        assert [part["tool_call_id"] for part in message["parts"]] == ["a", "~1", "~2"]
        body, _ = ask(user("hi"), message, results(("a", "1"), ("~1", "2"), ("~2", "3")))
        sent = [item["id"] for item in body["input"] if item["type"] == "function_call"]
        assert len(set(sent)) == 3
        assert [item["call_id"] for item in body["input"] if item["type"] == "function_result"] == sent
        allowed(body)

    def test_arguments_at_the_beginning_of_a_step_and_in_pieces(self) -> None:
        begun = {"type": "function_call", "id": "a", "name": "f", "arguments": {"x": 1}}
        assert reply(*step(0, begun))["parts"] == [call("f", "a", arguments={"x": 1})]
        again = {"type": "arguments_delta", "arguments": '{"x":1}'}
        assert reply(*step(0, begun, again))["parts"] == [call("f", "a", arguments={"x": 1})]
        odd = reply(*step(0, {**begun, "arguments": {}}, {"type": "arguments_delta", "arguments": '{"x": 2}'}))
        assert odd["parts"] == [call("f", "a", arguments={"x": 2}, arguments_raw='{"x": 2}')]

    def test_a_call_that_is_cut_off_never_runs(self) -> None:
        begun = [started(0, type="function_call", id="a", name="f"), grown(0, "arguments_delta", arguments='{"x"')]
        for last in (finished("incomplete"), finished("completed")):
            [part] = reply(*begun, last=last)["parts"]
            assert part["exception"].startswith("invalid arguments")

    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            ("completed", "stop"),
            ("requires_action", "tool_calls"),
            ("requires_continuation", "pause"),
            ("incomplete", "length"),
            ("budget_exceeded", "length"),
            ("never_seen", "stop"),
        ],
    )
    def test_how_a_reply_ends(self, status: str, reason: str) -> None:
        said = step(0, {"type": "model_output"}, text("a"))
        records = decode(sse(BEGIN, *said, finished(status)))
        assert (end(records)["finish_reason"], end(records)["finish_reason_raw"]) == (reason, status)
        assert [record["code"] for record in records if record["type"] == "notice"] == (
            ["unknown_finish"] if status == "never_seen" else []
        )
        assert body_of({"type": "model_output", "content": [text("a")]}, status=status)["parts"] == [text("a")]

    def test_calls_make_a_completed_reply_one_of_calls(self) -> None:
        call_step = {"type": "function_call", "id": "a", "name": "f", "arguments": {}}
        assert end(decode(sse(BEGIN, *step(0, call_step), finished())))["finish_reason"] == "tool_calls"
        answer = {"type": "function_result", "call_id": "a", "name": "f", "result": "1"}
        records = decode(sse(BEGIN, *step(0, call_step), *step(1, answer), finished()))
        assert end(records)["finish_reason"] == "stop", "the server had the answer already"

    def test_an_error_of_a_step_is_told(self) -> None:
        failed = {"type": "model_output", "content": [text("a")], "error": {"code": 8, "message": "no room"}}
        records = decode(sse(BEGIN, *step(0, failed), finished()))
        assert [record["message"] for record in records if record["type"] == "notice"] == [
            "a step of the reply failed: no room"
        ]

    def test_the_steps_of_the_last_event_are_taken_where_none_came(self) -> None:
        steps = [{"type": "user_input", "content": [text("?")]}, {"type": "model_output", "content": [text("a")]}]
        assert reply(last=finished(steps=steps))["parts"] == [text("a")]

    def test_half_a_character(self) -> None:
        halves = rb'{"event_type":"step.delta","index":0,"delta":{"type":"text","text":"%s"}}'
        pieces = [b"data: " + halves.replace(b"%s", half) + b"\n\n" for half in (rb"a\ud83d", rb"\ude42")]
        records = decode(sse(BEGIN, started(0, type="model_output")) + b"".join(pieces) + sse(finished()))
        assert whole(records)["parts"] == [text("a🙂")]

    @pytest.mark.parametrize("depth", [200, 900, 5000])
    def test_values_that_nest_deep(self, depth: int) -> None:
        deep = "[" * depth + "]" * depth
        event = '{"event_type":"step.start","index":0,"step":{"type":"%s","call_id":"a","result":' + deep + "}}"
        for kind in ("google_search_result", "dream", "model_output"):
            data = sse(BEGIN) + b"data: " + event.replace("%s", kind).encode() + b"\n\n" + sse(finished())
            machine = Decoder(ISSUER)
            records = machine.feed(data) + machine.eof()
            assert records[-1]["type"] in ("end", "error")


class TestFailure:
    def test_an_error_in_mid_stream(self) -> None:
        said = [BEGIN, *step(0, {"type": "model_output"}, text("a"))]
        error = {"event_type": "error", "error": {"code": "gateway_timeout", "message": "too late"}}
        records = decode(sse(*said, error))
        assert kinds(records) == ["start", "text", "error"]
        assert (records[-1]["code"], records[-1]["message"]) == ("timeout", "too late")
        assert decode(sse(*said) + b"event: error\ndata: " + dumps({"error": error["error"]}) + b"\n\n") == records

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_an_interaction_that_failed(self, status: str) -> None:
        said = [BEGIN, *step(0, {"type": "model_output"}, text("a"))]
        plain = decode(sse(*said, finished(status)))
        assert (kinds(plain), plain[-1]["exit_status"]) == (["start", "text", "error"], 69)
        assert status in plain[-1]["message"]
        told = finished(status, errors=[{"code": "rate_limit_exceeded", "message": "slow down"}], usage=USAGE)
        machine = Decoder(ISSUER)
        records = machine.feed(sse(*said, told))
        assert (records[-1]["code"], records[-1]["message"]) == ("rate_limited", "slow down")
        assert machine.known_end()["usage"]["input"] == 7
        body = {"object": "interaction", "status": status, "steps": [{"type": "model_output", "content": [text("a")]}]}
        assert kinds(Decoder(ISSUER).body(dumps(body))) == ["start", "text", "error"]
        ended = decode(sse(*said, {"event_type": "interaction.status_update", "status": status}))
        assert status in ended[-1]["message"]

    @pytest.mark.parametrize("status", ["queued", "in_progress", "idle"])
    def test_an_interaction_that_is_not_over(self, status: str) -> None:
        body = {"id": "i", "object": "interaction", "status": status}
        [record] = Decoder(ISSUER).body(dumps(body))
        assert (record["exit_status"], status in record["message"]) == (75, True)
        assert decode(sse(BEGIN, finished(status)))[-1]["exit_status"] == 75

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"<html>no</html>", "protocol"),
            (b"data: {no}\n\n", "protocol"),
            (b'{"a":1}', "protocol"),
            (b"[]", "protocol"),
            (b"", "truncated"),
            (sse(BEGIN), "truncated"),
            (sse(BEGIN, *step(0, {"type": "model_output"}, text("a"))), "truncated"),
            (b'data: {"message":"it broke"}\n\n', "unavailable"),
            (b'data: {"event_type":"interaction.cancelled"}\n\n', "unavailable"),
        ],
    )
    def test_what_is_no_reply(self, data: bytes, code: str) -> None:
        assert decode(data)[-1]["code"] == code

    def test_an_error_response_names_its_delay(self) -> None:
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
        body = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": [retry]}}
        failure = error_of(429, {}, dumps(body))
        assert (failure.message, failure.details["retry_after"]) == ("slow", 34.4)
        assert error_of(429, {"retry-after": "2"}, dumps(body)).details["retry_after"] == 2

    SAMPLES = (
        BEGIN,
        started(0, type="thought", signature="S", summary=[text("a"), {"type": "image", "data": PNG}]),
        grown(0, "thought_summary", content=text("b")),
        grown(0, "thought_signature", signature="T"),
        started(1, type="model_output", content=[text("c", annotations=[{"type": "url_citation", "end_index": 1}])]),
        grown(1, "text", text="d"),
        grown(1, "text_annotation_delta", annotations=[{"type": "url_citation", "url": "u", "end_index": 1}]),
        grown(1, "audio", mime_type="audio/wav", data="aGk="),
        grown(1, "image", uri="u"),
        started(2, type="function_call", id="i", name="f", arguments={"a": [1, None]}),
        grown(2, "arguments_delta", arguments='{"a":1}'),
        started(3, type="google_search_call", id="j", arguments={"queries": ["q"]}),
        started(4, type="google_search_result", call_id="j", result=[{"title": "t"}]),
        grown(4, "google_search_result", result=[{"title": "u"}], is_error=True),
        *map(stopped, range(5)),
        finished(usage=USAGE, steps=[{"type": "model_output", "content": [text("e")]}]),
        finished("requires_continuation", continuation_token="T"),
        {"event_type": "error", "error": {"code": "x", "message": "no"}},
    )

    @QUICK
    @given(st.lists(mutations(st.sampled_from(SAMPLES)) | st.sampled_from(SAMPLES), max_size=12))
    def test_no_event_makes_anything_else_fail(self, events: list[Object]) -> None:
        records = decode(sse(*events))
        assert kinds(records)[-1] in ("end", "error")
        encode(Conversation([whole(records), user("go on")]), Request("m", MODEL, ISSUER))
        for event in events:
            whole(Decoder(ISSUER).body(dumps(event.get("interaction", event))))
            error_of(400, {}, dumps(event))


# What is asked.


class TestRequest:
    def test_where_it_goes(self) -> None:
        for stream in (True, False):
            asked = request_to("gemini-interactions", "models/g", ISSUER, stream=stream)
            http, _ = encode(Conversation([user("hi")]), asked)
            body = json.loads(http.body)
            assert http.path == "/interactions"
            assert http.headers["api-revision"] == "2026-05-20"
            assert body.get("stream", False) is stream
            assert (body["model"], body["store"]) == ("g", False)

    def test_a_conversation(self) -> None:
        system = user("Be brief", role="system")
        body, codes = ask(system, user("hi"), assistant(text("ho")), user("more", role="system"), user("and?"))
        assert body["system_instruction"] == "Be brief\n\nmore"
        assert body["input"] == [
            {"type": "user_input", "content": [text("hi")]},
            {"type": "model_output", "content": [text("ho")]},
            {"type": "user_input", "content": [text("and?")]},
        ]
        assert codes == ["moved_system"]
        allowed(body)

    def test_the_models_own_message_cannot_be_continued(self) -> None:
        with pytest.raises(UsageError):
            ask(user("hi"), assistant(text("ho")))

    def test_options(self) -> None:
        options = {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "max_tokens": 99,
            "stop": "END",
            "seed": 1,
            "service_tier": "flex",
            "speech_config": [{"voice": "Kore"}],
            "store": True,
            "previous_interaction_id": "v1_x",
            "labels": {"a": "b"},
        }
        body, codes = ask(user("hi"), options=options)
        assert body["generation_config"] == {
            "temperature": 0.5,
            "top_p": 0.9,
            "max_output_tokens": 99,
            "stop_sequences": ["END"],
            "seed": 1,
            "speech_config": [{"voice": "Kore"}],
            "thinking_summaries": "auto",
        }
        assert (body["service_tier"], body["store"]) == ("flex", True)
        assert (body["previous_interaction_id"], body["labels"]) == ("v1_x", {"a": "b"})
        assert codes == ["dropped_option"]
        allowed(body)
        assert "store" not in ask(user("hi"), options={"store": None})[0]
        agent, _ = ask(user("hi"), options={"agent": "deep-research", "model": None})
        assert agent["agent"] == "deep-research" and "model" not in agent
        with pytest.raises(UsageError):
            ask(user("hi"), options={"n": 2})

    @pytest.mark.parametrize(
        ("effort", "expected", "codes"),
        [
            (None, {"thinking_summaries": "auto"}, []),
            ("none", {"thinking_level": "minimal"}, ["changed_reasoning"]),
            ("minimal", {"thinking_level": "minimal", "thinking_summaries": "auto"}, []),
            ("high", {"thinking_level": "high", "thinking_summaries": "auto"}, []),
            ("max", {"thinking_level": "xhigh", "thinking_summaries": "auto"}, []),
        ],
    )
    def test_reasoning(self, effort: str | None, expected: Object, codes: list[str]) -> None:
        body, found = ask(user("hi"), reasoning=effort)
        assert (body["generation_config"], found) == (expected, codes)
        allowed(body)

    def test_reasoning_by_options_and_of_a_model_that_has_none(self) -> None:
        options = {"thinking_summaries": "none", "thinking_level": "low"}
        assert ask(user("hi"), options=options)[0]["generation_config"] == options
        assert "generation_config" not in ask(user("hi"), served="gemini-2.0-flash")[0]

    def test_a_schema_and_images(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
        form = {"type": "text", "mime_type": "application/json", "schema": schema}
        assert allowed(ask(user("hi"), schema=schema)[0])["response_format"] == form
        tool = server_tool_record("image_generation", SPEC, ISSUER)
        assert allowed(ask(tool, user("hi"))[0])["response_format"] == [{"type": "text"}, {"type": "image"}]
        body = allowed(ask(tool, user("hi"), schema=schema)[0])
        assert body["response_format"] == [form, {"type": "image"}]
        assert "tools" not in body

    def test_tools(self) -> None:
        function = {"type": "tool", "name": "f", "description": "d", "input_schema": {"type": "object"}}
        named = [
            "web_search",
            "url_fetch",
            "code_execution",
            "maps",
            'file_search={"file_search_store_names":["x"]}',
            'mcp={"name":"s","url":"https://x/mcp"}',
            'computer_use={"type":"computer_use","environment":"browser"}',
        ]
        records = [server_tool_record(name, SPEC, ISSUER) for name in named]
        body, codes = ask(function, *records, user("hi"), tool_choice="required")
        assert body["tools"] == [
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}},
            {"type": "google_search"},
            {"type": "url_context"},
            {"type": "code_execution"},
            {"type": "google_maps"},
            {"type": "file_search", "file_search_store_names": ["x"]},
            {"type": "mcp_server", "name": "s", "url": "https://x/mcp"},
            {"type": "computer_use", "environment": "browser"},
        ]
        assert (body["generation_config"]["tool_choice"], codes) == ("any", [])
        allowed(body)
        for choice, expected in (
            ("auto", "auto"),
            ("none", "none"),
            ("f", {"allowed_tools": {"mode": "any", "tools": ["f"]}}),
        ):
            body, _ = ask(function, user("hi"), tool_choice=choice)
            assert allowed(body)["generation_config"]["tool_choice"] == expected
        of_another = {"type": "tool", "name": "web_search", "provider_metadata": {"openai": {"type": "web_search"}}}
        assert ask(of_another, user("hi"))[0]["tools"] == [{"type": "google_search"}]

    def test_attachments(self) -> None:
        def file(kind: str, **place: str) -> Object:
            return {"type": "attachment", "attachment": {"type": kind, **place}}

        body, codes = ask(
            user(
                file("image/png", content=PNG),
                file("audio/wav", content=PNG),
                file("video/mp4", url="https://x/v"),
                file("application/pdf", content=PNG),
                file("text/csv", content=b64encode(b"a,b").decode()),
                file("text/csv", url="https://x/t"),
                {"type": "attachment", "attachment": {"url": "https://x/y"}},
                {"type": "attachment", "attachment": {"type": "image/png"}, **own(uri="files/1")},
                {"type": "attachment", "attachment": {"type": "image/png"}, "provider_metadata": {"openai": {"a": 1}}},
            )
        )
        assert body["input"][0]["content"] == [
            {"type": "image", "mime_type": "image/png", "data": PNG},
            {"type": "audio", "mime_type": "audio/wav", "data": PNG},
            {"type": "video", "mime_type": "video/mp4", "uri": "https://x/v"},
            {"type": "document", "mime_type": "application/pdf", "data": PNG},
            text("a,b"),
            {"type": "document", "mime_type": "text/csv", "uri": "https://x/t"},
            {"type": "document", "uri": "https://x/y"},
            {"type": "image", "mime_type": "image/png", "uri": "files/1"},
        ]
        assert codes == ["dropped_attachment"]
        allowed(body)
        with pytest.raises(InputError):
            ask(user({"type": "attachment", "attachment": {"path": "a.png", "type": "image/png"}}))
        with pytest.raises(InputError, match=r"message 1 \(system\), part 1"):
            ask(user(file("image/png", content=PNG), role="system"), user("hi"))

    def test_results(self) -> None:
        image = {"type": "image/png", "content": PNG}
        answers = results(("a", "half"), exception="no room", attachments=[image])
        body, codes = ask(user("hi"), assistant(call("f", "a"), call("g", "b c")), answers, results(("b c", "1")))
        first, second = (item for item in body["input"] if item["type"] == "function_result")
        assert first == {
            "type": "function_result",
            "call_id": "a",
            "name": "f",
            "result": [text("Error: no room\nhalf"), {"type": "image", "mime_type": "image/png", "data": PNG}],
            "is_error": True,
        }
        assert second == {"type": "function_result", "call_id": "call_00001", "name": "f", "result": "1"}
        assert body["input"][2]["id"] == "call_00001"
        assert codes == []
        allowed(body)

    def test_foreign_history(self) -> None:
        of_another = {"anthropic": {"signature": CANARY, "of": CANARY, "type": CANARY}}
        history = assistant(
            {"type": "reasoning", "text": CANARY, "provider_metadata": of_another},
            text("calling", annotations=[{"kind": CANARY}], provider_metadata=of_another),
            {**call("f", "c 1"), "provider_metadata": of_another},
            {**call("g", "s"), "server_executed": True},
            {"type": "server_block", "provider_metadata": of_another},
            {"type": "refusal", "text": "no"},
        ) | {"provider_metadata": of_another}
        body, codes = ask(user("hi"), history, results(("c 1", "1")))
        assert CANARY not in json.dumps(body)
        assert body["input"][1:] == [
            {"type": "model_output", "content": [text("calling")]},
            {"type": "function_call", "id": "call_00000", "name": "f", "arguments": {}},
            {"type": "model_output", "content": [text("no")]},
            {"type": "function_result", "call_id": "call_00000", "name": "f", "result": "1"},
        ]
        assert sorted(codes) == ["dropped_annotation", "dropped_part", "dropped_part", "dropped_reasoning"]
        allowed(body)

    def test_a_thought_that_was_cut_off_is_left_out(self) -> None:
        cut = {**assistant({"type": "reasoning", "text": "hm"}, text("a")), "response": {"provider": ISSUER}}
        body, codes = ask(user("hi"), cut, user("go on"))
        assert [item["type"] for item in body["input"]] == ["user_input", "model_output", "user_input"]
        assert codes == ["dropped_reasoning"]

    def test_a_cached_prompt_is_the_vendors_matter(self) -> None:
        assert ask(user("hi"), cache_prompt=True)[1] == ["dropped_cache"]

    @pytest.mark.exhaustive
    @QUICK
    @given(st.lists(strategies.messages() | strategies.tools(), max_size=5), st.sampled_from(["openai", ISSUER]))
    def test_any_conversation(self, records: list[Object], issuer: str) -> None:
        try:
            http, _ = encode(Conversation([*records, user("go on")]), Request("m", MODEL, issuer))
        except InputError:
            return
        assert all("type" in item for item in json.loads(http.body)["input"])


class TestPause:
    def paused(self, said: str, token: str, **response: Any) -> Object:
        events = step(0, {"type": "model_output"}, text(said))
        message = reply(*events, last=finished("requires_continuation", continuation_token=token))
        return {**message, "response": {"id": "v1_p", "finish_reason": "pause", **response}}

    def test_the_token_stands_for_what_came(self) -> None:
        """The vendor takes the same input again, and the newest token:
        google-genai 3.6, _interactions_continuation."""
        first, second = self.paused("a", "T"), self.paused("b", "U")
        body, codes = ask(user("hi"), first)
        assert (body["input"], body["continuation_token"]) == ([{"type": "user_input", "content": [text("hi")]}], "T")
        again, _ = ask(user("hi"), first, second)
        assert (again["input"], again["continuation_token"]) == (body["input"], "U")
        assert codes == [] and "previous_interaction_id" not in body
        allowed(body)

    def test_a_stored_interaction_is_named(self) -> None:
        body, _ = ask(user("hi"), self.paused("a", "T"), options={"store": True})
        assert "input" not in body
        assert (body["previous_interaction_id"], body["continuation_token"]) == ("v1_p", "T")
        require()

    def test_later_the_replies_are_steps_like_others(self) -> None:
        done = reply(*step(0, {"type": "model_output"}, text("b")))
        body, _ = ask(user("hi"), self.paused("a", "T"), done, user("and?"))
        assert [item["type"] for item in body["input"]] == ["user_input", "model_output", "model_output", "user_input"]
        assert "continuation_token" not in body

    def test_without_a_token_the_words_so_far_are_sent(self) -> None:
        paused = {**assistant(text("a")), "response": {"finish_reason": "pause"}}
        body, _ = ask(user("hi"), paused)
        assert body["input"][-1] == {"type": "model_output", "content": [text("a")]}


def test_the_referee_is_one() -> None:
    require()
    with pytest.raises(RefusedError):
        judge("gemini-interactions", {"model": "m", "input": [{"type": "user_input", "content": [{"type": "x"}]}]})
