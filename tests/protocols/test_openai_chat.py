"""Chat Completions: what is asked, what is made of the answer; streams written here, in every dialect."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError, UsageError
from llmtools.protocols.openai_chat.request import encode
from llmtools.protocols.request import Request
from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps
from support import decoding, strategies
from support.decoding import end, kinds, machines
from support.strategies import QUICK, mutations

Decoder = machines("openai-chat")

Object = dict[str, Any]
ISSUER = "acme"


def chunk(delta: Object | None = None, finish: str | None = None, **fields: Any) -> Object:
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": choices, **fields}


def sse(*chunks: Object | str | bytes, done: bool = True) -> bytes:
    payloads = [
        item if isinstance(item, bytes) else item.encode() if isinstance(item, str) else dumps(item) for item in chunks
    ]
    return b"".join([b"data: " + payload + b"\n\n" for payload in [*payloads, *([b"[DONE]"] if done else [])]])


def decode(data: bytes, *quirks: str) -> list[Object]:
    """The records of a stream, which are the same however it is cut, each of them checked."""
    return decoding.decoded(lambda: Decoder(ISSUER, frozenset(quirks)), data, ISSUER)


def whole(records: list[Object]) -> Object:
    return decoding.whole(records, ISSUER)


def parts(*deltas: Object, finish: str = "stop") -> list[Object]:
    """The parts that a stream of these deltas makes."""
    found: list[Object] = whole(decode(sse(*[chunk(delta) for delta in deltas], chunk(finish=finish))))["parts"]
    return found


def own(**fields: Any) -> Object:
    return {"provider_metadata": {ISSUER: fields}}


def call_delta(index: int | None = 0, arguments: Any = None, name: str | None = None, **fields: Any) -> Object:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    place = {} if index is None else {"index": index}
    return {"tool_calls": [{**place, **fields, "function": function}]}


def called(*deltas: Object) -> list[tuple[str, str, Object]]:
    return [(part["tool_call_id"], part["name"], part["arguments"]) for part in parts(*deltas, finish="tool_calls")]


class TestTextAndEnd:
    def test_a_plain_reply(self) -> None:
        records = decode(
            sse(
                chunk({"role": "assistant", "content": ""}),
                chunk({"content": "Hel"}),
                chunk({"content": "lo"}),
                chunk(finish="stop"),
                {**chunk(), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
            )
        )
        assert records == [
            {"type": "start", "response_id": "c1"},
            {"type": "text", "chunk": "Hel", "part_index": 0},
            {"type": "text", "chunk": "lo", "part_index": 0},
            {
                "type": "end",
                "status": "ok",
                "finish_reason": "stop",
                "usage": {"input": 3, "output": 2},
                "model_served": "m-1",
                "details": {ISSUER: {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}},
            },
        ]

    def test_events_come_when_their_chunk_does(self) -> None:
        decoder = Decoder(ISSUER)
        assert kinds(decoder.feed(sse(chunk({"role": "assistant"}), done=False))) == ["start"]
        assert kinds(decoder.feed(sse(chunk({"content": "a"}), done=False))) == ["text"]
        assert decoder.feed(sse(chunk(finish="stop"), done=False)) == []
        assert kinds(decoder.feed(b"data: [DONE]\n\n")) == ["end"]
        assert decoder.feed(sse(chunk({"content": "more"}))) == []
        assert decoder.eof() == []

    @pytest.mark.parametrize("extra", ["", "obfuscation", "p", "created"])
    def test_many_chunks_alike(self, extra: str) -> None:
        """Those that differ in their text alone take a shorter way, with the same result."""
        varied: list[Object] = [
            {extra: "x" * (i % 5) if extra != "created" else i // 9} if extra else {} for i in range(50)
        ]
        chunks = [chunk({"content": str(i)}, **varied[i]) for i in range(50)]
        texts = [record["chunk"] for record in decode(sse(*chunks, chunk(finish="stop"))) if record["type"] == "text"]
        assert texts == [str(i) for i in range(50)]

    def test_a_chunk_that_only_seems_alike(self) -> None:
        plain = [chunk({"content": str(i)}) for i in range(3)]
        odd = chunk({"content": "odd"})
        odd["choices"][0]["logprobs"] = {"content": [{"token": "odd", "logprob": -1.0}]}
        other = chunk({"content": "other"})
        other["choices"][0]["index"] = 1
        with_call = chunk({"content": "x", **call_delta(name="f", id="a", arguments="{}")})
        last = chunk({"content": "end"}, "length", citations=["http://a"])
        records = decode(sse(*plain, odd, *plain, other, with_call, *plain, last))
        said = "".join([record["chunk"] for record in records if record["type"] == "text"])
        assert said == "012odd012x012end"
        assert [record["code"] for record in records if record["type"] == "notice"] == ["choices"]
        assert end(records)["finish_reason"] == "length"
        assert end(records)["details"][ISSUER]["logprobs"] == {"content": [{"token": "odd", "logprob": -1.0}]}
        assert end(records)["details"][ISSUER]["citations"] == ["http://a"]

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("stop", "stop"),
            ("length", "length"),
            ("tool_calls", "stop"),  # without a call
            ("content_filter", "content_filter"),
            ("eos", "stop"),
            ("model_length", "length"),
            ("repetition", "length"),
            ("model_context_window_exceeded", "length"),
            ("MAX_TOKENS", "length"),
            ("sensitive", "content_filter"),
            ("SAFETY", "content_filter"),
            ("RECITATION", "content_filter"),
            ("PROHIBITED_CONTENT", "content_filter"),
            ("never_seen", "stop"),
        ],
    )
    def test_finish_reasons(self, theirs: str, ours: str) -> None:
        record = end(decode(sse(chunk({"content": "a"}), chunk(finish=theirs))))
        assert record["finish_reason"] == ours
        assert record.get("finish_reason_raw") == (theirs if theirs != ours else None)

    def test_calls_are_trusted_more_than_the_reason(self) -> None:
        for reason in ("stop", "function_call", "tool_calls"):
            records = decode(sse(chunk(call_delta(name="f", id="a", arguments="{}")), chunk(finish=reason)))
            assert end(records)["finish_reason"] == "tool_calls"
        records = decode(sse(chunk(call_delta(name="f", id="a", arguments='{"a')), chunk(finish="length")))
        assert end(records)["finish_reason"] == "length"

    @pytest.mark.parametrize(
        ("reason", "code"),
        [
            ("error", "unavailable"),
            ("network_error", "unavailable"),
            ("abort", "unavailable"),
            ("insufficient_system_resource", "overloaded"),
        ],
    )
    def test_a_reason_that_is_an_error(self, reason: str, code: str) -> None:
        records = decode(sse(chunk({"content": "a"}), chunk(finish=reason)))
        assert kinds(records) == ["start", "text", "end", "error"]
        assert records[-1]["code"] == code

    def test_a_refusal(self) -> None:
        records = decode(sse(chunk({"refusal": "I "}), chunk({"refusal": "won't."}), chunk(finish="stop")))
        assert whole(records)["parts"] == [{"type": "refusal", "text": "I won't."}]
        assert (end(records)["finish_reason"], end(records)["finish_reason_raw"]) == ("refusal", "stop")

    def test_the_first_chunk_may_have_no_id(self) -> None:
        first = {**chunk(), "id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
        records = decode(sse(first, chunk({"content": "a"}), chunk(finish="stop")))
        assert records[0] == {"type": "start", "response_id": "c1"}
        assert end(records)["details"] == {ISSUER: {"prompt_filter_results": [{"prompt_index": 0}]}}

    def test_no_id_at_all(self) -> None:
        records = decode(sse({**chunk({"content": "a"}), "id": ""}, {**chunk(finish="stop"), "id": None}))
        assert records[0] == {"type": "start"}

    def test_several_answers(self) -> None:
        second = chunk({"content": "no"})
        second["choices"][0]["index"] = 1
        records = decode(sse(chunk({"content": "yes"}), second, second, chunk(finish="stop")))
        assert whole(records)["parts"] == [{"type": "text", "text": "yes"}]
        assert kinds(records) == ["start", "text", "notice", "end"]


class TestCutOff:
    def test_done_is_not_needed(self) -> None:
        records = decode(sse(chunk({"content": "a"}), chunk(finish="stop"), done=False))
        assert kinds(records) == ["start", "text", "notice", "end"]
        assert records[2]["code"] == "no_usage"

    def test_a_finish_is_not_needed_where_done_comes(self) -> None:
        assert end(decode(sse(chunk({"content": "a"}))))["finish_reason"] == "stop"

    def test_neither_is_a_cut(self) -> None:
        decoder = Decoder(ISSUER)
        assert kinds(decoder.feed(sse(chunk({"content": "a"}), done=False))) == ["start", "text"]
        assert [record["code"] for record in decoder.eof()] == ["truncated"]
        assert decoder.eof() == []

    def test_neither_is_how_some_servers_end(self) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        data = sse(chunk({"content": "a"}, usage=usage), done=False)
        assert kinds(decode(data, "no_finish")) == ["start", "text", "end"]
        assert decode(b"", "no_finish")[0]["code"] == "truncated"

    def test_what_the_end_completes_is_kept(self) -> None:
        data = sse(chunk({"content": "a"}), chunk({"content": "b"}), done=False)
        records = decode(data.rstrip(b"\n"))
        assert kinds(records) == ["start", "text", "text", "error"]
        assert records[-1]["code"] == "truncated"
        assert kinds(decode(data[:-5])) == ["start", "text", "error"]

    @pytest.mark.parametrize(
        "data", [b"", b": ping\n\n", b"data", b"data: {", b'data: {"choices":[{"delta":{"content":"}', b"event: x\n"]
    )
    def test_nothing_is_a_cut(self, data: bytes) -> None:
        assert [record["code"] for record in decode(data)] == ["truncated"]

    def test_signs_of_life_are_counted(self) -> None:
        decoder = Decoder(ISSUER)
        counts = []
        for data in (b": PROCESSING\n\n", b"data: ", b"{}\n\n", b": PROCESSING\n\n"):
            assert decoder.feed(data) == []
            counts.append(decoder.seen)
        assert counts == [1, 1, 2, 3]

    def test_too_long_an_event_at_the_end(self) -> None:
        decoder = Decoder(ISSUER)
        line = b" " + b"1" * (40 << 20) + b"\n"
        assert decoder.feed(b"{\n" + line + b"\n") + decoder.feed(line) == []
        assert [record["code"] for record in decoder.eof()] == ["protocol"]

    def test_a_copy_ends_for_itself(self) -> None:
        decoder = Decoder(ISSUER)
        decoder.feed(sse(chunk({"content": "a"}), done=False)[:-20])
        assert [record["code"] for record in copy.deepcopy(decoder).eof()] == ["truncated"]
        assert kinds(decoder.feed(sse(chunk({"content": "a"}), done=False)[-20:])) == ["start", "text"]


class TestReasoning:
    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    def test_its_field_is_kept(self, field: str) -> None:
        assert parts({field: "a"}, {field: "b"}, {"content": "c", field: None}) == [
            {"type": "reasoning", "text": "ab", **own(field=field)},
            {"type": "text", "text": "c"},
        ]

    def test_of_two_fields_one_counts(self) -> None:
        assert parts({"reasoning": "a", "reasoning_content": "a"}, {"reasoning_content": "b", "reasoning": "b"}) == [
            {"type": "reasoning", "text": "ab", **own(field="reasoning_content")}
        ]

    def test_thoughts_between_texts_are_one_part(self) -> None:
        found = parts({"reasoning": "a"}, {"content": "b"}, {"reasoning": "c"}, {"content": "d"})
        assert [(part["type"], part["text"]) for part in found] == [("reasoning", "ac"), ("text", "bd")]

    def test_details_are_merged(self) -> None:
        text = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
        found = parts(
            {"reasoning": "The", "reasoning_details": [{**text, "text": "The", "signature": None}]},
            {"reasoning": " user", "reasoning_details": [{**text, "text": " user"}]},
            {"content": "", "reasoning_details": [{**text, "signature": "sig"}]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "xyz", "id": "rs_1", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "uvw", "id": "rs_2", "index": 0}]},
            {"content": "Hi"},
        )
        assert found == [
            {"type": "reasoning", "text": "The user", **own(**text, signature="sig")},
            {
                "type": "reasoning",
                "text": "",
                "redacted": True,
                **own(type="reasoning.encrypted", data="xyz", id="rs_1", index=0),
            },
            {
                "type": "reasoning",
                "text": "",
                "redacted": True,
                **own(type="reasoning.encrypted", data="uvw", id="rs_2", index=0),
            },
            {"type": "text", "text": "Hi"},
        ]
        assert back(found)["reasoning_details"] == [
            {**text, "text": "The user", "signature": "sig"},
            {"type": "reasoning.encrypted", "data": "xyz", "id": "rs_1", "index": 0},
            {"type": "reasoning.encrypted", "data": "uvw", "id": "rs_2", "index": 0},
        ]

    def test_details_of_other_kinds(self) -> None:
        summary = {"type": "reasoning.summary", "index": 0, "summary": "s"}
        new = {"type": "reasoning.server_tool_call", "index": 1, "call": {"name": "search"}, "text": "kept"}
        found = parts({"reasoning": "s", "reasoning_details": [summary, new]})
        assert [part["text"] for part in found] == ["s", "kept"]
        assert back(found)["reasoning_details"] == [summary, new]

    def test_blocks_of_content(self) -> None:
        def thinking(*texts: str, **rest: Any) -> Object:
            return {"type": "thinking", "thinking": [{"type": "text", "text": text} for text in texts], **rest}

        reference = {"type": "reference", "reference_ids": [1, 2]}
        found = parts(
            {"content": [thinking("a", "b")]},
            {"content": [thinking("c", closed=True, signature="s")]},
            {"content": [{"type": "text", "text": "d"}]},
            {"content": "e"},
            {"content": [reference]},
            {"content": [{"type": "text", "text": "f"}, thinking("g"), {"type": "text", "text": "h"}]},
            {"content": ""},
        )
        assert [(part["type"], part.get("text")) for part in found] == [
            ("reasoning", "abc"),
            ("text", "de"),
            ("reference", None),
            ("text", "f"),
            ("reasoning", "g"),
            ("text", "h"),
        ]
        assert back(found)["content"] == [
            thinking("abc", closed=True, signature="s"),
            {"type": "text", "text": "de"},
            reference,
            {"type": "text", "text": "f"},
            thinking("g"),
            {"type": "text", "text": "h"},
        ]

    def test_thinking_may_be_a_string(self) -> None:
        block = {"type": "thinking", "thinking": "a"}
        found = parts({"content": [block]})
        assert found[0]["text"] == "a"
        assert back(found)["content"] == [block]

    def test_thinking_in_pieces_that_are_strings(self) -> None:
        found = parts(*({"content": [{"type": "thinking", "thinking": text}]} for text in "abc"))
        assert found[0]["text"] == "abc"
        assert back(found)["content"] == [{"type": "thinking", "thinking": "abc"}]

    def test_several_texts_in_the_thinking_of_a_whole_message(self) -> None:
        content = [{"type": "thinking", "thinking": [{"type": "text", "text": text} for text in "abc"]}]
        found = whole(Decoder(ISSUER).body(body({"content": content})))["parts"]
        assert found[0]["text"] == "abc"
        assert back(found)["content"] == content


class TestCalls:
    def test_increments(self) -> None:
        deltas = [
            call_delta(name="add", id="a", type="function", arguments=""),
            call_delta(0, '{"x":'),
            call_delta(0, "1}"),
        ]
        assert called(*deltas) == [("a", "add", {"x": 1})]

    def test_two_at_two_indices_interleaved(self) -> None:
        assert called(
            call_delta(0, "", "f", id="a"),
            call_delta(1, "", "g", id="b"),
            call_delta(0, "{}"),
            call_delta(1, '{"y":2}'),
        ) == [("a", "f", {}), ("b", "g", {"y": 2})]

    def test_two_ids_at_one_index(self) -> None:
        assert called(call_delta(0, "{}", "f", id="a"), call_delta(0, '{"y":2}', "f", id="b")) == [
            ("a", "f", {}),
            ("b", "f", {"y": 2}),
        ]

    def test_id_and_name_with_every_delta(self) -> None:
        repeated = [call_delta(0, text, "f", id="a") for text in ("", '{"x":', "1}")]
        assert called(*repeated) == [("a", "f", {"x": 1})]

    def test_no_index(self) -> None:
        assert called(
            call_delta(None, "{", "f", id="a"), call_delta(None, "}"), call_delta(None, "{}", "g", id="b")
        ) == [
            ("a", "f", {}),
            ("b", "g", {}),
        ]
        assert called(call_delta(None, "{}", "f"), call_delta(None, "{}", "f")) == [("~0", "f", {}), ("~1", "f", {})]

    @pytest.mark.parametrize("no_id", [{}, {"id": ""}, {"id": None}, {"id": "null"}])
    def test_no_id(self, no_id: Object) -> None:
        assert called(call_delta(0, "{}", "f", **no_id), call_delta(1, "{}", "g", **no_id)) == [
            ("~0", "f", {}),
            ("~1", "g", {}),
        ]

    def test_an_id_may_come_late_and_is_no_other_call(self) -> None:
        assert called(call_delta(0, "{", "f"), call_delta(0, "}", id="a")) == [("a", "f", {})]

    def test_one_id_for_two_calls(self) -> None:
        assert called(call_delta(0, "{}", "f", id="a"), call_delta(1, "{}", "g", id="a")) == [
            ("a", "f", {}),
            ("~1", "g", {}),
        ]

    def test_several_in_one_delta(self) -> None:
        both = {
            "tool_calls": call_delta(0, "{}", "f", id="a")["tool_calls"]
            + call_delta(1, "{}", "g", id="b")["tool_calls"]
        }
        assert [name for _, name, _ in called(both)] == ["f", "g"]

    @pytest.mark.parametrize("arguments", [None, "", "null", "{}", {}])
    def test_no_arguments(self, arguments: Any) -> None:
        assert called({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}]}) == [
            ("a", "f", {})
        ]

    def test_arguments_as_an_object_are_not_rounded(self) -> None:
        payload = dumps(chunk(call_delta(0, {"n": 0}, "f", id="a"))).replace(b'"n":0', b'"n":18446744073709551617')
        [part] = whole(decode(sse(payload, chunk(finish="tool_calls"))))["parts"]
        assert part["arguments"] == {"n": 2**64 + 1}

    def test_odd_arguments_are_kept_as_written(self) -> None:
        for text in ('{"n": 18446744073709551617, "x": 1e400}', '{ "a" : "\\u00e9" }'):
            [part] = parts(call_delta(0, text, "f", id="a"), finish="tool_calls")
            assert part["arguments_raw"] == text
            assert back([part])["tool_calls"][0]["function"]["arguments"] == text

    def test_broken_arguments_are_never_run(self) -> None:
        [part] = parts(call_delta(0, '{"a": ', "f", id="a"), finish="tool_calls")
        assert "exception" in part
        assert part["arguments_raw"] == '{"a": '

    def test_calls_between_texts(self) -> None:
        found = parts(
            {"content": "a"}, call_delta(0, "{}", "f", id="a"), {"content": "b"}, call_delta(1, "{}", "g", id="b")
        )
        assert [part.get("text", part.get("name")) for part in found] == ["ab", "f", "g"]

    def test_free_text_for_a_custom_tool(self) -> None:
        def custom(**fields: str) -> Object:
            return {
                "tool_calls": [
                    {"index": 0, "type": "custom", "custom": fields, **({"id": "a"} if "name" in fields else {})}
                ]
            }

        found = parts(custom(name="math", input=""), custom(input='4 "+"'), custom(input=" \n4"), finish="tool_calls")
        assert found == [
            {
                "type": "tool_call",
                "name": "math",
                "arguments": {"input": '4 "+" \n4'},
                "tool_call_id": "a",
                **own(type="custom"),
            }
        ]
        assert back(found)["tool_calls"] == [
            {"id": "a", "type": "custom", "custom": {"name": "math", "input": '4 "+" \n4'}}
        ]

    def test_the_deprecated_function_call(self) -> None:
        assert called(
            {"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": '{"a":1}'}}
        ) == [("~0", "f", {"a": 1})]
        assert parts({"content": "a", "function_call": {"name": "", "arguments": ""}}) == [
            {"type": "text", "text": "a"}
        ]

    def test_thought_signatures(self) -> None:
        extra = {"google": {"thought_signature": "s"}}
        found = parts({**call_delta(0, "{}", "f", id="a", extra_content=extra)}, finish="tool_calls")
        assert found[0]["provider_metadata"] == {ISSUER: {"extra_content": extra}}
        assert back(found)["tool_calls"][0]["extra_content"] == extra
        message = whole(decode(sse(chunk({"content": "a", "extra_content": extra}), chunk(finish="stop"))))
        assert message["provider_metadata"] == {ISSUER: {"extra_content": extra}}

    def test_tools_that_the_server_ran(self) -> None:
        tool = {"index": 0, "type": "search", "arguments": '{"query":"x"}', "search_results": {"results": []}}
        found = parts(
            {"executed_tools": [tool]},
            {"executed_tools": [{**tool, "output": "found", "search_results": {"results": [1]}}]},
            {"content": "a"},
        )
        same = {"tool_call_id": "~0", "server_executed": True}
        assert found == [
            {"type": "tool_call", "name": "search", "arguments": {"query": "x"}, **same},
            {
                "type": "tool_result",
                "name": "search",
                "output": "found",
                **same,
                **own(search_results={"results": [1]}),
            },
            {"type": "text", "text": "a"},
        ]
        assert back(found) == {"role": "assistant", "content": "a"}


class TestMediaAndSources:
    def test_sound(self) -> None:
        data = b"RIFF....WAVE"
        found = parts(
            {"audio": {"id": "audio_1", "transcript": "Hi"}},
            {"audio": {"data": b64encode(data[:4]).decode()}},
            {"audio": {"data": b64encode(data[4:]).decode(), "transcript": " there"}},
            {"audio": {"data": "x"}},  # no base64
            {"audio": {"expires_at": 7}},
        )
        assert found == [
            {"type": "text", "text": "Hi there", **own(audio={"id": "audio_1", "expires_at": 7})},
            {
                "type": "attachment",
                "attachment": {"type": "audio/wav", "content": b64encode(data).decode()},
                **own(of="audio_1"),
            },
        ]
        assert back(found) == {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}

    def test_sound_without_a_transcript(self) -> None:
        [part] = parts({"audio": {"data": "AAAA"}}, {"audio": {"id": "audio_1"}})
        assert part == {
            "type": "attachment",
            "attachment": {"type": "audio/pcm", "content": "AAAA"},
            **own(audio={"id": "audio_1"}),
        }
        assert back([part]) == {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}

    def test_empty_sound_is_none(self) -> None:
        assert parts({"content": "a", "audio": {"id": "", "data": "", "transcript": "", "expires_at": 0}}) == [
            {"type": "text", "text": "a"}
        ]

    def test_an_image_among_the_blocks(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
        found = parts({"content": [{"type": "text", "text": "a"}, image]})
        assert [part["type"] for part in found] == ["text", "attachment"]
        assert back(found)["content"] == [{"type": "text", "text": "a"}, image]
        assert parts({"images": [{"type": "image_url"}], "content": "a"}) == [{"type": "text", "text": "a"}]

    def test_images(self) -> None:
        inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}, "index": 0}
        linked = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
        found = parts({"content": "", "images": [inline]}, {"images": [linked]})
        assert [part["attachment"] for part in found] == [
            {"type": "image/png", "content": "iVBORw0="},
            {"url": "https://a/b.png"},
        ]
        assert back(found)["images"] == [inline, linked]

    def test_annotations(self) -> None:
        cited = {"url": "http://a", "title": "A", "content": "c", "start_index": 2, "end_index": 5}
        file = {"type": "file", "file": {"hash": "h", "name": "n"}}
        [part] = parts(
            {
                "content": "",
                "annotations": [{"type": "url_citation", "url_citation": {**cited, "start_index": 0, "end_index": 0}}],
            },
            {"content": "text"},
            {"annotations": [{"type": "url_citation", "url_citation": cited}, file]},
        )
        whole_text = {"kind": "url_citation", "url": "http://a", "title": "A", "cited_text": "c"}
        assert part["annotations"] == [
            whole_text,
            {**whole_text, "start": 2, "end": 5},
            {"kind": "file", **own(**file)},
        ]
        assert back([part]) == {"role": "assistant", "content": "text", "annotations": [file]}

    def test_sources_beside_the_reply(self) -> None:
        sources: Object = {
            "citations": ["http://a", "http://b"],
            "search_results": [{"url": "http://a", "title": "A", "date": "d"}],
        }
        records = decode(sse(chunk({"content": "a"}, **sources), chunk(finish="stop", **sources)))
        [part] = whole(records)["parts"]
        assert part["annotations"] == [
            {"kind": "url_citation", "url": "http://a", "title": "A"},
            {"kind": "url_citation", "url": "http://b"},
        ]
        assert end(records)["details"] == {ISSUER: sources}


USAGES: list[tuple[Object, Object]] = [
    ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, {"input": 3, "output": 2}),
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1},
        },
        {"input": 10, "output": 5, "details": {"cached": 4, "cache_write": 2, "reasoning": 3, "audio_output": 1}},
    ),
    # xAI: the total tells that the reasoning is not in.
    (
        {
            "prompt_tokens": 470,
            "completion_tokens": 68,
            "total_tokens": 723,
            "completion_tokens_details": {"reasoning_tokens": 185},
        },
        {"input": 470, "output": 253, "details": {"reasoning": 185}},
    ),
    # Gemini behind this protocol: the total alone tells; behind Vercel the reasoning alone.
    ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, {"input": 35, "output": 74}),
    (
        {
            "prompt_tokens": 40,
            "completion_tokens": 14,
            "total_tokens": 54,
            "completion_tokens_details": {"reasoning_tokens": 43},
            "market_cost": 0.000764,
        },
        {"input": 40, "output": 57, "details": {"reasoning": 43}},
    ),
    # Qwen at OpenRouter, DeepSeek at Together: a total without it says that the completion includes it.
    (
        {
            "prompt_tokens": 21,
            "completion_tokens": 16,
            "total_tokens": 37,
            "completion_tokens_details": {"reasoning_tokens": 21},
        },
        {"input": 21, "output": 16, "details": {"reasoning": 21}},
    ),
    (
        {"prompt_tokens": 92, "completion_tokens": 16, "total_tokens": 108, "reasoning_tokens": 18},
        {"input": 92, "output": 16, "details": {"reasoning": 18}},
    ),
    (
        {"prompt_tokens": 9, "completion_tokens": 1, "reasoning_tokens": 2},
        {"input": 9, "output": 3, "details": {"reasoning": 2}},
    ),
    # Mistral's Voxtral: sound is in the total alone.
    (
        {
            "prompt_tokens": 11,
            "completion_tokens": 15,
            "total_tokens": 401,
            "prompt_tokens_details": {"audio_tokens": 375},
        },
        {"input": 386, "output": 15, "details": {"audio_input": 375}},
    ),
    (
        {"prompt_audio_seconds": 2, "prompt_tokens": 16, "completion_tokens": 2, "total_tokens": 393},
        {"input": 391, "output": 2},
    ),
    (
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1},
        {"input": 9, "output": 1, "details": {"cached": 8}},
    ),
    (
        {"prompt_tokens": 9, "completion_tokens": 1, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 1},
        {"input": 9, "output": 1, "details": {"cached": 8, "cache_write": 1}},
    ),
    ({"prompt_tokens": None, "completion_tokens": -1, "prompt_tokens_details": None}, {"input": 0, "output": 0}),
]


class TestUsage:
    @pytest.mark.parametrize(("theirs", "ours"), USAGES)
    def test_the_counts(self, theirs: Object, ours: Object) -> None:
        record = end(decode(sse(chunk({"content": "a"}), chunk(finish="stop", usage=theirs))))
        assert record["usage"] == ours
        assert record["details"][ISSUER]["usage"] == theirs

    def test_the_last_counts(self) -> None:
        def usage(count: int) -> Object:
            return {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": 1 + count}

        records = decode(
            sse(
                chunk({"content": "a"}, usage=usage(1)),
                chunk({"content": "b"}, usage=usage(2)),
                chunk(finish="stop", usage=None),
            )
        )
        assert end(records)["usage"] == {"input": 1, "output": 2}

    def test_where_groq_keeps_it(self) -> None:
        told = {"id": "req_1", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
        record = end(decode(sse(chunk({"content": "a"}), chunk(finish="stop", x_groq=told))))
        assert record["usage"] == {"input": 3, "output": 2}
        assert record["details"][ISSUER]["x_groq"] == told

    def test_none(self) -> None:
        assert "usage" not in end(decode(sse(chunk({"content": "a"}), chunk(finish="stop"))))


IN_STREAM: list[tuple[str, str, int]] = [
    ('data: {"error":{"message":"m","type":"server_error","code":null}}\n\n', "unavailable", 69),
    ('event: error\ndata: {"error":{"message":"m","code":"tool_use_failed","status_code":400}}\n\n', "bad_request", 65),
    ('event: error\ndata: {"message":"m"}\n\n', "unavailable", 69),
    ('data: {"object":"error","message":"m","code":500}\n\n', "unavailable", 69),
    ('data: {"type":"error","message":"m"}\n\n', "unavailable", 69),
    ('data: {"error":"m"}\n\n', "unavailable", 69),
    (
        'data: {"error":{"code":429,"message":"m"},"choices":[{"index":0,"delta":{"content":""}}]}\n\n',
        "rate_limited",
        75,
    ),
    ('data: [{"error":{"code":503,"message":"m"}}]\n\n', "unavailable", 69),
    ('data: {"detail":"m"}\n\n', "unavailable", 69),
    ('{\n  "error": {\n    "code": 401,\n    "message": "m"\n  }\n}\n', "key_refused", 77),
    ('{"error":"m"}', "unavailable", 69),
]


class TestErrors:
    @pytest.mark.parametrize(("text", "code", "exit_status"), IN_STREAM)
    def test_in_the_stream(self, text: str, code: str, exit_status: int) -> None:
        records = decode(sse(chunk({"content": "Hel"}), done=False) + text.encode())
        assert kinds(records) == ["start", "text", "error"]
        error = records[-1]
        assert (error["message"], error["code"], error["exit_status"]) == ("m", code, exit_status)
        decoder = Decoder(ISSUER)
        decoder.feed(sse(chunk({"content": "Hel"}), done=False) + text.encode() + sse(chunk({"content": "no"})))
        assert decoder.eof() == []

    def test_before_anything_else(self) -> None:
        assert kinds(decode(b'data: {"error":{"message":"m"}}\n\ndata: [DONE]\n\n')) == ["error"]

    def test_text_beside_an_error_is_kept(self) -> None:
        records = decode(sse({**chunk({"content": "a"}, "error"), "error": {"message": "m", "code": 502}}))
        assert kinds(records) == ["start", "text", "error"]

    def test_a_null_error_is_none(self) -> None:
        assert kinds(decode(sse(chunk({"content": "a"}, error=None), chunk(finish="stop")))) == ["start", "text", "end"]

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"<html><body><h1>It works!</h1></body></html>", "It works!"),
            (b"Internal Server Error", "Internal Server Error"),
            (b"data: {bad}\n\ndata: [DONE]\n\n", "invalid JSON"),
            (b'data: "text"\n\n', "text"),
            (b"data: [DONE]\n\n", "without a reply"),
            (b'{"foo": 1}', "neither a reply nor an error"),
            (b'{"choices": []}', "neither a reply nor an error"),
        ],
    )
    def test_garbage(self, data: bytes, said: str) -> None:
        [record] = decode(data)
        assert (record["type"], record["exit_status"]) == ("error", 76)
        assert said in record["message"]

    def test_bad_json_keeps_what_came_before(self) -> None:
        records = decode(sse(chunk({"content": "a"}), '{"choices": oops}', chunk({"content": "b"})))
        assert kinds(records) == ["start", "text", "error"]
        assert records[-1]["exit_status"] == 76

    def test_an_event_without_end(self) -> None:
        decoder = Decoder(ISSUER)
        decoder.feed(sse(chunk({"content": "a"}), done=False))
        [record] = decoder.feed(b"data: " + b"x" * (65 << 20))
        assert (record["type"], record["exit_status"]) == ("error", 76)
        assert decoder.feed(b"x") == []


class TestBrokenText:
    def said(self, *payloads: bytes) -> str:
        records = decode(sse(*payloads, chunk(finish="stop")))
        return "".join([record["chunk"] for record in records if record["type"] == "text"])

    def content(self, escaped: bytes) -> bytes:
        return dumps(chunk({"content": "@"})).replace(b"@", escaped)

    def test_a_character_cut_in_two(self) -> None:
        assert self.said(self.content(b"a\\ud83d"), self.content(b"\\ude00b"), self.content(b"c")) == "a\U0001f600bc"

    def test_half_a_character(self) -> None:
        assert self.said(self.content(b"a\\ud83d"), self.content(b"b")) == "a\ufffdb"
        assert self.said(self.content(b"a\\ude00b")) == "a\ufffdb"
        assert self.said(self.content(b"a\\ud83d")) == "a\ufffd"

    def test_half_a_character_elsewhere(self) -> None:
        records = decode(sse(dumps(chunk({"content": "a"}, "stop", provider="@")).replace(b"@", b"\\ud83d")))
        assert end(records)["details"][ISSUER]["provider"] == "\ufffd"

    def test_a_character_cut_in_the_thoughts(self) -> None:
        thought = [dumps(chunk({"reasoning": "@"})).replace(b"@", half) for half in (b"\\ud83d", b"\\ude00")]
        [part, _] = whole(decode(sse(thought[0], self.content(b"x"), thought[1], chunk(finish="stop"))))["parts"]
        assert part["text"] == "\U0001f600"

    def test_bytes_that_are_no_utf8(self) -> None:
        assert self.said(self.content(b"a\xffb")) == "a\ufffdb"

    def test_no_number(self) -> None:
        payload = dumps(chunk({"content": "a"}, x=0)).replace(b'"x":0', b'"x":NaN')
        assert self.said(payload) == "a"

    def test_other_ends_of_lines_in_a_text(self) -> None:
        assert (
            self.said("a\u2028b\u0085c".join(['{"choices":[{"delta":{"content":"', '"}}]}']).encode())
            == "a\u2028b\u0085c"
        )


def body(message: Object, finish: str | None = "stop", **fields: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return dumps({"id": "c1", "model": "m-1", "choices": [choice], **fields})


class TestBodies:
    def test_a_whole_reply(self) -> None:
        data = body(
            {
                "content": "Hi",
                "refusal": None,
                "reasoning": "hm",
                "annotations": [],
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
                ],
            },
            "tool_calls",
            usage={"prompt_tokens": 1, "completion_tokens": 2},
        )
        records = Decoder(ISSUER).body(data)
        assert decode(data) == records
        assert decode(b"\n  \n" + data.replace(b",", b",\n")) == records
        assert [part["type"] for part in whole(records)["parts"]] == ["reasoning", "text", "tool_call", "tool_call"]
        assert end(records)["usage"] == {"input": 1, "output": 2}

    def test_calls_without_index_or_id(self) -> None:
        call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
        found = whole(Decoder(ISSUER).body(body({"content": None, "tool_calls": [call, call]})))["parts"]
        assert [part["tool_call_id"] for part in found] == ["~0", "~1"]

    def test_empty_is_absent(self) -> None:
        empty = {
            "content": "a",
            "refusal": "",
            "tool_calls": None,
            "audio": {"id": "", "data": "", "transcript": ""},
            "function_call": {"name": "", "arguments": ""},
        }
        records = Decoder(ISSUER).body(body(empty, ""))
        assert whole(records)["parts"] == [{"type": "text", "text": "a"}]
        assert end(records)["finish_reason"] == "stop"
        assert "finish_reason_raw" not in end(records)

    def test_message_and_delta(self) -> None:
        data = json.loads(body({"content": "a"}))
        data["choices"][0]["delta"] = {"content": ""}
        assert whole(Decoder(ISSUER).body(dumps(data)))["parts"] == [{"type": "text", "text": "a"}]

    def test_blocks_stay_apart(self) -> None:
        text = {"type": "text", "text": "a"}
        found = whole(Decoder(ISSUER).body(body({"content": [text, text]})))["parts"]
        assert found == [text, text]
        items = [{"type": "reasoning.text", "text": "a", "signature": None}] * 2
        found = whole(Decoder(ISSUER).body(body({"content": "", "reasoning_details": items})))["parts"]
        assert back(found)["reasoning_details"] == items

    @pytest.mark.parametrize("data", [b"", b"{", b"<html>", b"[]", b"7", b'{"choices":7}', b'{"choices":[7]}'])
    def test_no_reply(self, data: bytes) -> None:
        records = Decoder(ISSUER).body(data)
        assert kinds(records)[-1] in ("error", "end")
        whole(records)

    def test_an_error(self) -> None:
        [record] = Decoder(ISSUER).body(b'{"error":{"message":"m","code":"content_filter","status":400}}')
        assert (record["code"], record["exit_status"]) == ("content_filter", 1)


SAMPLES = [
    chunk({"role": "assistant", "content": "a", "reasoning": "r"}, usage=USAGES[1][0]),
    chunk({"reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0, "signature": "s"}]}),
    chunk(
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}]}
    ),
    chunk(call_delta(0, "{}", "f", id="a", type="function")),
    chunk({"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "f", "input": "x"}}]}),
    chunk(
        {
            "audio": {"id": "a", "data": "AAAA", "transcript": "t"},
            "images": [{"image_url": {"url": "http://a"}, "index": 0}],
        }
    ),
    chunk({"annotations": [{"type": "url_citation", "url_citation": {"url": "u", "start_index": 0, "end_index": 2}}]}),
    chunk(
        {
            "executed_tools": [{"index": 0, "type": "search", "arguments": "{}", "output": "o"}],
            "extra_content": {"a": 1},
        }
    ),
    chunk({"content": "x"}, "stop", citations=["u"], search_results=[{"url": "u", "title": "t"}], x_groq={"usage": {}}),
    {"error": {"message": "m", "code": 400, "type": "t", "metadata": {"raw": "r"}}},
]


class TestAnything:
    @QUICK
    @given(st.lists(mutations(st.sampled_from(SAMPLES)) | st.sampled_from(SAMPLES), max_size=6))
    def test_no_chunk_makes_anything_else_fail(self, chunks: list[Object]) -> None:
        records = decode(sse(*chunks))
        assert kinds(records)[-1] in ("end", "error")
        for item in chunks:
            whole(Decoder(ISSUER).body(dumps(item)))

    @QUICK
    @given(st.lists(st.sampled_from(SAMPLES), max_size=6))
    def test_what_is_sent_back_is_json(self, chunks: list[Object]) -> None:
        message = whole(decode(sse(*chunks)))
        encode(Conversation([message]), Request("m", "m", ISSUER))


# What is asked.


def user(*content: Object | str) -> Object:
    said = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return {"type": "message", "role": "user", "parts": said}


def assistant(*said: Object, provider: str = ISSUER, **fields: Any) -> Object:
    response = {"provider": provider, "status": "ok"}
    return {"type": "message", "role": "assistant", "parts": list(said), "response": response, **fields}


def call(name: str, call_id: str | None = None, **fields: Any) -> Object:
    named = {} if call_id is None else {"tool_call_id": call_id}
    return {"type": "tool_call", "name": name, "arguments": {}, **named, **fields}


def results(*answers: tuple[str, str], **fields: Any) -> Object:
    said = [
        {"type": "tool_result", "name": "f", "output": text, "tool_call_id": given, **fields} for given, text in answers
    ]
    return {"type": "message", "role": "tool", "parts": said}


def ask(*records: Object, **fields: Any) -> tuple[Object, list[str]]:
    """The body of the request, and the codes of the notices."""
    quirks = frozenset(fields.pop("quirks", ()))
    request = Request("acme/m", "m", ISSUER, quirks=quirks, **fields)
    http, notices = encode(Conversation(records), request)
    assert http.path == "/chat/completions"
    for record in notices:
        check_record(record)
    return json.loads(http.body), [record["code"] for record in notices]


def sent(*records: Object, **fields: Any) -> list[Object]:
    """The messages of the request, which says everything."""
    data, notices = ask(*records, **fields)
    assert notices == []
    found: list[Object] = data["messages"]
    return found


def back(found: list[Object]) -> Object:
    """What is sent back of a reply's parts."""
    [message] = sent(assistant(*found))
    return message


PNG = {"type": "image/png", "content": "iVBORw0="}
PDF = {"type": "application/pdf", "content": "JVBERi0="}


def attached(attachment: Object, **fields: Any) -> Object:
    return {"type": "attachment", "attachment": attachment, **fields}


class TestRequest:
    def test_a_plain_question(self) -> None:
        system = {"type": "message", "role": "system", "parts": [{"type": "text", "text": "Be brief"}]}
        data, notices = ask(system, user("hi"))
        assert data == {
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        assert notices == []

    def test_headers(self) -> None:
        http, _ = encode(Conversation([user("hi")]), Request("m", "m"))
        assert http.headers == {"content-type": "application/json", "accept": "text/event-stream"}
        http, _ = encode(Conversation([user("hi")]), Request("m", "m", stream=False))
        assert http.headers["accept"] == "application/json"
        assert "stream" not in json.loads(http.body)

    def test_options(self) -> None:
        options = {"temperature": 0, "max_tokens": 5, "seed": 1, "stop": "x", "top_k": 3, "stream_options": {"a": 1}}
        data, _ = ask(user("hi"), options=options)
        assert {name: data[name] for name in options} == {
            **options,
            "stop": ["x"],
            "stream_options": {"include_usage": True, "a": 1},
        }
        data, _ = ask(user("hi"), options=options, quirks=["max_completion_tokens", "random_seed", "no_stream_options"])
        assert data["max_completion_tokens"] == 5
        assert data["random_seed"] == 1
        assert data.keys().isdisjoint(("max_tokens", "seed"))
        assert data["stream_options"] == {"a": 1}

    def test_one_answer(self) -> None:
        assert "n" not in ask(user("hi"), options={"n": 1})[0]
        with pytest.raises(UsageError):
            ask(user("hi"), options={"n": 2})

    def test_tools(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
        grammar = {"type": "custom", "custom": {"name": "math", "format": {"type": "text"}}}
        tools: list[Object] = [
            {
                "type": "tool",
                "name": "add",
                "description": "adds",
                "input_schema": schema,
                **own(function={"strict": True}),
            },
            {"type": "tool", "name": "now"},
            {"type": "tool", "name": "math", **own(**grammar)},
            {"type": "tool", "name": "search", "provider_metadata": {"other": {"type": "search"}}},
        ]
        data, notices = ask(*tools, user("hi"), tool_choice="add")
        assert data["tools"] == [
            {
                "type": "function",
                "function": {"name": "add", "description": "adds", "parameters": schema, "strict": True},
            },
            {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
            grammar,
        ]
        assert notices == ["dropped_tool"]
        assert data["tool_choice"] == {"type": "function", "function": {"name": "add"}}
        assert ask(*tools, user("hi"), tool_choice="math")[0]["tool_choice"] == {
            "type": "custom",
            "custom": {"name": "math"},
        }

    @pytest.mark.parametrize("choice", ["auto", "none", "required"])
    def test_tool_choice(self, choice: str) -> None:
        said = [{"type": "tool", "name": "add", "input_schema": {"type": "object"}}, user("hi")]
        assert ask(*said, tool_choice=choice)[0]["tool_choice"] == choice
        any_choice = "any" if choice == "required" else choice
        assert ask(*said, tool_choice=choice, quirks=["tool_choice_any"])[0]["tool_choice"] == any_choice

    def test_a_field_of_ones_own_stands_beside_what_the_common_options_say(self) -> None:
        data, _ = ask(user("hi"), reasoning="high", options={"reasoning.exclude": True}, quirks=["reasoning_object"])
        assert data["reasoning"] == {"effort": "high", "exclude": True}

    def test_a_schema(self) -> None:
        strict = {
            "title": "A person!",
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "properties": {"type": "object", "properties": {}, "additionalProperties": False},
            },
            "required": ["name", "properties"],
            "additionalProperties": False,
        }
        asked = ask(user("hi"), schema=strict)[0]["response_format"]
        assert asked == {"type": "json_schema", "json_schema": {"name": "A_person", "schema": strict, "strict": True}}
        loose = {"type": "object", "properties": {"name": {"type": "string"}}}
        data, notices = ask(user("hi"), schema=loose)
        assert data["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": loose}}
        assert notices == ["loose_schema"]
        data, notices = ask(user("hi"), schema=strict, quirks=["json_object"])
        assert (data["response_format"], notices) == ({"type": "json_object"}, ["changed_schema"])
        assert '"title":"A person!"' in data["messages"][0]["content"]
        data, notices = ask(user("hi"), schema=strict, quirks=["no_schema"])
        assert ("response_format" in data, notices) == (False, ["changed_schema"])

    @pytest.mark.parametrize(
        ("quirk", "high", "none"),
        [
            (None, {"reasoning_effort": "high"}, {"reasoning_effort": "none"}),
            ("reasoning_object", {"reasoning": {"effort": "high"}}, {"reasoning": {"effort": "none"}}),
            (
                "thinking",
                {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
                {"thinking": {"type": "disabled"}},
            ),
            ("enable_thinking", {"enable_thinking": True}, {"enable_thinking": False}),
            (
                "chat_template_kwargs",
                {"chat_template_kwargs": {"enable_thinking": True}},
                {"chat_template_kwargs": {"enable_thinking": False}},
            ),
        ],
    )
    def test_reasoning(self, quirk: str | None, high: Object, none: Object) -> None:
        plain = ask(user("hi"))[0]
        quirks = [quirk] if quirk else []
        assert ask(user("hi"), reasoning="high", quirks=quirks)[0] == {**plain, **high}
        assert ask(user("hi"), reasoning="none", quirks=quirks)[0] == {**plain, **none}


class TestUserMessages:
    def test_several_parts(self) -> None:
        assert sent(user("a", "b")) == [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
        ]

    def test_images(self) -> None:
        [message] = sent(
            user("see", attached(PNG, **own(image_url={"detail": "high"})), attached({"url": "https://a/b.png"}))
        )
        assert message["content"][1:] == [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0=", "detail": "high"}},
            {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
        ]

    def test_sound_and_documents(self) -> None:
        wav, ogg = {"type": "audio/x-wav", "content": "AAAA"}, {"type": "audio/ogg", "content": "AAAA"}
        text = {"type": "text/plain", "content": b64encode("é".encode()).decode()}
        [message] = sent(user(attached(wav), attached(ogg), attached({**PDF, "name": "a.pdf"}), attached(text)))
        assert message["content"] == [
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "ogg"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            {"type": "text", "text": "é"},
        ]
        [message] = sent(user(attached(wav)), quirks=["audio_string"])
        assert message["content"] == [{"type": "input_audio", "input_audio": "AAAA"}]

    def test_a_pdf_as_mistral_takes_it(self) -> None:
        url = {"type": "application/pdf", "url": "https://a/b.pdf"}
        [message] = sent(user(attached({**PDF, "name": "a.pdf"}), attached(url)), quirks=["document_url"])
        inline = "data:application/pdf;base64,JVBERi0="
        assert message["content"] == [
            {"type": "document_url", "document_url": inline, "document_name": "a.pdf"},
            {"type": "document_url", "document_url": "https://a/b.pdf"},
        ]

    def test_files_that_the_vendor_keeps(self) -> None:
        [message] = sent(
            user(
                attached({}, **own(file={"file_id": "f1"})),
                attached({"type": "image/png"}, **own(type="file_id", file_id="f2")),
            )
        )
        assert message["content"] == [{"type": "file", "file": {"file_id": "f1"}}, {"type": "file_id", "file_id": "f2"}]

    @pytest.mark.parametrize(
        ("attachment", "quirk"),
        [
            ({"type": "video/mp4", "content": "AAAA"}, "video"),
            ({"type": "video/mp4", "url": "https://a"}, "video"),
            ({"type": "application/pdf", "url": "https://a"}, "file_urls"),
            ({"type": "audio/wav", "url": "https://a"}, None),
            ({"type": "application/zip", "content": "AAAA"}, None),
            ({"type": "image/png"}, None),
            ({}, None),
        ],
    )
    def test_what_has_no_place_is_told(self, attachment: Object, quirk: str | None) -> None:
        said = user("a", attached(attachment), attached(attachment))
        data, notices = ask(said, drop_unsupported=True)
        assert (data["messages"], notices) == ([{"role": "user", "content": "a"}], ["dropped_attachment"])
        assert ask(user(attached(attachment)), drop_unsupported=True)[0]["messages"] == []
        if attachment.keys() & {"content", "url"}:
            with pytest.raises(InputError, match=r"message 1 \(user\), part 2: .*drop_unsupported"):
                ask(said)
        if quirk:
            [message] = sent(user(attached(attachment)), quirks=[quirk])
            assert len(message["content"]) == 1

    def test_a_path_must_have_been_read(self) -> None:
        with pytest.raises(InputError, match="not read"):
            ask(user(attached({"type": "image/png", "path": "/etc/passwd", "sha256": "0"})))
        with pytest.raises(InputError, match="base64"):
            ask(user(attached({"type": "text/plain", "content": "x"})))

    def test_the_roles(self) -> None:
        system = {"type": "message", "role": "system", "parts": [{"type": "text", "text": "a"}]}
        assert [message["role"] for message in sent(system, user("b"))] == ["system", "user"]
        assert [message["role"] for message in sent(system, user("b"), quirks=["developer"])] == ["developer", "user"]
        assert sent({**system, **own(role="developer", name="n")}) == [
            {"role": "developer", "content": "a", "name": "n"}
        ]

    def test_an_unknown_part(self) -> None:
        own_block = {"type": "x", **own(type="x", y=1)}
        data, notices = ask(user("a", own_block, {"type": "z", "provider_metadata": {"other": {"type": "z"}}}))
        assert data["messages"][0]["content"] == [{"type": "text", "text": "a"}, {"type": "x", "y": 1}]
        assert notices == ["dropped_part"]


class TestReplies:
    def test_several_in_a_row(self) -> None:
        a, b = ({"type": "text", "text": text} for text in "ab")
        assert sent(user("q"), assistant(a), assistant(b, a))[1:] == [
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": "ba"},
        ]

    def test_calls_alone(self) -> None:
        assert back([call("f", "a", arguments={"x": 1})]) == {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}],
        }

    @pytest.mark.parametrize(
        ("arguments", "raw", "expected"),
        [
            ({"a": 1}, '{ "a": 1 }', '{ "a": 1 }'),
            ({"b": 1, "a": 2}, '{"a":2, "b":1}', '{"a":2, "b":1}'),
            ({"a": 2}, '{ "a": 1 }', '{"a":2}'),
            ({"a": 1}, '{"a": true}', '{"a":1}'),
            ({"a": [1, {"b": None}]}, '{"a": [1, {"b": null}]}', '{"a": [1, {"b": null}]}'),
            ({}, '{"a": ', "{}"),
            ({}, "[]", "{}"),
        ],
    )
    def test_arguments(self, arguments: Object, raw: str, expected: str) -> None:
        [sent_call] = back([call("f", "a", arguments=arguments, arguments_raw=raw)])["tool_calls"]
        assert sent_call["function"]["arguments"] == expected

    def test_arguments_that_nest_deep(self) -> None:
        def deep(depth: int) -> Object:
            return json.loads('{"a":' * depth + "1" + "}" * depth)  # type: ignore[no-any-return]

        raw = json.dumps(deep(240))
        [sent_call] = back([call("f", "a", arguments=deep(240), arguments_raw=raw)])["tool_calls"]
        assert sent_call["function"]["arguments"] == raw
        [sent_call] = back([call("f", "a", arguments={}, arguments_raw=json.dumps(deep(600)))])["tool_calls"]
        assert sent_call["function"]["arguments"] == "{}"
        with pytest.raises(InputError):
            back([call("f", "a", arguments=deep(600))])

    def test_results(self) -> None:
        messages = sent(assistant(call("f", "a"), call("g", "b")), results(("b", "two"), ("a", "one")))
        assert messages[1:] == [
            {"role": "tool", "tool_call_id": "b", "content": "two"},
            {"role": "tool", "tool_call_id": "a", "content": "one"},
        ]

    def test_a_failed_call_tells_so(self) -> None:
        def told(output: str, exception: str) -> str:
            return str(sent(assistant(call("f", "a")), results(("a", output), exception=exception))[1]["content"])

        assert told("", "boom") == "Error: boom"
        assert told("half", "boom") == "Error: boom\nhalf"
        assert told("Error: boom at 7", "boom") == "Error: boom at 7"

    def test_files_of_results(self) -> None:
        answered = [results(("a", "one"), attachments=[PNG]), results(("b", ""), attachments=[PNG]), user("so?")]
        messages = sent(assistant(call("f", "a"), call("f", "b")), *answered)
        assert [message["role"] for message in messages] == ["assistant", "tool", "tool", "user", "user"]
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
        assert messages[3]["content"] == [
            {"type": "text", "text": "Attached to the result of f (a):"},
            image,
            {"type": "text", "text": "Attached to the result of f (b):"},
            image,
        ]
        messages = sent(assistant(call("f", "a"), call("f", "b")), *answered, quirks=["tool_images"])
        assert [message["content"] for message in messages[1:3]] == [[{"type": "text", "text": "one"}, image], [image]]

    def test_ids_are_unique_in_a_request(self) -> None:
        turn = [assistant(call("f", "0")), results(("0", "x"))]
        messages = sent(user("q"), *turn, *turn, *turn)
        ids = [message["tool_calls"][0]["id"] for message in messages if "tool_calls" in message]
        assert ids[0] == "0"
        assert len(set(ids)) == 3
        assert [message["tool_call_id"] for message in messages if message["role"] == "tool"] == ids
        assert sent(user("q"), *turn, *turn) == messages[:5]  # what comes later changes no id

    def test_ids_of_others(self) -> None:
        long = "x" * 41
        said = [call("f", given) for given in ("functions.f:0", "ok_1", long, "~3")] + [call("f")]
        answers = results(*[(given, "r") for given in ("functions.f:0", "ok_1", long, "~3", "~4")])
        for provider, expected in (
            ("other", ("call00000", "ok_1", "call00002")),
            (ISSUER, ("functions.f:0", "ok_1", long)),
        ):
            messages = sent(assistant(*said, provider=provider), answers)
            ids = [sent_call["id"] for sent_call in messages[0]["tool_calls"]]
            assert ids == [*expected, "call00003", "call00004"]
            assert [message["tool_call_id"] for message in messages[1:]] == ids

    def test_short_ids(self) -> None:
        messages = sent(assistant(call("f", "call_abc"), call("f", "abcdef123")), quirks=["short_ids"])
        assert [sent_call["id"] for sent_call in messages[0]["tool_calls"]] == ["call00000", "abcdef123"]

    def test_a_result_of_no_call(self) -> None:
        assert sent(user("q"), results(("zz", "r")))[1]["tool_call_id"] == "zz"

    def test_the_reasoning_of_others_is_told_and_not_sent(self) -> None:
        thought = {"type": "reasoning", "text": "hm", "provider_metadata": {"other": {"signature": "s"}}}
        data, notices = ask(assistant(thought, {"type": "text", "text": "a"}), assistant(thought), user("q"))
        assert data["messages"] == [{"role": "assistant", "content": "a"}, {"role": "user", "content": "q"}]
        assert notices == ["dropped_reasoning"]

    def test_reasoning_that_calls_need(self) -> None:
        quirks = ["reasoning_with_calls"]
        [message] = sent(assistant(call("f", "a")), quirks=quirks)
        assert message["reasoning_content"] == ""
        [message] = sent(
            assistant({"type": "reasoning", "text": "hm", **own(field="reasoning_content")}, call("f", "a")),
            quirks=quirks,
        )
        assert message["reasoning_content"] == "hm"
        assert "reasoning_content" not in sent(assistant({"type": "text", "text": "a"}), quirks=quirks)[0]

    def test_a_refusal(self) -> None:
        refusal = {"type": "refusal", "text": "no"}
        assert back([refusal]) == {"role": "assistant", "content": None, "refusal": "no"}
        assert sent(assistant(refusal, provider="other")) == [{"role": "assistant", "content": "no"}]

    def test_what_others_made(self) -> None:
        done: Object = {"server_executed": True, "tool_call_id": "x"}
        said = [
            {"type": "text", "text": "a"},
            call("search", **done),
            {"type": "tool_result", "name": "search", "output": "r", **done},
            attached(PNG),
            {"type": "web_search_call", "provider_metadata": {"other": {"id": 1}}},
        ]
        data, notices = ask(assistant(*said, provider="other"), user("q"))
        assert data["messages"][0] == {"role": "assistant", "content": "a"}
        assert notices == ["dropped_part", "dropped_part", "dropped_attachment", "dropped_part"]

    def test_the_message_that_is_continued(self) -> None:
        text = {"type": "text", "text": "a"}
        assert sent(user("q"), assistant(text), quirks=["prefix"])[1] == {
            "role": "assistant",
            "content": "a",
            "prefix": True,
        }
        assert "prefix" not in sent(assistant(text), user("q"), quirks=["prefix"])[0]

    def test_only_the_issuers_own_metadata_is_sent(self) -> None:
        both: Object = {"provider_metadata": {ISSUER: {"mine": 1}, "other": {"theirs": "SECRET"}}}
        thought = {
            "type": "reasoning",
            "text": "hm",
            "provider_metadata": {ISSUER: {"field": "reasoning"}, **both["provider_metadata"]},
        }
        tool: Object = {"type": "tool", "name": "f", "input_schema": {}, **both}
        said = [{"type": "text", "text": "a", **both}, thought, call("f", "a", **both)]
        answers = results(("a", "r"), **both)
        data, notices = ask(
            tool, {**user({"type": "text", "text": "q", **both}), **both}, assistant(*said, **both), answers
        )
        text = json.dumps(data)
        assert notices == []
        assert "SECRET" not in text
        assert text.count('"mine": 1') == 7

    @pytest.mark.exhaustive
    @QUICK
    @given(st.lists(strategies.messages() | strategies.tools(), max_size=5), st.sampled_from(["openai", "gemini"]))
    def test_any_conversation(self, records: list[Object], issuer: str) -> None:
        try:
            http, _ = encode(Conversation(records), Request("m", "m", issuer))
        except InputError:
            return
        messages = json.loads(http.body)["messages"]
        assert all(isinstance(message, dict) for message in messages)
