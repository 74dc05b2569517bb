"""Gemini generateContent: what is asked, what is made of the answer; streams written here."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError, UsageError
from llmtools.protocols.gemini.request import encode, error_of
from llmtools.protocols.request import Request
from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps
from support import decoding, strategies
from support.decoding import kinds, machines
from support.harness import request_to
from support.strategies import QUICK, mutations

Decoder = machines("gemini")

Object = dict[str, Any]
ISSUER = "gemini"
CANARY = "CANARY-of-another-issuer"
MODEL = "gemini-3-pro-preview"


def chunk(*parts: Object, finish: str | None = None, candidate: Object | None = None, **fields: Any) -> Object:
    said: Object = {"index": 0, **(candidate or {})}
    if parts:
        said["content"] = {"role": "model", "parts": list(parts)}
    if finish:
        said["finishReason"] = finish
    return {"candidates": [said], "modelVersion": "g-1", "responseId": "r1", **fields}


def sse(*chunks: Object) -> bytes:
    return b"".join([b"data: " + dumps(item) + b"\r\n\r\n" for item in chunks])


def decode(data: bytes) -> list[Object]:
    """The records of a stream, which are the same however it is cut, each of them checked."""
    return decoding.decoded(lambda: Decoder(ISSUER), data, ISSUER)


def whole(records: list[Object]) -> Object:
    return decoding.whole(records, ISSUER)


def reply(*chunks: Object, finish: str = "STOP") -> Object:
    """The message of a stream of these chunks."""
    return whole(decode(sse(*chunks, chunk(finish=finish))))


def parts(*said: Object) -> list[Object]:
    """The parts that a stream of these parts makes, each in a chunk of its own."""
    found: list[Object] = reply(*[chunk(part) for part in said])["parts"]
    return found


def own(**fields: Any) -> Object:
    return {"provider_metadata": {ISSUER: fields}}


def call(name: str = "f", **fields: Any) -> Object:
    return {"functionCall": {"name": name, **fields}}


def piece(path: str, more: bool = False, **value: Any) -> Object:
    return {"jsonPath": path, **value, **({"willContinue": True} if more else {})}


class TestReply:
    def test_a_plain_reply(self) -> None:
        usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
        records = decode(
            sse(
                chunk({"text": "Hel"}, usageMetadata={"promptTokenCount": 9}),
                chunk({"text": "lo"}, finish="STOP", usageMetadata=usage),
            )
        )
        assert records == [
            {"type": "start", "response_id": "r1"},
            {"type": "text", "chunk": "Hel", "part_index": 0},
            {"type": "text", "chunk": "lo", "part_index": 0},
            {
                "type": "end",
                "status": "ok",
                "finish_reason": "stop",
                "finish_reason_raw": "STOP",
                "usage": {"input": 3, "output": 2},
                "model_served": "g-1",
                "details": {ISSUER: {"usage": usage}},
            },
        ]

    def test_events_come_when_their_chunk_does(self) -> None:
        decoder = Decoder(ISSUER)
        assert kinds(decoder.feed(sse(chunk({"text": "a"})))) == ["start", "text"]
        assert kinds(decoder.feed(sse(chunk({"text": "b"}, finish="STOP")))) == ["text"]
        assert decoder.seen == 2
        assert kinds(decoder.eof()) == ["notice", "end"]
        assert decoder.feed(sse(chunk({"text": "more"}))) == []

    def test_a_signature_on_an_empty_text(self) -> None:
        found = parts(call(args={}), {"text": "", "thoughtSignature": "S"}, {"text": ""})
        assert found[1:] == [{"type": "text", "text": "", **own(thoughtSignature="S")}]
        assert contents(assistant(*found))[0]["parts"] == [
            call(args={}) | {"thoughtSignature": "skip_thought_signature_validator"},
            {"text": "", "thoughtSignature": "S"},
        ]

    def test_a_signature_after_its_text(self) -> None:
        found = parts({"text": "a"}, {"text": "b"}, {"text": "", "thoughtSignature": "S"}, {"text": "c"})
        assert found == [
            {"type": "text", "text": "ab"},
            {"type": "text", "text": "", **own(thoughtSignature="S")},
            {"type": "text", "text": "c"},
        ]
        said = [{"text": "ab"}, {"text": "", "thoughtSignature": "S"}, {"text": "c"}]
        assert contents(assistant(*found))[0]["parts"] == said

    def test_signed_and_unsigned_texts_never_merge(self) -> None:
        said = [{"text": "a"}, {"text": "b", "thoughtSignature": "1"}, {"text": "c", "thoughtSignature": "2"}]
        found = parts(*said, {"text": "d"})
        assert [part["text"] for part in found] == ["a", "b", "c", "d"]
        assert contents(assistant(*found))[0]["parts"] == [*said, {"text": "d"}]

    def test_two_thoughts_in_a_row(self) -> None:
        said: list[Object] = [
            {"text": "a", "thought": True},
            {"text": "b", "thought": True},
            {"text": "c", "thought": True, "thoughtSignature": "S"},
            {"text": "d", "thought": True},
            {"text": "e"},
        ]
        found = parts(*said)
        assert [(part["type"], part["text"]) for part in found] == [
            ("reasoning", "ab"),
            ("reasoning", "c"),
            ("reasoning", "d"),
            ("text", "e"),
        ]
        assert contents(assistant(*found))[0]["parts"] == [{"text": "ab", "thought": True}, *said[2:]]

    def test_parallel_calls_without_ids(self) -> None:
        message = reply(
            chunk(call("f", args={"a": 1}) | {"thoughtSignature": "S"}, call("f", args={"a": 2}), call("g"))
        )
        assert [(part["tool_call_id"], part["arguments"]) for part in message["parts"]] == [
            ("~0", {"a": 1}),
            ("~1", {"a": 2}),
            ("~2", {}),
        ]
        assert message["response"]["finish_reason"] == "tool_calls"
        # Results in another order, in two messages: they find their calls by their places.
        sent = contents(message, tool(result("g", "3", "~2")), tool(result("f", "2", "~1"), result("f", "1", "~0")))
        assert sent == [
            {
                "role": "model",
                "parts": [
                    call("f", args={"a": 1}) | {"thoughtSignature": "S"},
                    call("f", args={"a": 2}),
                    call("g", args={}),
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": name, "response": {"result": output}}}
                    for name, output in (("f", "1"), ("f", "2"), ("g", "3"))
                ],
            },
        ]

    def test_ids_go_back_as_they_came(self) -> None:
        message = reply(chunk(call("f", id="x", args={}) | {"thoughtSignature": "S"}, call("f", id="x")))
        assert [part["tool_call_id"] for part in message["parts"]] == ["x", "~1"]
        model, answer = contents(message, tool(result("f", "1", "x"), result("f", "2", "~1")))
        assert [part["functionCall"].get("id") for part in model["parts"]] == ["x", None]
        assert [part["functionResponse"].get("id") for part in answer["parts"]] == ["x", None]

    @pytest.mark.parametrize("number", ["18446744073709551616", "1.0", "1e400"])
    def test_no_number_is_rounded(self, number: str) -> None:
        data = sse(chunk(call(args={"a": "N"}), finish="STOP")).replace(b'"N"', number.encode())
        http, _ = encode(Conversation([whole(decode(data))]), Request("m", "m", ISSUER))
        assert b'{"a":' + number.encode() + b"}" in http.body

    def test_arguments_that_are_streamed(self) -> None:
        found = parts(
            call("f", willContinue=True) | {"thoughtSignature": "S"},
            {"functionCall": {"partialArgs": [piece("$.a", True, stringValue="x")], "willContinue": True}},
            {"functionCall": {"partialArgs": [piece("$.a", stringValue="y")], "willContinue": True}},
            {"functionCall": {"partialArgs": [piece("$.b[0].c", numberValue=1)], "willContinue": True}},
            {"functionCall": {"partialArgs": [piece("$.b[1]['d.e']", boolValue=True)], "willContinue": True}},
            {"functionCall": {"partialArgs": [piece("$.n", nullValue="NULL_VALUE")], "willContinue": True}},
            {"functionCall": {}},
            call("g", willContinue=True),
            {"text": "done"},
        )
        assert [part.get("arguments") for part in found] == [
            {"a": "xy", "b": [{"c": 1}, {"d.e": True}], "n": None},
            {},
            None,
        ]
        assert found[0]["provider_metadata"] == {ISSUER: {"thoughtSignature": "S"}}

    def test_a_call_that_is_cut_is_never_run(self) -> None:
        some = {"functionCall": {"partialArgs": [piece("$.a", True, stringValue="x")], "willContinue": True}}
        [part] = reply(chunk(call("f", willContinue=True)), chunk(some), finish="MAX_TOKENS")["parts"]
        assert part["exception"]
        assert part["arguments"] == {}

    def test_an_open_call_at_a_good_end_is_whole(self) -> None:
        some = call("f", willContinue=True, partialArgs=[piece("$.a", stringValue="x")])
        for finish in ("STOP", "FUNCTION_CALL"):
            [part] = reply(chunk(some), finish=finish)["parts"]
            assert (part["arguments"], "exception" in part) == ({"a": "x"}, False)

    @pytest.mark.parametrize("path", ["$.a[999999]", "$", "$[0]", "$..", "$.a[0].b[x]"])
    def test_a_path_that_leads_nowhere(self, path: str) -> None:
        some = {"functionCall": {"name": "f", "partialArgs": [piece(path, numberValue=1)]}}
        assert decode(sse(chunk(some)))[-1]["code"] == "protocol"

    def test_what_the_server_ran(self) -> None:
        said: list[Object] = [
            {"executableCode": {"language": "PYTHON", "code": "1/0"}, "thoughtSignature": "S"},
            {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "ZeroDivisionError"}},
            {"toolCall": {"toolType": "FILE_SEARCH", "id": "i", "args": {"q": "x"}}, "thoughtSignature": "T"},
            {"toolResponse": {"toolType": "FILE_SEARCH", "id": "i", "response": {"r": [1]}}, "thoughtSignature": "U"},
        ]
        message = reply(chunk(*said))
        assert message["response"]["finish_reason"] == "stop"
        code, outcome, search, answer = message["parts"]
        assert (code["name"], code["arguments"]["code"], code["server_executed"]) == ("code_execution", "1/0", True)
        assert (outcome["tool_call_id"], outcome["exception"]) == ("~0", "OUTCOME_FAILED")
        assert (search["tool_call_id"], search["arguments"], answer["output"]) == ("i", {"q": "x"}, '{"r":[1]}')
        body, _ = ask(message)
        assert body["contents"][0]["parts"] == said
        assert body["toolConfig"] == {"includeServerSideToolInvocations": True}

    def test_images_sounds_and_files(self) -> None:
        image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "S"}
        sounds = [{"inlineData": {"mimeType": "audio/L16;rate=24000", "data": data}} for data in ("aGk=", "aG8=")]
        file = {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/v"}}
        found = parts(image, *sounds, file)
        assert [part["attachment"] for part in found] == [
            {"type": "image/png", "content": "aGk="},
            {"type": "audio/L16;rate=24000", "content": b64encode(b"hiho").decode()},
            {"type": "video/mp4", "url": "https://example.com/v"},
        ]
        sent = contents(assistant(*found))[0]["parts"]
        assert (sent[0], sent[2]) == (image, file)

    def test_an_unknown_part_goes_back_whole(self) -> None:
        said = {"hologram": {"depth": 3}, "thoughtSignature": "S"}
        [part] = parts(said)
        assert part["type"] == "hologram"
        assert contents(assistant(part))[0]["parts"] == [said]

    def test_usage(self) -> None:
        first = {"promptTokenCount": 50, "thoughtsTokenCount": 9, "cachedContentTokenCount": 4}
        last = {"promptTokenCount": 10, "candidatesTokenCount": 2, "toolUsePromptTokenCount": 7}
        records = decode(sse(chunk({"text": "a"}, usageMetadata=first), chunk(finish="STOP", usageMetadata=last)))
        assert records[-1]["usage"] == {"input": 17, "output": 11, "details": {"cached": 4, "reasoning": 9}}

    def test_grounding(self) -> None:
        support = {"segment": {"startIndex": 4, "endIndex": 9, "text": "naïf"}, "groundingChunkIndices": [0, 7]}
        web = {"web": {"uri": "https://example.com", "title": "T"}}
        grounding = {"groundingChunks": [web], "groundingSupports": [support]}
        found = reply(
            chunk({"text": "été naïf"}),
            chunk({"text": "", "thoughtSignature": "S"}, candidate={"groundingMetadata": grounding}),
        )
        # Bytes 6 to 11 are meant: the text proves what its place does not.
        assert found["parts"][0]["annotations"] == [
            {"kind": "web", "url": "https://example.com", "title": "T", "start": 4, "end": 8}
        ]
        assert found["response"]["details"][ISSUER]["groundingMetadata"] == grounding

    @pytest.mark.parametrize(
        ("word", "reason"),
        [
            ("MAX_TOKENS", "length"),
            ("SAFETY", "content_filter"),
            ("SPII", "content_filter"),
            ("ESCALATION", "content_filter"),
            ("PUP_LIMITED_DISABLED", "content_filter"),
            ("CONTINUATION", "pause"),
            ("SOMETHING_NEW", "stop"),
        ],
    )
    def test_how_a_reply_ends(self, word: str, reason: str) -> None:
        response = reply(chunk({"text": "a"}), finish=word)["response"]
        assert (response["finish_reason"], response["finish_reason_raw"]) == (reason, word)

    def test_an_end_that_is_a_failure(self) -> None:
        records = decode(sse(chunk(finish="MALFORMED_FUNCTION_CALL", candidate={"finishMessage": "bad"})))
        assert kinds(records) == ["start", "notice", "end", "error"]
        assert records[-2]["finish_reason"] == "error"
        assert records[-1]["message"] == "the provider ended the reply: MALFORMED_FUNCTION_CALL: bad"

    def test_a_blocked_prompt(self) -> None:
        records = decode(sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}))
        assert records[-1]["finish_reason"] == "content_filter"
        assert records[-1]["finish_reason_raw"] == "SAFETY"
        assert records[-1]["usage"] == {"input": 4, "output": 0}

    def test_a_pause_is_continued(self) -> None:
        message = whole(decode(sse(chunk({"text": "a"}, finish="CONTINUATION", continuationToken="T"))))
        assert ask(message)[0]["continuationToken"] == "T"
        message = whole(decode(sse(chunk({"text": "a"}, finish="CONTINUATION", candidate={"continuationToken": "U"}))))
        assert ask(message)[0]["continuationToken"] == "U"
        assert "details" not in message["response"]

    def test_thoughts_alone_are_usage(self) -> None:
        response = reply(chunk({"text": "a"}, usageMetadata={"thoughtsTokenCount": 7}))["response"]
        assert response["usage"] == {"input": 0, "output": 7, "details": {"reasoning": 7}}

    def test_an_image_as_a_source(self) -> None:
        grounding = {
            "groundingChunks": [{"image": {"sourceUri": "http://page", "imageUri": "http://image", "title": "T"}}],
            "groundingSupports": [{"segment": {"endIndex": 1, "text": "a"}, "groundingChunkIndices": [0]}],
        }
        [part] = reply(chunk({"text": "a"}, candidate={"groundingMetadata": grounding}))["parts"]
        assert part["annotations"] == [{"kind": "image", "url": "http://page", "title": "T", "start": 0, "end": 1}]

    def test_what_every_chunk_tells_of_itself_is_gathered(self) -> None:
        chunks = [
            chunk({"text": text}, candidate={"citationMetadata": {"citations": [{"uri": text}]}, "avgLogprobs": place})
            for place, text in enumerate("ab")
        ]
        details = reply(*chunks)["response"]["details"][ISSUER]
        assert details == {"citationMetadata": {"citations": [{"uri": "a"}, {"uri": "b"}]}, "avgLogprobs": 1}

    def test_half_a_character(self) -> None:
        halves = sse(chunk({"text": "H"}), chunk({"text": "L"}), chunk(finish="STOP"))
        data = halves.replace(b'"H"', b'"\\ud83d"').replace(b'"L"', b'"\\ude00"')
        assert whole(decode(data))["parts"] == [{"type": "text", "text": "\U0001f600"}]

    def test_arguments_that_nest_too_deep(self) -> None:
        data = sse(chunk(call(args={"a": "N"}), finish="STOP")).replace(b'"N"', b"[" * 400 + b"]" * 400)
        [part] = whole(decode(data))["parts"]
        assert part["exception"]

    def test_other_candidates_are_dropped(self) -> None:
        both = chunk({"text": "a"}, finish="STOP")
        both["candidates"].append({"index": 1, "content": {"parts": [{"text": "b"}]}})
        records = decode(sse(both))
        assert "choices" in [record.get("code") for record in records]
        assert whole(records)["parts"] == [{"type": "text", "text": "a"}]


class TestFailure:
    def test_a_bare_error_in_mid_stream(self) -> None:
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
        body = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": [retry]}}
        data = sse(chunk({"text": "a"}, finish="STOP")) + json.dumps(body, indent=2).encode()
        records = decode(data)
        assert kinds(records) == ["start", "text", "error"]
        assert records[-1]["code"] == "rate_limited"
        assert records[-1]["retry_after"] == 34.4
        listed = error_of(429, {}, json.dumps([body]).encode())
        assert (listed.message, listed.details["retry_after"]) == ("slow", 34.4)
        assert error_of(429, {"retry-after": "2"}, json.dumps(body).encode()).details["retry_after"] == 2
        assert error_of(503, {}, b"<h1>no</h1>").message == "no"

    def test_a_stream_without_its_end_is_cut_off(self) -> None:
        decoder = Decoder(ISSUER)
        decoder.feed(sse(chunk({"text": "a"})))
        assert [record["code"] for record in decoder.eof()] == ["truncated"]

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"<html>no</html>", "protocol"),
            (b'data: {"a":1}\n\n', "protocol"),
            (b"data: {no}\n\n", "protocol"),
            (b'{"a":1}', "protocol"),
            (b"[]", "protocol"),
            (b"", "truncated"),
            (b'data: {"message":"it broke"}\n\n', "unavailable"),
        ],
    )
    def test_what_is_no_reply(self, data: bytes, code: str) -> None:
        [record] = decode(data)
        assert record["code"] == code

    def test_an_array_in_the_place_of_events(self) -> None:
        chunks = [chunk({"text": "a"}), chunk({"text": "b"}, finish="STOP")]
        records = decode(dumps(chunks))
        assert records == Decoder(ISSUER).body(dumps(chunks))
        assert whole(records)["parts"] == [{"type": "text", "text": "ab"}]
        assert Decoder(ISSUER).body(dumps(chunks[:1]))[-1]["code"] == "truncated"

    SAMPLES = (
        chunk({"text": "a", "thought": True, "thoughtSignature": "S"}, {"text": "b"}),
        chunk(call(id="i", args={"a": [1, None]}), finish="STOP", usageMetadata={"promptTokenCount": 1}),
        chunk(call(willContinue=True, partialArgs=[piece("$.a[0]", stringValue="x")])),
        chunk({"executableCode": {"code": "1"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}),
        chunk({"toolCall": {"toolType": "T", "args": {}}}, {"toolResponse": {"toolType": "T", "response": {}}}),
        chunk({"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}, {"fileData": {"fileUri": "u"}}),
        chunk(
            {"text": "abc"},
            candidate={
                "groundingMetadata": {
                    "groundingChunks": [{"web": {"uri": "u"}}],
                    "groundingSupports": [{"segment": {"endIndex": 2, "text": "ab"}, "groundingChunkIndices": [0]}],
                },
                "logprobsResult": {"chosenCandidates": [{}]},
            },
        ),
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"error": {"code": 500, "message": "no", "details": [{"retryDelay": "1s"}]}},
    )

    @QUICK
    @given(st.lists(mutations(st.sampled_from(SAMPLES)) | st.sampled_from(SAMPLES), max_size=6))
    def test_no_chunk_makes_anything_else_fail(self, chunks: list[Object]) -> None:
        records = decode(sse(*chunks))
        assert kinds(records)[-1] in ("end", "error")
        encode(Conversation([whole(records)]), Request("m", MODEL, ISSUER))
        for item in chunks:
            whole(Decoder(ISSUER).body(dumps(item)))
            error_of(400, {}, dumps(item))


# What is asked.


def user(*content: Object | str) -> Object:
    said = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return {"type": "message", "role": "user", "parts": said}


def assistant(*content: Object) -> Object:
    return {"type": "message", "role": "assistant", "parts": list(content)}


def tool(*results: Object) -> Object:
    return {"type": "message", "role": "tool", "parts": list(results)}


def result(name: str, output: str, call_id: str, **fields: Any) -> Object:
    return {"type": "tool_result", "name": name, "output": output, "tool_call_id": call_id, **fields}


def ask(*records: Object, served: str = MODEL, **asked: Any) -> tuple[Object, list[str]]:
    http, notices = encode(Conversation(records), request_to("gemini", served, ISSUER, **asked))
    for notice in notices:
        check_record(notice)
    return json.loads(http.body), [notice["code"] for notice in notices]


def contents(*records: Object) -> list[Object]:
    found: list[Object] = ask(*records)[0]["contents"]
    return found


class TestRequest:
    @pytest.mark.parametrize(
        ("served", "stream", "path"),
        [
            ("gemini-2.5-flash", True, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
            ("gemini-2.5-flash", False, "/models/gemini-2.5-flash:generateContent"),
            ("tunedModels/x", False, "/tunedModels/x:generateContent"),
            ("publishers/google/models/g", False, "/publishers/google/models/g:generateContent"),
            ("a?b#c", False, "/models/a%3Fb%23c:generateContent"),
        ],
    )
    def test_where_it_goes(self, served: str, stream: bool, path: str) -> None:
        http, _ = encode(Conversation([user("hi")]), Request("m", served, ISSUER, stream=stream))
        assert http.path == path
        assert json.loads(http.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}

    def test_system_messages_are_one_instruction(self) -> None:
        system = {"type": "message", "role": "system", "parts": [{"type": "text", "text": "Be brief"}]}
        body, codes = ask(system, user("hi"), system)
        assert body["systemInstruction"] == {"parts": [{"text": "Be brief"}] * 2}
        assert codes == ["moved_system"]

    def test_options(self) -> None:
        options = {
            "temperature": 0,
            "top_p": 1,
            "max_tokens": 5,
            "stop": "x",
            "safetySettings": [],
            "cached_content": "c",
            "generationConfig": {"topK": 2},
            "n": 1,
        }
        body, _ = ask(user("hi"), options=options)
        assert body["generationConfig"] == {
            "temperature": 0,
            "topP": 1,
            "maxOutputTokens": 5,
            "stopSequences": ["x"],
            "topK": 2,
            "thinkingConfig": {"includeThoughts": True},
        }
        assert (body["safetySettings"], body["cachedContent"]) == ([], "c")
        with pytest.raises(UsageError):
            ask(user("hi"), options={"candidate_count": 2})

    @pytest.mark.parametrize(
        ("served", "effort", "thinking"),
        [
            ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
            ("gemini-2.5-flash", "max", {"includeThoughts": True, "thinkingBudget": 24576}),
            (MODEL, "low", {"includeThoughts": True, "thinkingLevel": "LOW"}),
            (MODEL, "none", {"thinkingLevel": "MINIMAL"}),
        ],
    )
    def test_reasoning(self, served: str, effort: str, thinking: Object) -> None:
        body, codes = ask(user("hi"), served=served, reasoning=effort)
        assert body["generationConfig"]["thinkingConfig"] == thinking
        assert codes == (["changed_reasoning"] if thinking.get("thinkingLevel") == "MINIMAL" else [])

    def test_reasoning_by_options(self) -> None:
        body, _ = ask(user("hi"), reasoning="low", options={"thinking_level": "HIGH", "toolConfig": "no"})
        config = body["generationConfig"]["thinkingConfig"]
        assert config == {"includeThoughts": True, "thinkingLevel": "HIGH"}

    def test_schema(self) -> None:
        config = ask(user("hi"), served="gemini-2.0-flash", schema={"type": "object"})[0]["generationConfig"]
        assert config == {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}

    def test_tools(self) -> None:
        function = {"type": "tool", "name": "f", "description": "d", "input_schema": {"type": "object"}}
        search = {"type": "tool", "name": "search", **own(googleSearch={})}
        foreign = {"type": "tool", "name": "web", "provider_metadata": {"openai": {"type": CANARY}}}
        body, codes = ask(function, search, foreign, user("hi"), tool_choice="f")
        declared = {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object", "properties": {}}}
        assert body["tools"] == [{"functionDeclarations": [declared]}, {"googleSearch": {}}]
        assert codes == ["dropped_tool"]
        assert body["toolConfig"] == {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
            "includeServerSideToolInvocations": True,
        }
        config = ask(function, user("hi"), tool_choice="none")[0]["toolConfig"]
        assert config == {"functionCallingConfig": {"mode": "NONE"}}

    def test_attachments(self) -> None:
        image = {"type": "attachment", "attachment": {"type": "image/png", "content": "aGk="}}
        video = {"type": "attachment", "attachment": {"url": "https://youtu.be/x"}}
        data = {"type": "attachment", "attachment": {"type": "application/json", "content": "e30="}}
        file = {"type": "attachment", **own(fileData={"fileUri": "files/1"})}
        lost = {"type": "attachment", "provider_metadata": {"openai": {"file": CANARY}}}
        body, codes = ask(user("look", image, video, data, file, lost))
        assert body["contents"][0]["parts"] == [
            {"text": "look"},
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
            {"fileData": {"fileUri": "https://youtu.be/x"}},
            {"inlineData": {"mimeType": "text/plain", "data": "e30="}},
            {"fileData": {"fileUri": "files/1"}},
        ]
        assert codes == ["dropped_attachment"]
        with pytest.raises(InputError):
            ask(user({"type": "attachment", "attachment": {"path": "/x", "sha256": "0"}}))

    def test_a_result_with_an_image_and_an_exception(self) -> None:
        image = {"type": "image/png", "content": "aGk="}
        failed = result("f", "no", "c", exception="ValueError: x", attachments=[image])
        [content] = contents(tool(failed))
        assert content["parts"] == [
            {
                "functionResponse": {
                    "name": "f",
                    "response": {"error": "ValueError: x\nno"},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}],
                }
            }
        ]

    def test_foreign_history(self) -> None:
        of_another = {"anthropic": {"signature": CANARY, "thoughtSignature": CANARY}}
        history = assistant(
            {"type": "reasoning", "text": CANARY, "provider_metadata": of_another},
            {"type": "text", "text": "calling", "annotations": [{"kind": CANARY}], "provider_metadata": of_another},
            {
                "type": "tool_call",
                "name": "f",
                "arguments": {},
                "tool_call_id": CANARY,
                "provider_metadata": of_another,
            },
            {"type": "tool_call", "name": "f", "arguments": {"a": 1}, "tool_call_id": "c2"},
            {"type": "tool_call", "name": "g", "arguments": {}, "tool_call_id": "s", "server_executed": True},
            {"type": "server_block", "provider_metadata": of_another},
        ) | {"provider_metadata": of_another}
        body, codes = ask(user("hi"), history, tool(result("f", "2", "c2"), result("f", "1", CANARY)))
        assert CANARY not in json.dumps(body)
        assert body["contents"][1:] == [
            {
                "role": "model",
                "parts": [
                    {"text": "calling"},
                    call(args={}) | {"thoughtSignature": "skip_thought_signature_validator"},
                    call(args={"a": 1}),
                ],
            },
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "f", "response": {"result": text}}} for text in ("1", "2")],
            },
        ]
        assert codes == ["dropped_reasoning", "dropped_annotation", "dropped_part", "dropped_part"]
        older, _ = ask(user("hi"), history, served="gemini-2.5-flash")
        assert "thoughtSignature" not in json.dumps(older)

    @pytest.mark.exhaustive
    @QUICK
    @given(st.lists(strategies.messages() | strategies.tools(), max_size=5), st.sampled_from(["openai", "gemini"]))
    def test_any_conversation(self, records: list[Object], issuer: str) -> None:
        try:
            http, _ = encode(Conversation(records), Request("m", MODEL, issuer))
        except InputError:
            return
        assert all(content.keys() == {"role", "parts"} for content in json.loads(http.body)["contents"])
