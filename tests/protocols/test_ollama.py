"""Ollama native: what is asked, what is made of the answer; streams written here."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError, UsageError
from llmtools.protocols.ollama.request import encode
from llmtools.protocols.request import Request
from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps
from support import decoding, strategies
from support.decoding import kinds, machines
from support.strategies import QUICK, mutations

Decoder = machines("ollama")

Object = dict[str, Any]
ISSUER = "ollama"
CANARY = "CANARY-of-another-issuer"


def line(message: Object | None = None, **fields: Any) -> Object:
    return {"model": "m-1", "created_at": "now", "message": {"role": "assistant", **(message or {})}, **fields}


def done(reason: str = "stop", **fields: Any) -> Object:
    return line({"content": ""}, done=True, done_reason=reason, **fields)


def ndjson(*lines: Object) -> bytes:
    return b"".join([dumps(item) + b"\n" for item in lines])


def decode(data: bytes) -> list[Object]:
    """The records of a stream, which are the same however it is cut, each of them checked."""
    return decoding.decoded(lambda: Decoder(ISSUER), data, ISSUER)


def whole(records: list[Object]) -> Object:
    return decoding.whole(records, ISSUER)


def call(name: str = "f", arguments: Any = None, call_id: str = "", **function: Any) -> Object:
    named = {"id": call_id} if call_id else {}
    return {**named, "function": {"name": name, "arguments": arguments or {}, **function}}


def parts(*messages: Object) -> list[Object]:
    found: list[Object] = whole(decode(ndjson(*[line(message) for message in messages], done())))["parts"]
    return found


class TestReply:
    def test_a_plain_reply(self) -> None:
        counts = {"total_duration": 9, "prompt_eval_count": 3, "eval_count": 2}
        records = decode(ndjson(line({"content": "Hel"}), line({"content": "lo"}), done("stop", **counts)))
        assert records == [
            {"type": "start"},
            {"type": "text", "chunk": "Hel", "part_index": 0},
            {"type": "text", "chunk": "lo", "part_index": 0},
            {
                "type": "end",
                "status": "ok",
                "finish_reason": "stop",
                "usage": {"input": 3, "output": 2},
                "model_served": "m-1",
                "details": {ISSUER: {"usage": counts}},
            },
        ]

    def test_events_come_when_their_line_does(self) -> None:
        decoder = Decoder(ISSUER)
        assert kinds(decoder.feed(ndjson(line({"content": ""})))) == ["start"]
        assert kinds(decoder.feed(ndjson(line({"content": "a"})))) == ["text"]
        assert kinds(decoder.feed(ndjson(done()))) == ["end"]
        assert decoder.feed(ndjson(line({"content": "more"}))) == []
        assert decoder.eof() == []
        assert decoder.seen == 3

    def test_thinking_and_text(self) -> None:
        thinking = {"type": "reasoning", "text": "hm.", "provider_metadata": {ISSUER: {"field": "thinking"}}}
        found = parts({"content": "", "thinking": "hm"}, {"thinking": "."}, {"content": "yes"})
        assert found == [thinking, {"type": "text", "text": "yes"}]

    def test_thinking_by_another_name(self) -> None:
        message = whole(decode(ndjson(line({"reasoning_content": "hm"}), done())))
        assert messages(message) == [{"role": "assistant", "content": "", "thinking": "hm"}]

    def test_parallel_calls_without_ids(self) -> None:
        records = decode(ndjson(line({"tool_calls": [call("f", {"a": 1}), call("f", {"a": 2}, index=1)]}), done()))
        assert records[-1]["finish_reason"] == "tool_calls"
        assert records[-1]["finish_reason_raw"] == "stop"
        message = whole(records)
        assert [(part["tool_call_id"], part["arguments"]) for part in message["parts"]] == [
            ("~0", {"a": 1}),
            ("~1", {"a": 2}),
        ]
        results = [
            {"type": "tool_result", "name": "f", "output": str(place), "tool_call_id": f"~{place}"} for place in (0, 1)
        ]
        sent = messages(message, {"type": "message", "role": "tool", "parts": results})
        assert [said["function"] for said in sent[0]["tool_calls"]] == [
            {"name": "f", "arguments": {"a": 1}},
            {"name": "f", "arguments": {"a": 2}, "index": 1},
        ]
        assert all("id" not in said for said in sent[0]["tool_calls"])
        assert sent[1:] == [
            {"role": "tool", "tool_name": "f", "content": "0"},
            {"role": "tool", "tool_name": "f", "content": "1"},
        ]

    def test_ids_go_back_as_they_came(self) -> None:
        message = whole(decode(ndjson(line({"tool_calls": [call(call_id="call_1"), call(call_id="call_1")]}), done())))
        assert [part["tool_call_id"] for part in message["parts"]] == ["call_1", "~1"]
        result = {"type": "tool_result", "name": "f", "output": "x", "tool_call_id": "call_1"}
        sent = messages(message, {"type": "message", "role": "tool", "parts": [result]})
        assert [said.get("id") for said in sent[0]["tool_calls"]] == ["call_1", None]
        assert sent[1]["tool_call_id"] == "call_1"

    @pytest.mark.parametrize("number", ["18446744073709551616", "1.0", "1e400"])
    def test_no_number_is_rounded(self, number: str) -> None:
        data = ndjson(line({"tool_calls": [call(arguments={"a": "N"})]}), done()).replace(b'"N"', number.encode())
        http, _ = encode(Conversation([whole(decode(data))]), Request("m", "m", ISSUER))
        assert b'{"a":' + number.encode() + b"}" in http.body

    def test_logprobs_and_unknown_fields_are_details(self) -> None:
        records = decode(ndjson(line({"content": "a"}, logprobs=[{"token": "a"}], remote_host="h"), done("load")))
        assert records[-1]["details"] == {ISSUER: {"logprobs": [{"token": "a"}], "remote_host": "h"}}
        assert records[-1]["finish_reason_raw"] == "load"

    def test_an_image_of_the_model(self) -> None:
        message = whole(decode(ndjson(line({"images": ["iVBORw0K"]}), done())))
        assert message["parts"][0]["attachment"] == {"type": "image/png", "content": "iVBORw0K"}
        assert messages(message)[0]["images"] == ["iVBORw0K"]

    def test_arguments_that_nest_too_deep(self) -> None:
        deep = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":' + b"[" * 400 + b"]" * 400
        [part] = whole(decode(deep + b"}}}]}}\n" + ndjson(done())))["parts"]
        assert part["exception"]

    def test_half_a_character(self) -> None:
        halves = [b'{"message":{"content":"\\ud83d"}}\n', b'{"message":{"content":"\\ude00"}}\n', ndjson(done())]
        assert whole(decode(b"".join(halves)))["parts"] == [{"type": "text", "text": "\U0001f600"}]


class TestFailure:
    def test_an_error_in_mid_stream(self) -> None:
        records = decode(ndjson(line({"content": "a"}), {"error": "it broke"}, line({"content": "b"})))
        assert kinds(records) == ["start", "text", "error"]
        assert (records[-1]["message"], records[-1]["exit_status"]) == ("it broke", 69)

    def test_a_stream_without_its_end_is_cut_off(self) -> None:
        decoder = Decoder(ISSUER)
        decoder.feed(ndjson(line({"content": "a"}), line({"content": "b"}, done_reason="stop", done=False)))
        assert [record["code"] for record in decoder.eof()] == ["truncated"]

    def test_a_last_line_without_its_newline(self) -> None:
        assert kinds(decode(ndjson(line({"content": "a"}), done())[:-1]))[-1] == "end"
        assert decode(ndjson(line({"content": "a"}), done())[:-2])[-1]["code"] == "truncated"

    @pytest.mark.parametrize("data", [b"<html>no</html>", b"<html>no</html>\n", b"[1]\n", b'{"a":1}\n', b"{no}\n"])
    def test_what_is_no_reply(self, data: bytes) -> None:
        [record] = decode(data)
        assert record["code"] == "protocol"

    def test_nothing(self) -> None:
        assert decode(b"")[-1]["code"] == "truncated"

    @pytest.mark.parametrize(
        ("body", "code"),
        [(b'{"error":"model \\"m\\" not found"}', "no_model"), (b"x", "protocol"), (dumps(line()), "truncated")],
    )
    def test_a_body_that_fails(self, body: bytes, code: str) -> None:
        assert Decoder(ISSUER).body(body)[-1]["code"] == code

    SAMPLES = (
        line({"content": "a", "thinking": "b"}),
        line({"tool_calls": [call("f", {"a": [1, None]}, "id", index=0)]}),
        line({"images": ["aGk="]}, logprobs=[{"token": "a"}]),
        done(prompt_eval_count=1, eval_count=2, total_duration=3),
        {"error": "no"},
    )

    @QUICK
    @given(st.lists(mutations(st.sampled_from(SAMPLES)) | st.sampled_from(SAMPLES), max_size=6))
    def test_no_line_makes_anything_else_fail(self, lines: list[Object]) -> None:
        records = decode(ndjson(*lines))
        assert kinds(records)[-1] in ("end", "error")
        encode(Conversation([whole(records)]), Request("m", "m", ISSUER))
        for item in lines:
            whole(Decoder(ISSUER).body(dumps(item)))


# What is asked.


def user(*content: Object | str) -> Object:
    said = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return {"type": "message", "role": "user", "parts": said}


def assistant(*content: Object) -> Object:
    return {"type": "message", "role": "assistant", "parts": list(content)}


def ask(*records: Object, **asked: Any) -> tuple[Object, list[str]]:
    http, notices = encode(Conversation(records), Request("ollama/m", "m", ISSUER, **asked))
    for notice in notices:
        check_record(notice)
    return json.loads(http.body), [notice["code"] for notice in notices]


def messages(*records: Object) -> list[Object]:
    found: list[Object] = ask(*records)[0]["messages"]
    return found


class TestRequest:
    def test_a_plain_request(self) -> None:
        http, notices = encode(Conversation([user("hi")]), Request("ollama/m", "m", ISSUER))
        assert (http.path, http.headers["accept"], notices) == ("/api/chat", "application/x-ndjson", [])
        assert json.loads(http.body) == {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": True,
        }
        assert ask(user("hi"), stream=False)[0]["stream"] is False

    def test_options(self) -> None:
        options = {
            "temperature": 0,
            "max_tokens": 5,
            "stop": "x",
            "keep_alive": "1m",
            "options": {"num_ctx": 9},
            "n": 1,
        }
        body, _ = ask(user("hi"), options=options)
        assert body["options"] == {"temperature": 0, "num_predict": 5, "stop": ["x"], "num_ctx": 9}
        assert body["keep_alive"] == "1m"
        with pytest.raises(UsageError):
            ask(user("hi"), options={"n": 2})

    @pytest.mark.parametrize(
        ("effort", "think"), [("none", False), ("minimal", "low"), ("high", "high"), ("max", "max")]
    )
    def test_reasoning(self, effort: str, think: bool | str) -> None:
        assert ask(user("hi"), reasoning=effort)[0]["think"] == think

    def test_schema(self) -> None:
        assert ask(user("hi"), schema={"type": "object"})[0]["format"] == {"type": "object"}

    def test_tools(self) -> None:
        tool = {"type": "tool", "name": "f", "description": "d", "input_schema": {"type": "object"}}
        foreign = {"type": "tool", "name": "search", "provider_metadata": {"openai": {"type": CANARY}}}
        body, codes = ask(tool, foreign, user("hi"))
        function = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
        assert body["tools"] == [{"type": "function", "function": function}]
        assert codes == ["dropped_tool"]
        assert "tools" not in ask(tool, user("hi"), tool_choice="none")[0]
        assert ask(tool, user("hi"), tool_choice="f")[1] == ["dropped_tool_choice"]

    def test_attachments(self) -> None:
        image = {"type": "attachment", "attachment": {"type": "image/png", "content": "aGk="}}
        text = {"type": "attachment", "attachment": {"type": "text/csv", "content": b64encode(b"a,b").decode()}}
        url = {"type": "attachment", "attachment": {"url": "https://example.com/a.png"}}
        pdf = {"type": "attachment", "attachment": {"type": "application/pdf", "content": "aGk="}}
        body, codes = ask(user("look", image, text, url, pdf), drop_unsupported=True)
        assert body["messages"] == [{"role": "user", "content": "look\n\na,b", "images": ["aGk="]}]
        assert codes == ["dropped_attachment"] * 2
        with pytest.raises(InputError, match=r"message 1 \(user\), part 2: .* not take application/pdf"):
            ask(user("look", pdf))
        with pytest.raises(InputError):
            ask(user({"type": "attachment", "attachment": {"path": "/x", "sha256": "0"}}))

    def test_a_result_with_an_image_and_an_exception(self) -> None:
        result = {
            "type": "tool_result",
            "name": "f",
            "output": "no",
            "exception": "ValueError: x",
            "tool_call_id": "c",
            "attachments": [{"type": "image/png", "content": "aGk="}],
        }
        assert messages({"type": "message", "role": "tool", "parts": [result]}) == [
            {
                "role": "tool",
                "tool_name": "f",
                "content": "Error: ValueError: x\nno",
                "tool_call_id": "c",
                "images": ["aGk="],
            }
        ]

    def test_foreign_history(self) -> None:
        of_another = {"openai": {"field": CANARY, "signature": CANARY}}
        history = assistant(
            {"type": "reasoning", "text": CANARY, "provider_metadata": of_another},
            {"type": "text", "text": "calling", "annotations": [{"kind": CANARY}], "provider_metadata": of_another},
            {"type": "tool_call", "name": "f", "arguments": {}, "tool_call_id": "c1", "provider_metadata": of_another},
            {"type": "tool_call", "name": "g", "arguments": {}, "tool_call_id": "c2", "server_executed": True},
            {"type": "unknown_block", "provider_metadata": of_another},
        ) | {"provider_metadata": of_another}
        body, codes = ask(user("hi"), history)
        assert CANARY not in json.dumps(body)
        function = {"name": "f", "arguments": {}}
        assert body["messages"][1] == {
            "role": "assistant",
            "content": "calling",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        }
        assert codes == ["dropped_reasoning", "dropped_annotation", "dropped_part", "dropped_part"]

    @pytest.mark.exhaustive
    @QUICK
    @given(st.lists(strategies.messages() | strategies.tools(), max_size=5), st.sampled_from(["openai", "gemini"]))
    def test_any_conversation(self, records: list[Object], issuer: str) -> None:
        try:
            http, _ = encode(Conversation(records), Request("m", "m", issuer))
        except InputError:
            return
        assert all(isinstance(message, dict) for message in json.loads(http.body)["messages"])
