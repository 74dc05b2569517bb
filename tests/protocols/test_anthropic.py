"""Anthropic Messages: what is asked, what is made of the answer; streams written here."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError, UsageError
from llmtools.protocols.anthropic.request import MAX_TOKENS, encode, error_of
from llmtools.protocols.request import Request
from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps
from support import decoding, strategies
from support.decoding import assistant, call, end, kinds, machines, results, user
from support.harness import request_to
from support.strategies import QUICK, mutations

Decoder = machines("anthropic")

Object = dict[str, Any]
ISSUER = "anthropic"

# Events as the vendor writes them.


def begin(**fields: Any) -> Object:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "usage": usage,
    }
    return {"type": "message_start", "message": {**message, **fields}}


def start(index: int, kind: str, **fields: Any) -> Object:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: int, kind: str, **fields: Any) -> Object:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> Object:
    return {"type": "content_block_stop", "index": index}


def finish(reason: str | None = "end_turn", **fields: Any) -> list[Object]:
    said = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": said, "usage": {"output_tokens": 7}, **fields}, {"type": "message_stop"}]


def text(index: int, *chunks: str) -> list[Object]:
    deltas = [delta(index, "text_delta", text=chunk) for chunk in chunks]
    return [start(index, "text", text=""), *deltas, stop(index)]


def thinking(index: int, said: str, signature: str) -> list[Object]:
    deltas = [delta(index, "thinking_delta", thinking=said), delta(index, "signature_delta", signature=signature)]
    return [start(index, "thinking", thinking="", signature=""), *deltas, stop(index)]


def tool_use(index: int, name: str, call_id: str, *pieces: str, kind: str = "tool_use", **fields: Any) -> list[Object]:
    deltas = [delta(index, "input_json_delta", partial_json=piece) for piece in pieces]
    return [start(index, kind, id=call_id, name=name, input={}, **fields), *deltas, stop(index)]


def sse(*events: Object | bytes) -> bytes:
    lines = []
    for event in events:
        if isinstance(event, bytes):
            lines.append(b"data: " + event + b"\n\n")
        else:
            name = event.get("type") if isinstance(event.get("type"), str) else "x"
            lines.append(b"event: " + str(name).encode() + b"\ndata: " + dumps(event) + b"\n\n")
    return b"".join(lines)


def reply(*events: Object, reason: str = "end_turn") -> bytes:
    return sse(begin(), *events, *finish(reason))


# What is made of them.


def decode(data: bytes) -> list[Object]:
    """The records of a stream, which are the same however it is cut, each of them checked."""
    return decoding.decoded(lambda: Decoder(ISSUER), data, ISSUER)


def whole(records: list[Object], issuer: str = ISSUER) -> Object:
    return decoding.whole(records, issuer)


def parts(*events: Object, reason: str = "end_turn") -> list[Object]:
    found: list[Object] = whole(decode(reply(*events, reason=reason)))["parts"]
    return found


def own(**fields: Any) -> Object:
    return {"provider_metadata": {ISSUER: fields}}


def asked(*records: Object, model: str = "claude-x", **fields: Any) -> Object:
    """The body of a request; what it cannot say stands in `notices`."""
    http, notices = encode(Conversation(records), request_to("anthropic", model, ISSUER, **fields))
    for notice in notices:
        check_record(notice)
    body: Object = json.loads(http.body)
    return {**body, "notices": [notice["message"] for notice in notices], "headers": http.headers}


def said(*records: Object, **fields: Any) -> list[Object]:
    found: list[Object] = asked(*records, **fields)["messages"]
    return found


def content(*records: Object, **fields: Any) -> list[Object]:
    """The blocks of the model's message, which a message of the user's follows."""
    [message, _] = said(*records, user("go on"), **fields)
    assert message["role"] == "assistant"
    found: list[Object] = message["content"]
    return found


def sent_back(*events: Object, reason: str = "end_turn") -> list[Object]:
    return content(whole(decode(reply(*events, reason=reason))))


class TestTextAndEnd:
    def test_a_plain_reply(self) -> None:
        assert decode(reply(*text(0, "Hel", "", "lo"))) == [
            {"type": "start", "response_id": "msg_1"},
            {"type": "text", "chunk": "Hel", "part_index": 0},
            {"type": "text", "chunk": "lo", "part_index": 0},
            {
                "type": "end",
                "status": "ok",
                "finish_reason": "stop",
                "finish_reason_raw": "end_turn",
                "usage": {"input": 3, "output": 7},
                "model_served": "claude-x",
                "details": {ISSUER: {"usage": {"input_tokens": 3, "output_tokens": 7}}},
            },
        ]

    def test_events_come_when_theirs_do(self) -> None:
        decoder = Decoder(ISSUER)
        assert kinds(decoder.feed(sse(begin()))) == ["start"]
        assert decoder.feed(sse(start(0, "text", text=""))) == []
        assert kinds(decoder.feed(sse(delta(0, "text_delta", text="a")))) == ["text"]
        assert decoder.feed(sse(stop(0), finish()[0])) == []
        assert kinds(decoder.feed(sse(finish()[1]))) == ["end"]
        assert decoder.feed(sse(*text(1, "more"))) == []
        assert decoder.eof() == []

    def test_pings_are_seen_and_say_nothing(self) -> None:
        decoder = Decoder(ISSUER)
        counts = []
        for data in (sse({"type": "ping"}), b": alive\n\n", sse(begin()), sse({"type": "ping"}), b"data: "):
            decoder.feed(data)
            counts.append(decoder.seen)
        assert counts == [1, 2, 3, 4, 4]

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("tool_use", "tool_calls"),
            ("pause_turn", "pause"),
            ("refusal", "refusal"),
            ("never_seen", "stop"),
        ],
    )
    def test_finish_reasons(self, theirs: str, ours: str) -> None:
        record = end(decode(reply(*text(0, "a"), reason=theirs)))
        assert record["finish_reason"] == ours
        assert record.get("finish_reason_raw") == (theirs if theirs != ours else None)

    def test_a_stop_sequence_is_told(self) -> None:
        stopped = {"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"}}
        record = end(decode(sse(begin(), *text(0, "a"), stopped, {"type": "message_stop"})))
        assert record["details"][ISSUER]["stop_sequence"] == "END"

    def test_no_reason_at_all(self) -> None:
        assert end(decode(sse(begin(), {"type": "message_stop"})))["finish_reason"] == "stop"
        record = end(decode(sse(begin(), *tool_use(0, "f", "toolu_1"), {"type": "message_stop"})))
        assert record["finish_reason"] == "tool_calls"

    def test_pieces_of_json_are_the_input_of_an_unknown_block(self) -> None:
        pieces = [delta(0, "input_json_delta", partial_json=piece) for piece in ('{"q":', "1}")]
        [part] = parts(start(0, "new_block", x=1), *pieces, stop(0))
        assert part["provider_metadata"][ISSUER] == {"type": "new_block", "x": 1, "input": {"q": 1}}

    def test_unknown_events_and_deltas_are_passed_over(self) -> None:
        odd = [
            {"type": "content_block_hint", "index": 0},
            delta(0, "glitter_delta", glitter="x"),
            delta(9, "text_delta"),
        ]
        records = decode(reply(start(0, "text", text=""), *odd, delta(0, "text_delta", text="a"), stop(0)))
        assert whole(records)["parts"] == [{"type": "text", "text": "a"}]

    def test_half_a_character_waits_for_the_other(self) -> None:
        one, other = [
            b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"' + said_ + b'"}}'
            for said_ in (rb"a\ud83d", rb"\ude00!")
        ]
        records = decode(sse(begin(), start(0, "text", text=""), one, other, stop(0), *finish()))
        assert whole(records)["parts"] == [{"type": "text", "text": "a\U0001f600!"}]
        records = decode(sse(begin(), start(0, "text", text=""), one, stop(0), *finish()))
        assert whole(records)["parts"] == [{"type": "text", "text": "a\ufffd"}]

    def test_an_empty_reply(self) -> None:
        assert kinds(decode(reply())) == ["start", "end"]
        assert kinds(decode(reply(start(0, "text", text=""), stop(0)))) == ["start", "end"]


class TestUsage:
    def test_input_is_all_it_read(self) -> None:
        first = {
            "input_tokens": 3,
            "cache_creation_input_tokens": 10,
            "cache_read_input_tokens": 100,
            "output_tokens": 1,
        }
        last = {"output_tokens": 9, "cache_read_input_tokens": None, "output_tokens_details": {"thinking_tokens": 4}}
        records = decode(sse(begin(usage=first), *text(0, "a"), *finish(usage=last)))
        details = {"cached": 100, "cache_write": 10, "reasoning": 4}
        assert end(records)["usage"] == {"input": 113, "output": 9, "details": details}
        assert end(records)["details"][ISSUER]["usage"]["cache_read_input_tokens"] == 100

    def test_iterations_are_summed(self) -> None:
        inside = [
            {"input_tokens": 5, "cache_read_input_tokens": 50, "output_tokens": 8},
            {"input_tokens": 2, "output_tokens": 1},
        ]
        usage = {"input_tokens": 2, "output_tokens": 1, "iterations": inside}
        assert end(decode(sse(begin(usage=usage), *finish(usage=usage))))["usage"] == {
            "input": 57,
            "output": 9,
            "details": {"cached": 50},
        }

    @pytest.mark.parametrize("usage", [None, [], {"input_tokens": "x", "iterations": 4}, {"input_tokens": -1}])
    def test_counts_that_are_none(self, usage: Any) -> None:
        assert end(decode(sse(begin(usage=usage), *finish(usage=usage)))).get("usage") in (
            None,
            {"input": 0, "output": 0},
        )


class TestThinking:
    def test_a_signature_that_comes_after_its_text(self) -> None:
        records = decode(reply(*thinking(0, "Hm.", "SIG"), *text(1, "Yes.")))
        assert records[1:3] == [
            {"type": "reasoning", "chunk": "Hm.", "part_index": 0},
            {"type": "reasoning", "chunk": "", "part_index": 0, **own(signature="SIG")},
        ]
        assert whole(records)["parts"][0] == {"type": "reasoning", "text": "Hm.", **own(signature="SIG")}

    def test_a_signature_after_the_text_of_another_block(self) -> None:
        events = [
            start(0, "thinking", thinking="", signature=""),
            delta(0, "thinking_delta", thinking="Hm."),
            start(1, "text", text=""),
            delta(1, "text_delta", text="Yes."),
            delta(0, "signature_delta", signature="SIG"),
            delta(1, "text_delta", text=" No."),
            stop(0),
            stop(1),
        ]
        assert parts(*events) == [
            {"type": "reasoning", "text": "Hm.", **own(signature="SIG")},
            {"type": "text", "text": "Yes. No."},
        ]

    def test_two_thinking_blocks_in_a_row(self) -> None:
        events = [*thinking(0, "One.", "S1"), *thinking(1, "Two.", "S2"), *text(2, "Done.")]
        assert [part["text"] for part in parts(*events)] == ["One.", "Two.", "Done."]
        assert sent_back(*events) == [
            {"type": "thinking", "thinking": "One.", "signature": "S1"},
            {"type": "thinking", "thinking": "Two.", "signature": "S2"},
            {"type": "text", "text": "Done."},
        ]

    def test_a_signature_on_an_empty_text(self) -> None:
        events = [start(0, "thinking", thinking=""), delta(0, "signature_delta", signature="S"), stop(0), *text(1, "a")]
        assert parts(*events)[0] == {"type": "reasoning", "text": "", **own(signature="S")}
        assert sent_back(*events)[0] == {"type": "thinking", "thinking": "", "signature": "S"}

    def test_redacted_thinking(self) -> None:
        events = [start(0, "redacted_thinking", data="ENC"), stop(0), *thinking(1, "Hm.", "S"), *text(2, "a")]
        assert parts(*events)[0] == {"type": "reasoning", "text": "", "redacted": True, **own(data="ENC")}
        assert sent_back(*events)[0] == {"type": "redacted_thinking", "data": "ENC"}

    def test_thinking_without_a_signature_is_not_sent(self) -> None:
        cut = sse(begin(), start(0, "thinking", thinking=""), delta(0, "thinking_delta", thinking="Hm"))
        message = whole(decode(cut))
        assert message["parts"] == [{"type": "reasoning", "text": "Hm"}]
        body = asked(user("q"), message, user("go on"))
        assert [block["text"] for block in body["messages"][0]["content"]] == ["q", "go on"]
        assert body["notices"] == ["reasoning of a reply was not sent: it has no signature of this provider"]

    def test_a_server_that_signs_nothing(self) -> None:
        message = assistant({"type": "reasoning", "text": "Hm"})
        blocks = content(message, quirks=frozenset({"unsigned_thinking"}))
        assert blocks == [{"type": "thinking", "thinking": "Hm", "signature": ""}]


class TestCalls:
    def test_parallel_calls(self) -> None:
        events = [*tool_use(0, "add", "toolu_1", "", '{"a": 1', ', "b": 2}'), *tool_use(1, "now", "toolu_2", "")]
        records = decode(reply(*events, reason="tool_use"))
        assert whole(records)["parts"] == [
            {
                "type": "tool_call",
                "name": "add",
                "arguments": {"a": 1, "b": 2},
                "tool_call_id": "toolu_1",
                "arguments_raw": '{"a": 1, "b": 2}',
            },
            {"type": "tool_call", "name": "now", "arguments": {}, "tool_call_id": "toolu_2"},
        ]
        assert end(records)["finish_reason"] == "tool_calls"
        message = whole(records)
        wire = said(user("q"), message, results(("toolu_1", "3"), ("toolu_2", "noon")), user("thanks"))
        assert wire[1]["content"][0] == {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": 2}}
        assert wire[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": "noon"},
            {"type": "text", "text": "thanks"},
        ]

    def test_interleaved_calls(self) -> None:
        events = [
            start(0, "tool_use", id="a", name="f"),
            start(1, "tool_use", id="b", name="g"),
            delta(1, "input_json_delta", partial_json='{"x":'),
            delta(0, "input_json_delta", partial_json='{"y":1}'),
            delta(1, "input_json_delta", partial_json="2}"),
            stop(0),
            stop(1),
        ]
        called = [(part["name"], part["tool_call_id"], part["arguments"]) for part in parts(*events)]
        assert called == [("f", "a", {"y": 1}), ("g", "b", {"x": 2})]

    @pytest.mark.parametrize("index", [None, [], {}, "0"])
    def test_an_index_that_is_none(self, index: Any) -> None:
        events = [*text(index, "a"), *text(index, "b")]
        assert [part["text"] for part in parts(*events)] == ["a", "b"]

    def test_arguments_in_the_start(self) -> None:
        begun = start(0, "tool_use", id="a", name="f", input={"x": 2**64})
        for events in ([begun, stop(0)], [begun]):
            assert parts(*events)[0]["arguments"] == {"x": 2**64}
        assert b"18446744073709551616" in dumps(sent_back(begun, stop(0))[0])

    def test_a_message_that_starts_with_its_blocks(self) -> None:
        called = {"type": "tool_use", "id": "toolu_1", "name": "roll", "input": {"die": 1}, "caller": {"type": "code"}}
        said = {"type": "text", "text": "Rolling."}
        started = begin(content=[said, called], stop_reason="tool_use")
        for events in ([started], [started, started]):  # some servers send the start twice
            records = decode(sse(*events, {"type": "message_stop"}))
            assert [part["type"] for part in whole(records)["parts"]] == ["text", "tool_call"]
            assert whole(records)["parts"][1]["arguments"] == {"die": 1}
            assert end(records)["finish_reason"] == "tool_calls"
            assert end(records)["finish_reason_raw"] == "tool_use"

    def test_the_caller_is_kept(self) -> None:
        events = tool_use(0, "f", "a", "{}", caller={"type": "code_execution_20260120", "tool_id": "srvtoolu_1"})
        assert sent_back(*events)[0]["caller"] == {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}

    def test_arguments_that_are_no_json(self) -> None:
        [part] = parts(*tool_use(0, "f", "a", '{"x": celsius}'), reason="tool_use")
        assert part["arguments_raw"] == '{"x": celsius}'
        assert part["exception"].startswith("invalid arguments")
        assert content(assistant(part))[0]["input"] == {"INVALID_JSON": '{"x": celsius}'}

    def test_two_calls_with_one_id(self) -> None:
        found = parts(*tool_use(0, "f", "a"), *tool_use(1, "f", "a"), *tool_use(2, "f", ""))
        assert [part["tool_call_id"] for part in found] == ["a", "~1", "~2"]

    def test_ids_are_made_to_fit_and_unique(self) -> None:
        turns = [
            assistant(call("f", "call.1:x"), call("g")),
            results(("call.1:x", "one"), ("~1", "two")),
            assistant(call("f", "call.1:x")),
            results(("call.1:x", "three")),
        ]
        wire = said(user("q"), *turns)
        ids = [block["id"] for message in wire for block in message["content"] if block["type"] == "tool_use"]
        answered = [
            (block["tool_use_id"], block["content"])
            for message in wire
            for block in message["content"]
            if block["type"] == "tool_result"
        ]
        assert len(set(ids)) == 3
        assert all(name.replace("_", "").isalnum() for name in ids)
        assert answered == list(zip(ids, ["one", "two", "three"], strict=True))
        assert said(user("q"), *turns) == wire

    def test_a_result_that_failed(self) -> None:
        [_, _, message] = said(user("q"), assistant(call("f", "a")), results(("a", "out"), exception="boom"))
        assert message["content"] == [
            {"type": "tool_result", "tool_use_id": "a", "content": "Error: boom\nout", "is_error": True}
        ]

    def test_a_result_with_an_image(self) -> None:
        image = {"type": "image/png", "content": b64encode(b"png").decode()}
        [_, _, message] = said(user("q"), assistant(call("f", "a")), results(("a", ""), attachments=[image]))
        source = {"type": "base64", "media_type": "image/png", "data": image["content"]}
        assert message["content"][0]["content"] == [{"type": "image", "source": source}]

    def test_results_come_first_whoever_spoke_before(self) -> None:
        [_, _, message] = said(user("q"), assistant(call("f", "a")), user("wait"), results(("a", "out")))
        assert [block["type"] for block in message["content"]] == ["tool_result", "text"]


def searched(index: int, call_id: str, *urls: str) -> list[Object]:
    """A web search of the server's, and its result."""
    found = [
        {"type": "web_search_result", "title": f"On {url}", "url": url, "encrypted_content": "ENC"} for url in urls
    ]
    result = start(index + 1, "web_search_tool_result", tool_use_id=call_id, content=found, caller={"type": "direct"})
    call_ = tool_use(index, "web_search", call_id, "", '{"query":"x"}', kind="server_tool_use")
    return [*call_, result, stop(index + 1)]


class TestServerTools:
    def test_a_search_and_its_result(self) -> None:
        [made, result] = parts(*searched(0, "srvtoolu_1", "http://a", "http://b"))
        assert made["server_executed"] is True
        assert made["arguments"] == {"query": "x"}
        assert result["output"] == "On http://a\nhttp://a\nOn http://b\nhttp://b"
        assert (result["name"], result["tool_call_id"]) == ("web_search", "srvtoolu_1")
        assert result["provider_metadata"][ISSUER]["content"][0]["encrypted_content"] == "ENC"

    def test_adjacent_server_tool_blocks(self) -> None:
        events = [*searched(0, "srvtoolu_1", "http://a"), *searched(2, "srvtoolu_2", "http://b"), *text(4, "So.")]
        blocks = sent_back(*events)
        assert [block["type"] for block in blocks] == [
            "server_tool_use",
            "web_search_tool_result",
            "server_tool_use",
            "web_search_tool_result",
            "text",
        ]
        assert [blocks[i]["tool_use_id"] for i in (1, 3)] == [blocks[i]["id"] for i in (0, 2)]
        assert blocks[1] == events[4]["content_block"]
        conversation = Conversation([whole(decode(reply(*events)))])
        assert conversation.pending_calls() == []

    def test_two_calls_before_their_results(self) -> None:
        one, two = searched(0, "srvtoolu_1", "http://a"), searched(2, "srvtoolu_2", "http://b")
        blocks = sent_back(*one[:-2], *two[:-2], *two[-2:], *one[-2:])
        assert [block.get("id") or block["tool_use_id"] for block in blocks] == [
            "srvtoolu_1",
            "srvtoolu_2",
            "srvtoolu_2",
            "srvtoolu_1",
        ]

    @pytest.mark.parametrize(
        ("kind", "fields", "output", "exception"),
        [
            ("mcp_tool_result", {"is_error": False, "content": [{"type": "text", "text": "hi"}]}, "hi", None),
            ("mcp_tool_result", {"is_error": True, "content": [{"type": "text", "text": "no"}]}, "no", "no"),
            (
                "web_search_tool_result",
                {"content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}},
                "",
                "max_uses_exceeded",
            ),
            (
                "bash_code_execution_tool_result",
                {"content": {"type": "bash_code_execution_result", "stdout": "1\n", "stderr": "e", "content": []}},
                "1\ne",
                None,
            ),
            (
                "advisor_tool_result",
                {"content": {"type": "advisor_redacted_result", "encrypted_content": "E"}},
                "",
                None,
            ),
            ("glitter_tool_result", {"content": 3}, "", None),
            (
                "web_fetch_tool_result",
                {
                    "content": {
                        "type": "web_fetch_result",
                        "url": "http://a",
                        "content": {"type": "document", "source": {"type": "text", "data": "Page"}},
                    }
                },
                "http://a\nPage",
                None,
            ),
        ],
    )
    def test_results(self, kind: str, fields: Object, output: str, exception: str | None) -> None:
        block = start(0, kind, tool_use_id="srvtoolu_1", **fields)
        [part] = parts(block, stop(0))
        assert (part["output"], part.get("exception")) == (output, exception)
        assert part["name"] == kind.removesuffix("_tool_result")
        assert sent_back(block, stop(0)) == [block["content_block"]]

    def test_a_tool_of_an_mcp_server(self) -> None:
        events = tool_use(0, "echo", "mcptoolu_1", "{}", kind="mcp_tool_use", server_name="s")
        assert parts(*events)[0]["provider_metadata"] == {ISSUER: {"type": "mcp_tool_use", "server_name": "s"}}
        [block] = sent_back(*events)
        assert block == {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "echo", "input": {}, "server_name": "s"}

    def test_a_call_that_was_cut_off_is_not_sent(self) -> None:
        cut = sse(begin(), *text(0, "a"), *tool_use(1, "web_search", "srvtoolu_1", '{"qu', kind="server_tool_use")[:-1])
        body = asked(user("q"), whole(decode(cut)), user("go on"))
        assert [block["type"] for block in body["messages"][1]["content"]] == ["text"]
        assert body["notices"] == ["a call of a reply was not sent: it was cut off"]

    def test_pause_turn(self) -> None:
        """What was paused goes back as it is, and what follows continues the same message."""
        paused = decode(reply(*text(0, "Let me see."), *searched(1, "srvtoolu_1", "http://a")[:4], reason="pause_turn"))
        assert end(paused)["finish_reason"] == "pause"
        wire = said(user("q"), whole(paused))
        assert [message["role"] for message in wire] == ["user", "assistant"]
        assert wire[1]["content"][-1] == {
            "type": "server_tool_use",
            "id": "srvtoolu_1",
            "name": "web_search",
            "input": {"query": "x"},
        }
        rest = whole(decode(reply(searched(0, "srvtoolu_1", "http://a")[4], stop(1), *text(2, "So."))))
        wire = said(user("q"), whole(paused), rest, user("thanks"))
        assert [message["role"] for message in wire] == ["user", "assistant", "user"]
        assert [block["type"] for block in wire[1]["content"]][1:] == [
            "server_tool_use",
            "web_search_tool_result",
            "text",
        ]

    def test_a_container_is_used_again(self) -> None:
        container = {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}
        said_ = {"stop_reason": "end_turn", "container": container}
        events = [begin(), *text(0, "a"), {"type": "message_delta", "delta": said_}, {"type": "message_stop"}]
        message = whole(decode(sse(*events)))
        assert message["provider_metadata"] == {ISSUER: {"container": container}}
        assert asked(message, user("q"))["container"] == "container_1"
        assert "container" not in asked(message, user("q"), options={"container": None})

    @pytest.mark.parametrize("kind", ["fallback", "container_upload", "never_seen", "attachment"])
    def test_unknown_blocks_go_back_whole(self, kind: str) -> None:
        begun = start(0, kind, source={"model": "a"}, n=[1, None])
        [part] = parts(begun, stop(0))
        assert part["provider_metadata"] == {ISSUER: begun["content_block"]}
        assert sent_back(begun, stop(0)) == [begun["content_block"]]

    def test_a_compaction(self) -> None:
        events = [
            start(0, "compaction", content=None),
            delta(0, "compaction_delta", content="So far", encrypted_content="ENC"),
            stop(0),
            *text(1, "a"),
        ]
        assert sent_back(*events)[0] == {"type": "compaction", "content": "So far", "encrypted_content": "ENC"}


class TestCitations:
    def test_sources_are_annotations(self) -> None:
        cited = {
            "type": "web_search_result_location",
            "url": "http://a",
            "title": "A",
            "cited_text": "x",
            "encrypted_index": "ENC",
        }
        page = {
            "type": "page_location",
            "document_title": None,
            "cited_text": "y",
            "document_index": 0,
            "start_page_number": 1,
        }
        titled = {"type": "char_location", "document_title": "Doc", "cited_text": "z", "start_char_index": 1}
        citations = [delta(0, "citations_delta", citation=one) for one in (cited, page, titled)]
        events = [start(0, "text", text="", citations=[]), *citations, delta(0, "text_delta", text="So."), stop(0)]
        [part] = parts(*events)
        assert part["text"] == "So."
        assert part["annotations"][0] == {
            "kind": "web_search_result_location",
            "url": "http://a",
            "title": "A",
            "cited_text": "x",
            **own(encrypted_index="ENC"),
        }
        assert part["annotations"][2]["title"] == "Doc"
        assert sent_back(*events) == [{"type": "text", "text": "So.", "citations": [cited, page, titled]}]

    def test_those_of_others_are_not_sent(self) -> None:
        part = {"type": "text", "text": "a", "annotations": [{"kind": "url_citation", "url": "http://a"}]}
        assert content(assistant(part)) == [{"type": "text", "text": "a"}]
        assert asked(assistant(part))["notices"] == [
            "sources of a reply were not sent: they belong to another provider"
        ]


class TestRefusal:
    def test_a_refusal(self) -> None:
        details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
        said_ = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}}
        records = decode(sse(begin(), *text(0, "I"), said_, {"type": "message_stop"}))
        assert kinds(records) == ["start", "text", "notice", "end"]
        assert records[2] == {"type": "notice", "code": "refusal", "message": "Not this."}
        assert end(records)["finish_reason"] == "refusal"
        assert end(records)["details"][ISSUER]["stop_details"] == details

    def test_the_refusal_of_another_is_text(self) -> None:
        assert content(assistant({"type": "refusal", "text": "No."})) == [{"type": "text", "text": "No."}]


class TestFailing:
    def test_an_error_in_the_middle(self) -> None:
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        records = decode(sse(begin(), *text(0, "a"), error, *finish()))
        assert kinds(records) == ["start", "text", "error"]
        assert (records[-1]["code"], records[-1]["message"]) == ("overloaded", "Overloaded")

    @pytest.mark.parametrize(
        ("word", "code"),
        [("rate_limit_error", "rate_limited"), ("api_error", "unavailable"), ("invalid_request_error", "bad_request")],
    )
    def test_errors_by_their_word(self, word: str, code: str) -> None:
        assert decode(sse({"type": "error", "error": {"type": word, "message": "m"}}))[0]["code"] == code

    @pytest.mark.parametrize(
        ("status", "word", "exit_status", "retryable"),
        [
            (400, "invalid_request_error", 65, False),
            (401, "authentication_error", 77, False),
            (402, "billing_error", 77, False),
            (403, "permission_error", 77, False),
            (413, "request_too_large", 65, False),
            (429, "rate_limit_error", 75, True),
            (500, "api_error", 69, True),
            (504, "timeout_error", 75, True),
            (529, "overloaded_error", 75, True),
        ],
    )
    def test_error_responses(self, status: int, word: str, exit_status: int, retryable: bool) -> None:
        body = {"type": "error", "error": {"type": word, "message": "m"}, "request_id": "req_1"}
        failure = error_of(status, {"request-id": "req_1"}, dumps(body))
        assert (failure.message, failure.exit_status) == ("m", exit_status)
        assert failure.details["retryable"] is retryable
        assert failure.details["request_id"] == "req_1"

    def test_a_stream_before_its_end_is_cut_off(self) -> None:
        events = [begin(), *text(0, "a"), *finish()]
        for count in range(len(events)):
            records = decode(sse(*events[:count]))
            assert records[-1]["code"] == "truncated", count
            assert "end" not in kinds(records)
        decoder = Decoder(ISSUER)
        decoder.feed(sse(*events[:-1]))
        assert [record["code"] for record in decoder.eof()] == ["truncated"]
        assert decoder.eof() == []

    @pytest.mark.parametrize("data", [b"", b": ping\n\n", b"data", b"data: {", b"event: message_start\n"])
    def test_nothing_is_a_cut(self, data: bytes) -> None:
        assert [record["code"] for record in decode(data)] == ["truncated"]

    @pytest.mark.parametrize(
        "data",
        [
            b"<html>busy</html>",
            sse(b"[1]"),
            sse(b"{nonsense}"),
            sse({"type": "message_stop"}),
            sse(*text(0, "a")),
            b"{}",
            b'{"type":"message"}',
        ],
    )
    def test_what_is_no_reply(self, data: bytes) -> None:
        assert [record["code"] for record in decode(data)] == ["protocol"]

    def test_done_behind_the_end_of_some_gateways(self) -> None:
        assert kinds(decode(reply(*text(0, "a")) + b"data: [DONE]\n\n")) == ["start", "text", "end"]
        assert decode(sse(begin()) + b"data: [DONE]\n\n")[-1]["code"] == "truncated"

    def test_a_message_that_starts_twice(self) -> None:
        records = decode(sse(begin(), begin(), *text(0, "a"), *finish()))
        assert kinds(records) == ["start", "text", "end"]
        records = decode(sse(begin(), *text(0, "a"), begin(id="msg_2"), *text(0, "b"), *finish()))
        assert kinds(records) == ["start", "text", "notice", "text", "end"]
        assert [part["text"] for part in whole(records)["parts"]] == ["a", "b"]


BODY = {
    "id": "msg_1",
    "type": "message",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "S"},
        {"type": "text", "text": "So.", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1.5}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 3, "output_tokens": 7},
}


class TestWholeBody:
    DATA = dumps({**BODY, "content": []}).replace(
        b'"content":[]',
        b'"content":[{"type":"thinking","thinking":"Hm.","signature":"S"},{"type":"text","text":"So.","citations":null},'
        b'{"type":"tool_use","id":"toolu_1","name":"f","input":{"x":1e400}}]',
    )

    def test_a_body(self) -> None:
        records = Decoder(ISSUER).body(self.DATA)
        [reasoning, said_, made] = whole(records)["parts"]
        assert reasoning == {"type": "reasoning", "text": "Hm.", **own(signature="S")}
        assert said_ == {"type": "text", "text": "So."}
        assert dumps(made["arguments"]) == b'{"x":1e400}'
        assert end(records)["finish_reason"] == "tool_calls"
        assert decode(self.DATA) == records

    def test_an_error_as_a_body(self) -> None:
        body = {"type": "error", "error": {"type": "api_error", "message": "m"}}
        assert kinds(Decoder(ISSUER).body(dumps(body))) == ["error"]
        assert [record["code"] for record in Decoder(ISSUER).body(b"[")] == ["protocol"]


SAMPLES: list[Object] = [
    begin(),
    *thinking(0, "Hm.", "S"),
    *text(1, "a", "b"),
    *tool_use(2, "f", "toolu_1", '{"x":', "1}"),
    *searched(3, "srvtoolu_1", "http://a"),
    start(5, "text", text="c", citations=[{"type": "char_location", "cited_text": "x", "document_index": 0}]),
    start(6, "compaction", content=None),
    delta(6, "compaction_delta", content="x"),
    start(7, "redacted_thinking", data="ENC"),
    finish()[0],
    {"type": "ping"},
    {"type": "error", "error": {"type": "api_error", "message": "m"}},
    BODY,
]


class TestAnything:
    @QUICK
    @given(st.lists(mutations(st.sampled_from(SAMPLES)) | st.sampled_from(SAMPLES), max_size=8))
    def test_no_event_makes_anything_else_fail(self, events: list[Object]) -> None:
        records = decode(sse(begin(), *events, finish()[1]))
        assert kinds(records)[-1] in ("end", "error")
        encode(Conversation([whole(records)]), Request("m", "m", ISSUER))
        for event in events:
            whole(Decoder(ISSUER).body(dumps(event)))


# What is asked.


class TestRequest:
    def test_a_plain_request(self) -> None:
        http, notices = encode(
            Conversation([user("Be brief.", role="system"), user("hi")]), Request("m", "claude-x", ISSUER)
        )
        assert notices == []
        assert http.path == "/v1/messages"
        assert http.headers == {
            "content-type": "application/json",
            "accept": "text/event-stream",
            "anthropic-version": "2026-10-21",
        }
        assert json.loads(http.body) == {
            "model": "claude-x",
            "max_tokens": MAX_TOKENS,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            "system": "Be brief.",
            "stream": True,
        }

    def test_no_stream(self) -> None:
        body = asked(user("hi"), stream=False)
        assert "stream" not in body
        assert body["headers"]["accept"] == "application/json"

    @pytest.mark.parametrize(
        ("model", "count"),
        [("claude-3-haiku-20240307", 4096), ("claude-3-5-sonnet-latest", 8192), ("claude-opus-4-8", 32000)],
    )
    def test_max_tokens_is_always_there(self, model: str, count: int) -> None:
        assert asked(user("hi"), model=model)["max_tokens"] == count
        assert asked(user("hi"), model=model, options={"max_tokens": 5})["max_tokens"] == 5

    def test_options(self) -> None:
        body = asked(user("hi"), options={"stop": "END", "metadata": {"user_id": "u"}, "n": 1})
        assert (body["stop_sequences"], body["metadata"]) == (["END"], {"user_id": "u"})
        assert not body.keys() & {"stop", "n"}
        assert asked(user("hi"), options={"stop": ["a", "b"]})["stop_sequences"] == ["a", "b"]
        with pytest.raises(UsageError):
            asked(user("hi"), options={"n": 2})

    @pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
    def test_the_version_that_knows_sampling(self, name: str) -> None:
        assert asked(user("hi"), options={name: 1})["headers"]["anthropic-version"] == "2023-06-01"

    def test_the_version_of_what_the_newer_one_refuses(self) -> None:
        document = {"type": "document", **own(type="document", source={"type": "text", "data": "x"})}
        cited = {"type": "text", "text": "x", **own(citations=[{"type": "char_location"}])}
        for records in ([assistant(document), user("q")], [user(cited)]):
            assert asked(*records)["headers"]["anthropic-version"] == "2023-06-01"

    def test_headers_that_are_asked_for(self) -> None:
        options = {"betas": ["a", "b"], "anthropic_version": "2027-01-01"}
        body = asked(user("hi"), options=options)
        assert (body["headers"]["anthropic-beta"], body["headers"]["anthropic-version"]) == ("a,b", "2027-01-01")
        assert not body.keys() & options.keys()
        assert asked(user("hi"), options={"betas": "a,b"})["headers"]["anthropic-beta"] == "a,b"

    @pytest.mark.parametrize(
        ("choice", "wire"),
        [
            ("auto", {"type": "auto"}),
            ("none", {"type": "none"}),
            ("required", {"type": "any"}),
            ("add", {"type": "tool", "name": "add"}),
        ],
    )
    def test_tool_choice(self, choice: str, wire: Object) -> None:
        tool = {"type": "tool", "name": "add", "input_schema": {"type": "object"}}
        assert asked(tool, user("hi"), tool_choice=choice)["tool_choice"] == wire

    def test_tools(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
        tools = [
            {"type": "tool", "name": "add", "description": "Adds.", "input_schema": schema, **own(strict=True)},
            {"type": "tool", "name": "now"},
            {"type": "tool", "name": "web_search", **own(type="web_search_20260318", max_uses=2)},
            {"type": "tool", "name": "docs", **own(type="mcp_toolset", mcp_server_name="docs")},
            {"type": "tool", "name": "theirs", "provider_metadata": {"openai": {"type": "web_search"}}},
        ]
        body = asked(*tools, user("hi"))
        assert body["tools"] == [
            {"name": "add", "description": "Adds.", "input_schema": schema, "strict": True},
            {"name": "now", "input_schema": {"type": "object", "properties": {}}},
            {"name": "web_search", "type": "web_search_20260318", "max_uses": 2},
            {"type": "mcp_toolset", "mcp_server_name": "docs"},
        ]
        assert body["notices"] == ["the tool theirs was not offered: it belongs to another provider"]

    @pytest.mark.parametrize(
        ("effort", "wire"), [("minimal", "low"), ("low", "low"), ("xhigh", "xhigh"), ("max", "max")]
    )
    def test_reasoning_is_adaptive(self, effort: str, wire: str) -> None:
        body = asked(user("hi"), reasoning=effort)
        assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
        assert body["output_config"] == {"effort": wire}

    def test_no_reasoning(self) -> None:
        body = asked(user("hi"), reasoning="none")
        assert body["thinking"] == {"type": "disabled"}
        assert "output_config" not in body

    @pytest.mark.parametrize(
        "model", ["claude-3-7-sonnet-latest", "claude-haiku-4-5-20251001", "claude-opus-4-20250514"]
    )
    def test_reasoning_by_a_budget(self, model: str) -> None:
        body = asked(user("hi"), model=model, reasoning="high")
        assert body["thinking"] == {"type": "enabled", "budget_tokens": 16000, "display": "summarized"}
        assert "output_config" not in body
        body = asked(user("hi"), model=model, reasoning="high", options={"max_tokens": 2000})
        assert (body["thinking"]["budget_tokens"], body["max_tokens"]) == (1999, 2000)
        body = asked(user("hi"), model=model, reasoning="low", options={"max_tokens": 1000})
        assert "thinking" not in body
        assert len(body["notices"]) == 1

    def test_a_schema(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}
        body = asked(user("hi"), schema=schema, reasoning="low", options={"output_config": {"effort": "max"}})
        assert body["output_config"]["effort"] == "max"
        closed = {**schema, "additionalProperties": False}
        assert body["output_config"]["format"] == {"type": "json_schema", "schema": closed}
        body = asked(user("hi"), schema=schema, quirks=frozenset({"no_schema"}))
        assert "output_config" not in body
        assert '"items":{"type":"string"}' in body["system"]
        assert len(body["notices"]) == 1


class TestMessages:
    def test_later_system_messages(self) -> None:
        records = [
            user("A", role="system"),
            user("hi"),
            user("B", role="system"),
            assistant({"type": "text", "text": "x"}),
        ]
        body = asked(*records, user("q"), model="claude-opus-4-8")
        assert body["system"] == "A"
        assert [message["role"] for message in body["messages"]] == ["user", "system", "assistant", "user"]
        for fields in ({"model": "claude-haiku-4-5-20251001"}, {"quirks": frozenset({"no_late_system"})}):
            body = asked(*records, user("q"), **fields)
            assert [block["text"] for block in body["system"]] == ["A", "B"]
            assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
            assert len(body["notices"]) == 1

    def test_where_a_later_system_message_stands(self) -> None:
        """Behind a message of the user's and nowhere else, before the model's next."""
        before = [user("hi"), assistant({"type": "text", "text": "x"})]
        wire = said(*before, user("B", role="system"), user("q"), user("r"), model="claude-opus-4-8")
        assert [message["role"] for message in wire] == ["user", "assistant", "user", "system"]
        body = asked(*before, user("B", role="system"), model="claude-opus-4-8")
        assert body["system"] == "B"
        assert len(body["notices"]) == 1

    def test_blank_texts(self) -> None:
        blank, full = {"type": "text", "text": "\n"}, {"type": "text", "text": "a"}
        assert content(assistant(blank, full)) == [blank, full]
        assert content(assistant(blank, call("f", "a")))[0]["type"] == "tool_use"
        assert [message["role"] for message in said(user("q"), assistant(blank), user(" "))] == ["user"]

    def test_neighbours_are_merged(self) -> None:
        wire = said(
            user("a"), user("b"), assistant({"type": "text", "text": "c"}), assistant({"type": "text", "text": "d"})
        )
        assert [[block["text"] for block in message["content"]] for message in wire] == [["a", "b"], ["c", "d"]]

    def test_a_last_message_of_the_model_ends_plainly(self) -> None:
        wire = said(user("a"), assistant({"type": "text", "text": "Answer: \n"}))
        assert wire[-1]["content"] == [{"type": "text", "text": "Answer:"}]
        assert [message["role"] for message in said(user("a"), assistant({"type": "text", "text": " "}))] == ["user"]

    @pytest.mark.parametrize(
        ("attachment", "block"),
        [
            (
                {"type": "image/png", "content": "cG5n"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "cG5n"}},
            ),
            (
                {"type": "image/webp", "url": "http://a"},
                {"type": "image", "source": {"type": "url", "url": "http://a"}},
            ),
            ({"url": "http://a"}, {"type": "image", "source": {"type": "url", "url": "http://a"}}),
            (
                {"type": "application/pdf", "content": "cG5n", "name": "a.pdf"},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "cG5n"},
                    "title": "a.pdf",
                },
            ),
            (
                {"type": "application/pdf", "url": "http://a"},
                {"type": "document", "source": {"type": "url", "url": "http://a"}},
            ),
            (
                {"type": "text/csv", "content": "YSxi"},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
            ),
        ],
    )
    def test_attachments(self, attachment: Object, block: Object) -> None:
        part = {"type": "attachment", "attachment": attachment}
        assert said(user(part))[0]["content"] == [block]
        cached = {**part, **own(cache_control={"type": "ephemeral"})}
        assert said(user(cached))[0]["content"] == [{**block, "cache_control": {"type": "ephemeral"}}]

    @pytest.mark.parametrize(
        "attachment",
        [
            {"type": "audio/wav", "content": "cG5n"},
            {"type": "image/bmp", "content": "cG5n"},
            {"type": "text/csv", "url": "http://a"},
            {"type": "application/zip", "content": "cG5n"},
            {"type": "image/png"},
        ],
    )
    def test_attachments_that_have_no_place(self, attachment: Object) -> None:
        part = {"type": "attachment", "attachment": attachment}
        if len(attachment) > 1:
            with pytest.raises(InputError, match=r"message 2 \(user\), part 2: .*drop_unsupported"):
                asked(user("a"), user("q", part))
        body = asked(user("q", part), drop_unsupported=True)
        assert [block["type"] for block in body["messages"][0]["content"]] == ["text"]
        assert len(body["notices"]) == 1

    def test_a_file_of_the_vendors(self) -> None:
        source = {"type": "file", "file_id": "file_1"}
        part = {"type": "attachment", "attachment": {"type": "application/pdf"}, **own(source=source)}
        assert said(user(part))[0]["content"] == [{"type": "document", "source": source}]

    def test_bytes_that_were_not_read(self) -> None:
        for attachment in ({"type": "image/png", "path": "/a", "sha256": "x"}, {"type": "text/plain", "content": "a"}):
            with pytest.raises(InputError):
                asked(user({"type": "attachment", "attachment": attachment}))

    def test_other_parts(self) -> None:
        part = {"type": "search_result", **own(type="search_result", source="s", title="t", content=[])}
        assert said(user(part))[0]["content"][0]["type"] == "search_result"
        body = asked(user("q", {"type": "search_result", "provider_metadata": {"other": {"type": "x"}}}))
        assert body["notices"] == ["a search_result part was not sent: it has no place in this protocol"]


CANARY = "CANARY"


def foreign(**fields: Any) -> Object:
    return {"provider_metadata": {"openai-chat": {"canary": CANARY, **fields}}}


class TestForeignHistory:
    """A conversation begun with another provider goes on here."""

    RECORDS = (
        {"type": "tool", "name": "add", "input_schema": {"type": "object"}, **foreign()},
        {"type": "tool", "name": "theirs", **foreign(type="web_search")},
        user("Be brief.", role="system"),
        {**user("q"), **foreign()},
        {
            **assistant(
                {"type": "reasoning", "text": f"{CANARY} thoughts", **foreign(field="reasoning_content")},
                {"type": "reasoning", "text": "", "redacted": True, **foreign(data=CANARY)},
                {
                    "type": "text",
                    "text": "Let me add.",
                    "annotations": [{"kind": "url_citation", "url": f"http://{CANARY}", **foreign()}],
                    **foreign(),
                },
                call("search", "ws_1", server_executed=True, **foreign()),
                {
                    "type": "tool_result",
                    "name": "search",
                    "output": CANARY,
                    "tool_call_id": "ws_1",
                    "server_executed": True,
                    **foreign(),
                },
                call("add", "call.1", arguments={"a": 1}, arguments_raw='{"a": 1}', **foreign()),
                call("add", "call.2", arguments={"a": 2}, **foreign()),
                {"type": "image_generation", **foreign()},
                {"type": "attachment", "attachment": {"type": "image/png", "content": "cG5n"}, **foreign()},
            ),
            **foreign(container={"id": CANARY}),
            "response": {"provider": "openai-chat", "id": CANARY, "model": "openai/x"},
        },
        results(("call.1", "one"), ("call.2", "two"), **foreign()),
    )

    def test_only_what_is_neutral_is_sent(self) -> None:
        body = asked(*self.RECORDS)
        assert CANARY not in json.dumps({name: value for name, value in body.items() if name != "notices"})
        [_, model, tools] = body["messages"]
        assert [block["type"] for block in model["content"]] == ["text", "tool_use", "tool_use"]
        ids = [block["id"] for block in model["content"][1:]]
        assert [(block["tool_use_id"], block["content"]) for block in tools["content"]] == [
            (ids[0], "one"),
            (ids[1], "two"),
        ]
        assert body["tools"] == [{"name": "add", "input_schema": {"type": "object", "properties": {}}}]

    def test_what_is_left_out_is_told(self) -> None:
        notices = asked(*self.RECORDS)["notices"]
        for word in (
            "tool theirs",
            "reasoning",
            "call of a reply",
            "tool_result",
            "image_generation",
            "attachment",
            "sources",
        ):
            assert any(word in notice for notice in notices), word
        assert CANARY not in "".join(notices)

    def test_nothing_of_ours_goes_to_another(self) -> None:
        events = [*thinking(0, "Hm.", CANARY), start(1, "redacted_thinking", data=CANARY), stop(1), *text(2, "a")]
        message = whole(decode(reply(*events, *searched(3, "srvtoolu_1", f"http://{CANARY}"))))
        http, _ = encode(Conversation([user("q"), message, user("r")]), Request("m", "m", "http://localhost:1"))
        assert CANARY.encode() not in http.body
        assert b"ENC" not in http.body

    @pytest.mark.exhaustive
    @QUICK
    @given(st.lists(strategies.messages() | strategies.tools(), max_size=5), st.sampled_from(["openai", "gemini"]))
    def test_any_conversation(self, records: list[Object], issuer: str) -> None:
        try:
            http, _ = encode(Conversation(records), Request("m", "m", issuer))
        except InputError:
            return
        messages = json.loads(http.body)["messages"]
        roles = [message["role"] for message in messages]
        assert all(message["content"] for message in messages)
        assert all(one != other or one == "system" for one, other in pairwise(roles))
