"""OpenAI Responses: what is asked, what is made of the answer; streams written here."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError, UsageError
from llmtools.protocols.openai_responses.request import encode, error_of
from llmtools.protocols.request import Request
from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps
from support import decoding, strategies
from support.decoding import assistant, call, end, kinds, machines, results, user
from support.harness import request_to
from support.strategies import QUICK, mutations

Decoder = machines("openai-responses")

Object = dict[str, Any]
ISSUER = "openai"
PNG = b64encode(b"\x89PNG...").decode()

# Events as the vendor writes them.


def begin(**fields: Any) -> Object:
    response = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "gpt-x", "output": []}
    return {"type": "response.created", "response": {**response, **fields}}


def finish(kind: str = "completed", **fields: Any) -> Object:
    usage = {"input_tokens": 3, "output_tokens": 7, "total_tokens": 10}
    response = {"id": "resp_1", "object": "response", "status": kind, "model": "gpt-x", "output": [], "usage": usage}
    return {"type": f"response.{kind}", "response": {**response, **fields}}


def added(index: int, kind: str = "", **fields: Any) -> Object:
    return {"type": "response.output_item.added", "output_index": index, "item": {"type": kind, **fields}}


def done(index: int, kind: str = "", **fields: Any) -> Object:
    return {"type": "response.output_item.done", "output_index": index, "item": {"type": kind, **fields}}


def event(name: str, index: int, **fields: Any) -> Object:
    return {"type": f"response.{name}", "output_index": index, **fields}


def deltas(name: str, index: int, *chunks: str, **fields: Any) -> list[Object]:
    return [event(f"{name}.delta", index, delta=chunk, **fields) for chunk in chunks]


def output_text(said: str, *annotations: Object) -> Object:
    return {"type": "output_text", "text": said, "annotations": list(annotations)}


def text(index: int, *chunks: str, annotations: tuple[Object, ...] = (), **fields: Any) -> list[Object]:
    item = {"id": f"msg_{index}", "role": "assistant", **fields}
    content: list[Object] = [output_text("".join(chunks), *annotations)]
    return [
        added(index, "message", content=[], **item),
        *deltas("output_text", index, *chunks, content_index=0, item_id=f"msg_{index}"),
        done(index, "message", content=content, status="completed", **item),
    ]


def reasoning(index: int, *summaries: str, cipher: str = "CIPHER", **fields: Any) -> list[Object]:
    said = [
        delta
        for place, summary in enumerate(summaries)
        for delta in deltas("reasoning_summary_text", index, summary, summary_index=place)
    ]
    summary = [{"type": "summary_text", "text": summary} for summary in summaries]
    identity = f"rs_{index}"
    return [
        added(index, "reasoning", id=identity, summary=[], encrypted_content="EARLY"),
        *said,
        done(index, "reasoning", id=identity, summary=summary, encrypted_content=cipher, **fields),
    ]


def called(index: int, name: str, call_id: str, *pieces: str, **fields: Any) -> list[Object]:
    item = {"id": f"fc_{index}", "call_id": call_id, "name": name, **fields}
    return [
        added(index, "function_call", arguments="", **item),
        *deltas("function_call_arguments", index, *pieces),
        done(index, "function_call", arguments="".join(pieces), status="completed", **item),
    ]


def sse(*events: Object | bytes) -> bytes:
    lines = []
    for said in events:
        if isinstance(said, bytes):
            lines.append(b"data: " + said + b"\n\n")
        else:
            name = said.get("type") if isinstance(said.get("type"), str) else "x"
            lines.append(b"event: " + str(name).encode() + b"\ndata: " + dumps(said) + b"\n\n")
    return b"".join(lines)


def reply(*events: Object, **fields: Any) -> bytes:
    return sse(begin(), *events, finish(**fields))


# What is made of them.


def decode(data: bytes) -> list[Object]:
    """The records of a stream, which are the same however it is cut, each of them checked."""
    return decoding.decoded(lambda: Decoder(ISSUER), data, ISSUER)


def whole(records: list[Object], issuer: str = ISSUER) -> Object:
    return decoding.whole(records, issuer)


def parts(*events: Object, **fields: Any) -> list[Object]:
    found: list[Object] = whole(decode(reply(*events, **fields)))["parts"]
    return found


def own(**fields: Any) -> Object:
    return {"provider_metadata": {ISSUER: fields}}


def asked(*records: Object, model: str = "gpt-x", **fields: Any) -> Object:
    """The body of a request; what it cannot say stands in `notices`."""
    http, notices = encode(Conversation(records), request_to("openai-responses", model, ISSUER, **fields))
    for notice in notices:
        check_record(notice)
    body: Object = json.loads(http.body)
    return {**body, "notices": [notice["message"] for notice in notices]}


def said(*records: Object, **fields: Any) -> list[Object]:
    found: list[Object] = asked(*records, **fields)["input"]
    return found


def items(*records: Object, **fields: Any) -> list[Object]:
    """The items of the model's message, which a message of the user's follows."""
    [*found, last] = said(*records, user("go on"), **fields)
    assert last == {"type": "message", "role": "user", "content": "go on"}
    return found


def sent_back(*events: Object, **fields: Any) -> list[Object]:
    return items(whole(decode(reply(*events, **fields))))


class TestTextAndEnd:
    def test_a_plain_reply(self) -> None:
        assert decode(reply(*text(0, "Hel", "", "lo"))) == [
            {"type": "start", "response_id": "resp_1"},
            {"type": "text", "chunk": "Hel", "part_index": 0},
            {"type": "text", "chunk": "lo", "part_index": 0},
            {"type": "text", "chunk": "", "part_index": 0, **own(id="msg_0", status="completed")},
            {
                "type": "end",
                "status": "ok",
                "finish_reason": "stop",
                "finish_reason_raw": "completed",
                "usage": {"input": 3, "output": 7},
                "model_served": "gpt-x",
                "details": {ISSUER: {"usage": {"input_tokens": 3, "output_tokens": 7, "total_tokens": 10}}},
            },
        ]

    def test_several_contents_of_one_item_are_parts_that_go_back_together(self) -> None:
        content: list[Object] = [output_text("One."), output_text("Two."), {"type": "refusal", "refusal": "No."}]
        said = parts(done(0, "message", id="msg_0", role="assistant", content=content))
        assert said == [
            {"type": "text", "text": "One.", **own(id="msg_0")},
            {"type": "text", "text": "Two.", **own(of="msg_0")},
            {"type": "refusal", "text": "No.", **own(of="msg_0")},
        ]
        assert items(assistant(*said)) == [{"type": "message", "role": "assistant", "id": "msg_0", "content": content}]

    def test_a_refusal(self) -> None:
        records = decode(
            reply(
                added(0, "message", id="msg_0"),
                *deltas("refusal", 0, "I can", "not.", content_index=0),
                done(0, "message", id="msg_0", content=[{"type": "refusal", "refusal": "I cannot."}]),
            )
        )
        assert [record["chunk"] for record in records if record["type"] == "refusal"] == ["I can", "not.", ""]
        assert end(records)["finish_reason"] == "refusal"

    def test_phases_are_told_with_the_first_chunk_and_go_back(self) -> None:
        events = [*text(0, "Let me", " see.", phase="commentary"), *text(1, "42", phase="final_answer")]
        records = decode(reply(*events))
        phases = [record.get("phase") for record in records if record["type"] == "text"]
        assert phases == ["commentary", None, None, "answer", None]
        assert [item["phase"] for item in sent_back(*events)] == ["commentary", "final_answer"]

    def test_a_phase_that_comes_with_the_whole_item(self) -> None:
        events = text(0, "a")
        events[-1]["item"]["phase"] = "commentary"
        [part] = parts(*events)
        assert part["phase"] == "commentary"

    def test_a_phase_nobody_knows_goes_back_as_it_came(self) -> None:
        [part] = parts(*text(0, "a", phase="overture"))
        assert "phase" not in part
        assert sent_back(*text(0, "a", phase="overture"))[0]["phase"] == "overture"

    def test_annotations_are_placed_by_code_points_and_said_once(self) -> None:
        cited: Object = {"type": "url_citation", "url": "http://a", "title": "A", "start_index": 0, "end_index": 6}
        document: Object = {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 3}
        events = text(0, "Kraków", " 東京", annotations=(cited, cited, document))
        events[3:3] = [event("output_text.annotation.added", 0, content_index=0, annotation=cited)]
        [part] = parts(*events)
        placed = {"kind": "url_citation", "url": "http://a", "title": "A", "start": 0, "end": 6}
        assert part["annotations"] == [
            placed,
            placed,
            {"kind": "file_citation", "title": "a.pdf", **own(file_id="file-1", index=3)},
        ]
        assert sent_back(*events)[0]["content"][0]["annotations"] == [cited, cited, document]

    def test_a_source_without_a_place_is_one_of_the_whole_text(self) -> None:
        annotation: Object = {"type": "url_citation", "url": "http://a", "start_index": 0, "end_index": 0}
        [part] = parts(*text(0, "a", annotations=(annotation,)))
        assert part["annotations"] == [{"kind": "url_citation", "url": "http://a", **own(start_index=0, end_index=0)}]
        assert sent_back(*text(0, "a", annotations=(annotation,)))[0]["content"][0]["annotations"] == [annotation]

    def test_what_only_the_whole_text_has_is_said_in_the_end(self) -> None:
        events = text(0, "Hel", "lo there")
        del events[2]
        assert [part["text"] for part in parts(*events)] == ["Hello there"]

    def test_a_text_without_chunks(self) -> None:
        events = text(0, "Hello")
        del events[1]
        assert [part["text"] for part in parts(*events)] == ["Hello"]
        shown = event("output_text.done", 0, content_index=0, text="Hello")
        records = decode(reply(added(0, "message"), shown))
        assert [record["chunk"] for record in records if record["type"] == "text"] == ["Hello"]

    def test_chunks_that_lack_the_middle_are_replaced(self) -> None:
        cited: Object = {"type": "url_citation", "url": "http://a"}
        events = text(0, "One ", "two ", "three", annotations=(cited,), phase="final_answer")
        events[2:3] = [event("output_text.annotation.added", 0, content_index=0, annotation=cited)]
        records = decode(reply(*events))
        assert kinds(records) == ["start", "text", "annotation", "text", "part", "text", "end"]
        [part] = whole(records)["parts"]
        assert (part["text"], part["phase"]) == ("One two three", "answer")
        assert part["annotations"] == [{"kind": "url_citation", "url": "http://a"}]
        assert part["provider_metadata"][ISSUER]["id"] == "msg_0"

    def test_an_empty_message_goes_back_too(self) -> None:
        for content in ([output_text("")], []):
            item: Object = {"type": "message", "id": "msg_0", "role": "assistant", "content": content}
            assert sent_back(done(0, **item)) == [item]

    def test_a_content_nobody_knows_is_kept(self) -> None:
        content: list[Object] = [output_text("a"), {"type": "output_smell", "smell": "rose"}]
        item: Object = {"type": "message", "id": "msg_0", "role": "assistant", "content": content}
        assert [part["type"] for part in parts(done(0, **item))] == ["text", "output_smell"]
        assert sent_back(done(0, **item)) == [item]
        item["content"] = content[1:]
        assert sent_back(done(0, **item)) == [item]

    def test_log_probabilities_are_details(self) -> None:
        events = text(0, "a")
        events[-1]["item"]["content"][0]["logprobs"] = [{"token": "a", "logprob": -0.5}]
        records = decode(reply(*events))
        assert end(records)["details"][ISSUER]["logprobs"] == [{"token": "a", "logprob": -0.5}]
        assert "logprobs" not in json.dumps(sent_back(*events))

    @pytest.mark.parametrize(
        ("fields", "reason", "raw"),
        [
            ({"kind": "completed"}, "stop", "completed"),
            ({"kind": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length", ...),
            ({"kind": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter", None),
            ({"kind": "incomplete", "incomplete_details": None}, "length", "incomplete"),
        ],
    )
    def test_how_it_ends(self, fields: Object, reason: str, raw: Any) -> None:
        last = end(decode(reply(*text(0, "a"), **fields)))
        assert last["finish_reason"] == reason
        assert last.get("finish_reason_raw") == ("max_output_tokens" if raw is ... else raw)

    def test_what_the_response_says_beside_is_details(self) -> None:
        told: Object = {"service_tier": "flex", "tools": [{"type": "function"}], "temperature": 1, "error": None}
        last = {**finish(**told), "copilot_usage": {"total": 1}}
        details = end(decode(sse(begin(), *text(0, "a"), last)))["details"][ISSUER]
        assert details.keys() == {"service_tier", "copilot_usage", "usage"}

    def test_what_the_vendor_left_out_of_the_request_is_told(self) -> None:
        changed = {"type": "reasoning", "action": "removed", "reason": "model_mismatch"}
        records = decode(reply(*text(0, "a"), input_transformations=[changed]))
        assert records[-2]["message"] == "the provider changed the input: reasoning removed model_mismatch"
        assert end(records)["details"][ISSUER]["input_transformations"] == [changed]

    def test_usage_in_our_words(self) -> None:
        usage: Object = {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 5},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 150,
        }
        details = {"cached": 60, "cache_write": 5, "reasoning": 20}
        counted = {"input": 100, "output": 50, "details": details}
        assert end(decode(reply(usage=usage)))["usage"] == counted
        left_out = {**usage, "output_tokens": 30}
        assert end(decode(reply(usage=left_out)))["usage"] == counted
        assert "usage" not in end(decode(reply(usage=None)))

    def test_no_event_of_a_part_is_a_reply_without_parts(self) -> None:
        assert parts() == []


class TestReasoning:
    def test_several_summaries_are_parts_of_one_item(self) -> None:
        said = parts(*reasoning(0, "One.", "Two."), *text(1, "a"))
        assert said[:2] == [
            {"type": "reasoning", "text": "One.", **own(id="rs_0", encrypted_content="CIPHER")},
            {"type": "reasoning", "text": "Two.", **own(of="rs_0")},
        ]
        item = sent_back(*reasoning(0, "One.", "Two."), *text(1, "a"))[0]
        assert item == {
            "type": "reasoning",
            "id": "rs_0",
            "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
            "encrypted_content": "CIPHER",
        }

    def test_a_final_ciphertext_replaces_an_earlier_one(self) -> None:
        events = reasoning(0, "Hm.")
        assert events[0]["item"]["encrypted_content"] == "EARLY"
        assert "EARLY" not in json.dumps(decode(reply(*events)))
        assert sent_back(*events)[0]["encrypted_content"] == "CIPHER"

    def test_the_ciphertext_of_the_last_event_is_another_and_not_taken(self) -> None:
        other = {"type": "reasoning", "id": "rs_0", "summary": [], "encrypted_content": "LAST"}
        assert "LAST" not in json.dumps(decode(reply(*reasoning(0), output=[other])))

    def test_a_ciphertext_that_only_the_last_event_has_is_taken(self) -> None:
        """Some gateways leave it out of the item."""
        for events in (reasoning(0, "Hm.", "So.", cipher=""), reasoning(0, cipher="")):
            other = {**events[-1]["item"], "encrypted_content": "LAST"}
            [item] = sent_back(*events, output=[other])
            assert item == other

    def test_a_ciphertext_comes_after_its_text(self) -> None:
        records = decode(reply(*reasoning(0, "Hm."), *text(1, "a")))
        assert [record["chunk"] for record in records if record["type"] == "reasoning"] == ["", "Hm.", ""]
        assert "encrypted_content" in records[3]["provider_metadata"][ISSUER]

    def test_hidden_reasoning_is_redacted_and_keeps_its_place(self) -> None:
        events = [*reasoning(0), *text(1, "a")]
        events = [events[0], *events[2:], events[1]]  # done out of order
        hidden, answer = parts(*events)
        metadata = own(id="rs_0", encrypted_content="CIPHER")
        assert hidden == {"type": "reasoning", "text": "", "redacted": True, **metadata}
        assert answer["text"] == "a"
        assert [item["type"] for item in sent_back(*events)] == ["reasoning", "message"]

    def test_two_items_in_a_row_stay_two(self) -> None:
        events = [*reasoning(0, "One.", cipher="A"), *reasoning(1, "Two.", cipher="B"), *text(2, "a")]
        assert [item.get("encrypted_content") for item in sent_back(*events)] == ["A", "B", None]

    def test_open_reasoning_goes_back_in_the_content(self) -> None:
        item: Object = {"id": "rs_0", "content": [{"type": "reasoning_text", "text": "Hmm."}], "summary": []}
        events = [
            added(0, "reasoning", id="rs_0"),
            *deltas("reasoning_text", 0, "Hm", "m.", content_index=0),
            done(0, "reasoning", **item),
        ]
        [part] = parts(*events)
        assert part == {"type": "reasoning", "text": "Hmm.", **own(id="rs_0", block={"type": "reasoning_text"})}
        assert sent_back(*events) == [{"type": "reasoning", **item}]

    def test_a_summary_beside_an_open_text(self) -> None:
        item: Object = {
            "type": "reasoning",
            "id": "rs_0",
            "summary": [{"type": "summary_text", "text": "Short."}],
            "content": [{"type": "reasoning_text", "text": "Long."}],
        }
        assert sent_back(done(0, **item)) == [item]

    def test_reasoning_without_ciphertext_is_left_out_and_told(self) -> None:
        message = whole(decode(reply(*reasoning(0, "Hm.", cipher=""), *text(1, "a"))))
        body = asked(message, user("q"))
        assert [item["type"] for item in body["input"]] == ["message", "message"]
        assert body["notices"] == ["reasoning of a reply was not sent: it has no ciphertext of this provider"]
        stored = asked(message, user("q"), options={"store": True})
        assert (stored["input"][0]["id"], stored["notices"]) == ("rs_0", [])

    def test_reasoning_that_was_cut_off_is_left_out(self) -> None:
        cut = sse(begin(), *reasoning(0, "Hm.")[:-1])
        assert items(whole(decode(cut))) == []


class TestCalls:
    def test_parallel_calls_whose_arguments_interleave(self) -> None:
        one, other = called(0, "add", "call_a", '{"a":', "1}"), called(1, "mul", "call_b", '{"b":', "2}")
        events = [one[0], other[0], one[1], other[1], other[2], one[2], other[3], one[3]]
        said = parts(*events)
        assert [(part["name"], part["arguments"], part["tool_call_id"]) for part in said] == [
            ("add", {"a": 1}, "call_a"),
            ("mul", {"b": 2}, "call_b"),
        ]
        assert end(decode(reply(*events)))["finish_reason"] == "tool_calls"
        assert [item["arguments"] for item in sent_back(*events)] == ['{"a":1}', '{"b":2}']

    def test_arguments_go_back_as_they_were_written(self) -> None:
        odd = '{"b": 1.0, "a": 18446744073709551616}'
        [item] = sent_back(*called(0, "f", "call_a", odd))
        assert item == {
            "type": "function_call",
            "id": "fc_0",
            "call_id": "call_a",
            "name": "f",
            "arguments": odd,
            "status": "completed",
        }

    def test_arguments_that_come_only_when_they_are_done(self) -> None:
        """LM Studio sends no deltas."""
        events = called(0, "f", "call_a", '{"a":1}')
        events[1:2] = [event("function_call_arguments.done", 0, arguments='{"a":1}')]
        events[-1]["item"].pop("arguments")
        assert parts(*events)[0]["arguments"] == {"a": 1}

    def test_arguments_that_the_chunks_have_otherwise_are_replaced(self) -> None:
        events = called(0, "f", "call_a", '{"a":1}')
        events[1]["delta"] = '{"b"'
        records = decode(reply(*events))
        assert "part" in kinds(records)
        [part] = whole(records)["parts"]
        assert (part["name"], part["arguments"], part["tool_call_id"]) == ("f", {"a": 1}, "call_a")
        assert part["provider_metadata"][ISSUER]["id"] == "fc_0"

    def test_no_arguments_are_an_empty_object(self) -> None:
        [part] = parts(*called(0, "f", "call_a"))
        assert (part["arguments"], "exception" in part) == ({}, False)

    def test_broken_arguments_keep_the_call_from_running(self) -> None:
        [part] = parts(*called(0, "f", "call_a", '{"a":'))
        assert part["arguments_raw"] == '{"a":'
        assert part["exception"].startswith("invalid arguments")

    def test_two_calls_with_one_id_are_told_apart(self) -> None:
        events = [*called(0, "f", "call_a", "{}"), *called(1, "f", "call_a", "{}")]
        assert [part["tool_call_id"] for part in parts(*events)] == ["call_a", "~1"]
        ids = [item["call_id"] for item in sent_back(*events)]
        assert len(set(ids)) == 2

    def test_a_call_without_an_id(self) -> None:
        events = called(0, "f", "")
        assert parts(*events)[0]["tool_call_id"] == "~0"

    def test_the_input_of_a_custom_tool_is_free_text(self) -> None:
        source = 'SELECT "a"\n-- \\ 東京 \x1f'
        item: Object = {"id": "ctc_0", "call_id": "call_a", "name": "sql"}
        events = [
            added(0, "custom_tool_call", input="", **item),
            *deltas("custom_tool_call_input", 0, source[:9], source[9:]),
            event("custom_tool_call_input.done", 0, input=source),
            done(0, "custom_tool_call", input=source, status="completed", **item),
        ]
        records = decode(reply(*events))
        assert "".join(r["chunk"] for r in records if r["type"] == "tool_call_args") == json.dumps(
            {"input": source}, ensure_ascii=False, separators=(",", ":")
        )
        [part] = whole(records)["parts"]
        assert (part["arguments"], "arguments_raw" in part) == ({"input": source}, False)
        assert sent_back(*events) == [{"type": "custom_tool_call", "input": source, "status": "completed", **item}]

    def test_a_custom_input_without_chunks_and_one_that_differs(self) -> None:
        item: Object = {"id": "ctc_0", "call_id": "call_a", "name": "sql", "input": "abc"}
        assert parts(done(0, "custom_tool_call", **item))[0]["arguments"] == {"input": "abc"}
        chunks = deltas("custom_tool_call_input", 0, "x")
        events = [added(0, "custom_tool_call", **{**item, "input": ""}), *chunks, done(0, "custom_tool_call", **item)]
        assert parts(*events)[0]["arguments"] == {"input": "abc"}

    def test_the_result_of_a_custom_tool_has_its_own_item(self) -> None:
        message = whole(decode(reply(done(0, "custom_tool_call", id="c", call_id="call_a", name="sql", input="x"))))
        answer = said(message, results(("call_a", "3 rows")))[-1]
        assert answer == {"type": "custom_tool_call_output", "call_id": "call_a", "output": "3 rows"}

    def test_a_namespace_goes_back(self) -> None:
        assert sent_back(*called(0, "f", "call_a", "{}", namespace="ns"))[0]["namespace"] == "ns"

    @pytest.mark.parametrize(
        ("item", "name", "arguments", "output"),
        [
            (
                {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"], "env": {}}},
                "local_shell",
                {"type": "exec", "command": ["ls"], "env": {}},
                {"type": "local_shell_call_output", "id": "call_a", "output": "done"},
            ),
            (
                {"type": "shell_call", "action": {"commands": ["ls"]}, "environment": {"type": "local"}},
                "shell",
                {"commands": ["ls"]},
                {
                    "type": "shell_call_output",
                    "call_id": "call_a",
                    "output": [{"stdout": "done", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
                },
            ),
            (
                {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
                "apply_patch",
                {"type": "delete_file", "path": "a"},
                {"type": "apply_patch_call_output", "call_id": "call_a", "status": "completed", "output": "done"},
            ),
            (
                {"type": "computer_call", "action": {"type": "click", "x": 1, "y": 2}},
                "computer",
                {"type": "click", "x": 1, "y": 2},
                {"type": "computer_call_output", "call_id": "call_a", "output": {"type": "computer_screenshot"}},
            ),
            (
                {"type": "computer_call", "actions": [{"type": "wait"}]},
                "computer",
                {"actions": [{"type": "wait"}]},
                {"type": "computer_call_output", "call_id": "call_a", "output": {"type": "computer_screenshot"}},
            ),
        ],
    )
    def test_what_is_ours_to_run_is_a_call(self, item: Object, name: str, arguments: Object, output: Object) -> None:
        item = {**item, "id": "x_0", "call_id": "call_a", "status": "completed"}
        records = decode(reply(added(0, **{**item, "status": "in_progress"}), done(0, **item)))
        message = whole(records)
        [part] = message["parts"]
        assert (part["name"], part["arguments"], part["tool_call_id"]) == (name, arguments, "call_a")
        assert "server_executed" not in part
        assert end(records)["finish_reason"] == "tool_calls"
        assert said(message, results(("call_a", "done"))) == [item, output]

    def test_a_failed_shell_a_failed_patch_and_a_screen(self) -> None:
        for kind, field in (("shell_call", "action"), ("apply_patch_call", "operation")):
            message = whole(decode(reply(done(0, kind, id="x", call_id="call_a", **{field: {"a": 1}}))))
            answer = said(message, results(("call_a", ""), exception="no such file"))[-1]
            assert "Error: no such file" in json.dumps(answer)
            assert '"exit_code": 1' in json.dumps(answer) or answer["status"] == "failed"
        message = whole(decode(reply(done(0, "computer_call", id="x", call_id="call_a", action={"type": "wait"}))))
        screen = {"type": "image/png", "content": PNG}
        answer = said(message, results(("call_a", ""), attachments=[screen]))[-1]
        assert answer["output"] == {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PNG}"}


class TestHostedTools:
    def test_adjacent_items_each_stay_one(self) -> None:
        searches: list[Object] = [
            {"type": "web_search_call", "id": f"ws_{place}", "status": "completed", "action": {"query": query}}
            for place, query in enumerate(("a", "b"))
        ]
        events = [
            said
            for place, item in enumerate(searches)
            for said in (
                added(place, "web_search_call", id=f"ws_{place}", status="in_progress"),
                event("web_search_call.searching", place, item_id=f"ws_{place}"),
                done(place, **item),
            )
        ]
        said = parts(*events, *text(2, "a"))
        assert [(part["type"], part.get("arguments")) for part in said[:2]] == [
            ("tool_call", {"query": "a"}),
            ("tool_call", {"query": "b"}),
        ]
        assert all(part["server_executed"] for part in said[:2])
        assert end(decode(reply(*events)))["finish_reason"] == "stop"
        assert sent_back(*events, *text(2, "a"))[:2] == searches

    def test_the_sources_of_a_search_are_its_result(self) -> None:
        action: Object = {"type": "search", "query": "q", "sources": [{"type": "url", "url": "http://a"}]}
        item: Object = {"type": "web_search_call", "id": "ws_0", "status": "completed", "action": action}
        searched, found = parts(done(0, **item))
        assert searched["arguments"] == {"type": "search", "query": "q"}
        assert (found["type"], found["output"], found["tool_call_id"]) == ("tool_result", "http://a", "ws_0")
        assert found["provider_metadata"] == {ISSUER: {"of": "ws_0"}}
        assert sent_back(done(0, **item)) == [item]

    def test_a_search_in_another_servers_words(self) -> None:
        item: Object = {"type": "web_search_call", "id": "fc_0", "name": "web_search", "arguments": '{"query": "q"}'}
        [part] = parts(done(0, **item))
        assert (part["name"], part["arguments"]) == ("web_search", {"query": "q"})
        assert sent_back(done(0, **item)) == [item]

    def test_code_is_streamed_and_its_logs_are_read(self) -> None:
        item: Object = {"type": "code_interpreter_call", "id": "ci_0", "code": 'print("a")', "container_id": "cntr_1"}
        whole_item: Object = {
            **item,
            "outputs": [{"type": "logs", "logs": "a\n"}, {"type": "image", "url": "http://i"}],
        }
        events = [
            added(0, "code_interpreter_call", id="ci_0", code=""),
            *deltas("code_interpreter_call_code", 0, "print(", '"a")'),
            event("code_interpreter_call_code.done", 0, code='print("a")'),
            done(0, **whole_item),
        ]
        ran, output = parts(*events)
        assert (ran["name"], ran["arguments"]) == ("code_interpreter", {"code": 'print("a")'})
        assert output["output"] == "a\nhttp://i"
        assert sent_back(*events) == [whole_item]

    def test_files_that_were_found(self) -> None:
        found = [{"filename": "a.pdf", "file_id": "file-1", "score": 0.5, "text": "An a."}]
        item: Object = {"type": "file_search_call", "id": "fs_0", "queries": ["a", "b"], "results": found}
        searched, output = parts(done(0, **item))
        assert searched["arguments"] == {"queries": ["a", "b"]}
        assert output["output"] == "a.pdf\nAn a."
        assert sent_back(done(0, **item)) == [item]

    def test_calls_through_mcp_and_the_list_of_their_tools(self) -> None:
        tools: Object = {"type": "mcp_list_tools", "id": "mcpl_0", "server_label": "s", "tools": [{"name": "t"}]}
        item: Object = {"type": "mcp_call", "id": "mcp_1", "name": "t", "server_label": "s", "arguments": '{"a": 1}'}
        answered: Object = {**item, "output": "It is done."}
        asks: Object = {
            "type": "mcp_approval_request",
            "id": "mcpr_3",
            "name": "t",
            "arguments": "{}",
            "server_label": "s",
        }
        failed: Object = {**item, "id": "mcp_2", "error": {"type": "mcp_protocol_error", "message": "no"}}
        events = [
            done(0, **tools),
            added(1, "mcp_call", id="mcp_1", name="t", arguments=""),
            *deltas("mcp_call_arguments", 1, '{"a": 1}'),
            done(1, **answered),
            done(2, **failed),
            done(3, **asks),
        ]
        said = parts(*events)
        assert [part["type"] for part in said] == [
            "mcp_list_tools",
            "tool_call",
            "tool_result",
            "tool_call",
            "tool_result",
            "tool_call",
        ]
        assert said[5]["needs_approval"] is True
        assert (said[2]["output"], said[4]["exception"]) == ("It is done.", "no")
        assert "output" not in said[1]["provider_metadata"][ISSUER]
        assert sent_back(*events) == [tools, answered, failed, asks]

    @pytest.mark.parametrize(
        ("fields", "answer"),
        [({}, {"approve": True}), ({"exception": "no"}, {"approve": False, "reason": "Error: no"})],
    )
    def test_the_answer_to_a_request_for_approval(self, fields: Object, answer: Object) -> None:
        asks: Object = {"type": "mcp_approval_request", "id": "mcpr_3", "name": "t", "arguments": "{}"}
        found = parts(done(0, **asks, server_label="s"))
        result = {"type": "tool_result", "name": "t", "output": "", "tool_call_id": "mcpr_3", **fields}
        sent = items(user("hi"), assistant(*found), {"type": "message", "role": "tool", "parts": [result]})
        assert sent[-1] == {"type": "mcp_approval_response", "approval_request_id": "mcpr_3", **answer}

    @pytest.mark.parametrize(
        ("tools", "is_served"),
        [
            ([{"type": "x_search"}], True),
            ([], True),
            ([{"type": "x_search"}, {"type": "custom", "name": "run"}], False),
            (None, False),
        ],
    )
    def test_a_custom_call_without_a_custom_tool_is_the_servers(self, tools: Any, is_served: bool) -> None:
        item: Object = {"type": "custom_tool_call", "id": "c_1", "call_id": "xs_1", "name": "x_search", "input": "cats"}
        response = {
            "id": "resp_1",
            "status": "in_progress",
            "output": [],
            **({} if tools is None else {"tools": tools}),
        }
        begun: Object = {"type": "response.created", "response": response}
        events = [begun, added(0, "custom_tool_call", call_id="xs_1", name="x_search"), done(0, **item)]
        records = decode(sse(*events, finish(output=[item])))
        [part] = whole(records)["parts"]
        assert part.get("server_executed", False) is is_served
        assert end(records)["finish_reason"] == ("stop" if is_served else "tool_calls")

    def test_a_tool_search_of_the_clients_is_answered_with_tools(self) -> None:
        item: Object = {"type": "tool_search_call", "id": "ts", "execution": "client", "arguments": {"q": "weather"}}
        begun = added(0, "tool_search_call", id="ts", call_id="call_A", execution="client")
        found = parts(begun, done(0, **item, call_id="call_B"))
        assert (found[0]["tool_call_id"], found[0].get("server_executed")) == ("call_B", None)
        tools = [{"type": "function", "name": "weather", "parameters": {}}]
        result = {"type": "tool_result", "name": "tool_search", "output": json.dumps(tools), "tool_call_id": "call_B"}
        *_, call_item, answer = items(
            user("hi"), assistant(*found), {"type": "message", "role": "tool", "parts": [result]}
        )
        assert call_item == {**item, "call_id": "call_B"}
        assert answer == {
            "type": "tool_search_output",
            "call_id": "call_B",
            "execution": "client",
            "tools": tools,
        }

    def test_a_result_says_who_called(self) -> None:
        caller = {"type": "program", "caller_id": "p_1"}
        item: Object = {"type": "function_call", "id": "fc", "call_id": "c_1", "name": "f", "arguments": "{}"}
        found = parts(done(0, **item, caller=caller))
        answer = items(user("hi"), assistant(*found), results(("c_1", "42")))[-1]
        assert answer == {"type": "function_call_output", "call_id": "c_1", "output": "42", "caller": caller}

    def test_a_refusal_keeps_its_phase(self) -> None:
        content = [{"type": "refusal", "refusal": "no"}]
        item: Object = {"type": "message", "id": "m", "role": "assistant", "phase": "final_answer", "content": content}
        assert sent_back(done(0, **item)) == [item]

    def test_a_shell_of_the_servers_and_its_output(self) -> None:
        ran: Object = {
            "type": "shell_call",
            "id": "sh_0",
            "call_id": "call_a",
            "action": {"commands": ["ls"], "timeout_ms": None},
            "environment": {"type": "container_reference", "container_id": "c"},
        }
        outcome: Object = {"outcome": {"type": "exit", "exit_code": 0}, "stdout": "a.txt\n", "stderr": ""}
        output: Object = {"type": "shell_call_output", "id": "sho_0", "call_id": "call_a", "output": [outcome]}
        commands = [
            event("shell_call_command.added", 0, command="", command_index=0),
            event("shell_call_command.delta", 0, delta="ls", command_index=0),
        ]
        first: Object = {name: value for name, value in ran.items() if name != "environment"}
        events = [added(0, **first), *commands, done(0, **ran), done(1, **output), *text(2, "a")]
        shell, listed, _ = parts(*events)
        assert shell["server_executed"] is True
        assert (listed["output"], listed["tool_call_id"], listed["server_executed"]) == ("a.txt", "call_a", True)
        assert sent_back(*events)[:2] == [ran, output]
        assert end(decode(reply(*events)))["finish_reason"] == "stop"

    def test_tools_that_were_searched_for(self) -> None:
        search: Object = {
            "type": "tool_search_call",
            "id": "tsc_0",
            "arguments": {"paths": ["f"]},
            "execution": "server",
        }
        found: Object = {"type": "tool_search_output", "id": "tso_0", "tools": [{"type": "function", "name": "f"}]}
        said = parts(done(0, **search, call_id=None), done(1, **found, call_id=None))
        assert said[0]["tool_call_id"] == said[1]["tool_call_id"] == "~0"
        assert said[1]["output"] == "f"
        assert sent_back(done(0, **search, call_id=None), done(1, **found, call_id=None)) == [search, found]

    def test_an_image_is_an_attachment_which_replaces_the_first_sight_of_it(self) -> None:
        early = b64encode(b"\x89PNG early").decode()
        item: Object = {
            "type": "image_generation_call",
            "id": "ig_0",
            "status": "completed",
            "result": PNG,
            "size": "1x1",
        }
        events = [
            added(0, "image_generation_call", id="ig_0", status="in_progress"),
            event("image_generation_call.partial_image", 0, partial_image_b64=early, partial_image_index=0),
            done(0, **item),
        ]
        records = decode(reply(*events))
        shown = [record["attachment"]["content"] for record in records if record["type"] == "attachment"]
        assert shown == [early, PNG]
        [part] = whole(records)["parts"]
        assert part["attachment"] == {"type": "image/png", "content": PNG}
        assert "result" not in part["provider_metadata"][ISSUER]
        assert sent_back(*events) == [item]

    def test_an_image_that_failed_is_kept_as_it_is(self) -> None:
        item: Object = {"type": "image_generation_call", "id": "ig_0", "status": "failed", "result": None}
        [part] = parts(done(0, **item))
        assert part["type"] == "image_generation_call"

    @pytest.mark.parametrize("kind", ["compaction", "program", "text", "something_new"])
    def test_an_item_nobody_knows_is_kept_whole(self, kind: str) -> None:
        item: Object = {"type": kind, "id": "x_0", "encrypted_content": "OPAQUE", "inner": {"a": [1, None]}}
        first: Object = {**item, "encrypted_content": "EARLY"}
        events = [*text(0, "a"), added(1, **first), done(1, **item)]
        [_, part] = parts(*events)
        assert part["type"] not in ("text", "reasoning")
        assert part["provider_metadata"][ISSUER] == item
        assert sent_back(*events)[1] == item

    def test_a_call_of_the_servers_that_was_cut_off_is_left_out(self) -> None:
        cut = sse(begin(), added(0, "mcp_call", id="mcp_0", name="t"), *deltas("mcp_call_arguments", 0, '{"a":'))
        body = asked({**whole(decode(cut)), "response": {}}, user("q"))
        assert [item["type"] for item in body["input"]] == ["message"]
        assert len(body["notices"]) == 1

    def test_sound_is_an_attachment_and_what_it_says_a_text(self) -> None:
        wave = b64encode(b"RIFF....").decode()
        said = parts(
            {"type": "response.audio.transcript.delta", "delta": "Hel"},
            {"type": "response.audio.delta", "delta": wave},
            {"type": "response.audio.transcript.delta", "delta": "lo"},
            {"type": "response.audio.delta", "delta": b64encode(b"more").decode()},
            {"type": "response.audio.delta", "delta": "?"},
        )
        assert said[0]["text"] == "Hello"
        assert said[1]["attachment"] == {"type": "audio/wav", "content": b64encode(b"RIFF....more").decode()}


class TestServers:
    """What servers do otherwise than OpenAI."""

    def test_items_are_known_by_their_ids_where_no_index_comes(self) -> None:
        """llama.cpp sends neither output_index nor sequence_number."""
        one, other = called(0, "add", "call_a", '{"a":', "1}"), called(1, "mul", "call_b", '{"b":', "2}")
        events = [one[0], other[0], one[1], other[1], other[2], one[2], one[3], other[3], *text(2, "x", "y")]
        for said, identity in zip(events, ("fc_0", "fc_1", "fc_0", "fc_1", "fc_1", "fc_0"), strict=False):
            said["item_id"] = identity
        for said in events:
            said.pop("output_index")
        assert [part.get("arguments", part.get("text")) for part in parts(*events)] == [{"a": 1}, {"b": 2}, "xy"]

    def test_neither_index_nor_id(self) -> None:
        events = [*text(0, "Hel", "lo"), *called(1, "f", "call_a", "{}")]
        for said in events:
            said.pop("output_index"), said.pop("item_id", None), said.get("item", {}).pop("id", None)
        found = parts(*events)
        assert [(part["type"], part.get("text")) for part in found] == [("text", "Hello"), ("tool_call", None)]

    def test_ids_that_change_between_events_say_nothing(self) -> None:
        """GitHub Copilot gives every event another id."""
        events = [*reasoning(0, "One.", "Two."), *text(1, "Hel", "lo")]
        for place, said in enumerate(events):
            said["item_id"] = f"id-{place}"
            if "item" in said:
                said["item"]["id"] = f"id-{place}"
        output = [{**said["item"], "id": f"last-{said['item']['id']}"} for said in events if "done" in said["type"]]
        assert [part["text"] for part in parts(*events, output=output)] == ["One.", "Two.", "Hello"]
        thought, answer = sent_back(*events, output=output)
        assert (thought["id"], len(thought["summary"]), answer["id"]) == ("id-3", 2, "id-7")

    def test_an_item_that_is_never_done_is_taken_from_the_last_event(self) -> None:
        events = text(0, "Hel", "lo")
        item = events.pop()["item"]
        assert sent_back(*events, output=[item]) == [item]
        assert [part["text"] for part in parts(*events)] == ["Hello"]
        assert parts(output=[item])[0]["text"] == "Hello"

    def test_a_ciphertext_of_an_item_that_is_never_done_is_not_taken(self) -> None:
        begun = reasoning(0, "Hm.")[:-1]
        assert "EARLY" not in json.dumps(decode(reply(*begun)))

    def test_an_event_without_its_item(self) -> None:
        records = decode(reply(*deltas("output_text", 0, "Hi"), *deltas("reasoning_summary_text", 1, "Hm")))
        assert [part["type"] for part in whole(records)["parts"]] == ["text", "reasoning"]
        assert parts(*deltas("function_call_arguments", 0, "{}"))[0]["arguments"] == {}

    def test_unnamed_events_comments_and_done(self) -> None:
        lines = sse(*[dumps(said) for said in [begin(), *text(0, "Hi"), finish()]])
        data = b": PROCESSING\n\n" + lines + b"data: [DONE]\n\n"
        assert whole(decode(data))["parts"][0]["text"] == "Hi"
        decoder = Decoder(ISSUER)
        decoder.feed(b": PROCESSING\n\n")
        assert decoder.seen == 1

    def test_keepalive_and_what_is_new_say_nothing(self) -> None:
        events: list[Object] = [
            {"type": "keepalive", "sequence_number": 2},
            {"type": "response.new.delta", "delta": "x"},
            {},
        ]
        assert parts(*events, *text(0, "Hi"), *events) == parts(*text(0, "Hi"))

    def test_a_cut_character_is_joined_again(self) -> None:
        chunks = [rb'{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"%s"}']
        halves = [chunks[0] % half for half in (rb"\ud83d", rb"\ude00", rb" ok \ud83d")]
        records = decode(sse(begin(), added(0, "message", id="m"), *halves, finish()))
        assert [part["text"] for part in whole(records)["parts"]] == ["\U0001f600 ok \ufffd"]

    def test_a_whole_reply_in_the_place_of_events(self) -> None:
        body = finish(output=[text(0, "Hi")[-1]["item"]])["response"]
        assert decode(dumps(body)) == Decoder(ISSUER).body(dumps(body))
        assert decode(sse(body)) == Decoder(ISSUER).body(dumps(body))
        assert whole(decode(dumps(body)))["parts"][0]["text"] == "Hi"


_QUOTA: Object = {"code": "insufficient_quota", "message": "Pay."}
NESTED: Object = {"type": "error", "error": {"type": "insufficient_quota", **_QUOTA}}
FLAT: Object = {"type": "error", "param": None, **_QUOTA}
FAILED = finish("failed", error=_QUOTA)


class TestFailures:
    @pytest.mark.parametrize("last", [[NESTED], [FLAT], [FAILED], [NESTED, FAILED], [FLAT, FAILED]])
    def test_every_form_is_one_error(self, last: list[Object]) -> None:
        records = decode(sse(begin(), *text(0, "a"), *last))
        assert kinds(records).count("error") == 1
        assert records[-1]["type"] == "error"
        assert (records[-1]["message"], records[-1]["exit_status"]) == ("Pay.", 77)
        assert whole(records)["parts"][0]["text"] == "a"

    def test_an_error_with_no_name_and_no_words(self) -> None:
        for last in ({"type": "error"}, finish("failed", error=None), {"error": {"code": 500}}):
            assert decode(sse(begin(), last))[-1]["exit_status"] == 69

    def test_a_stream_that_ends_before_its_end_is_cut_off(self) -> None:
        decoder = Decoder(ISSUER)
        decoder.feed(sse(begin(), *text(0, "a")))
        assert [record["code"] for record in decoder.eof()] == ["truncated"]

    @pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
    def test_a_response_that_is_not_there_yet(self, status: str) -> None:
        [error] = Decoder(ISSUER).body(dumps(finish()["response"] | {"status": status}))
        assert (error["exit_status"], status in error["message"]) == (75, True)

    @pytest.mark.parametrize("body", [b"[]", b"{}", b'"x"', b'{"output":1}'])
    def test_a_body_that_is_nothing(self, body: bytes) -> None:
        [error] = Decoder(ISSUER).body(body)
        assert error["exit_status"] in (69, 76)

    def test_events_that_are_none(self) -> None:
        assert decode(sse(b"[1]"))[-1]["exit_status"] == 76
        assert decode(sse(begin(), b"{nonsense"))[-1]["exit_status"] in (75, 76)

    def test_an_error_response(self) -> None:
        failure = error_of(400, {}, dumps({"error": {"message": "No stop here.", "type": "invalid_request_error"}}))
        assert (failure.message, failure.exit_status) == ("No stop here.", 65)

    SAMPLES = (
        added(0, "message", id="m"),
        *text(0, "a")[1:],
        *reasoning(1, "b"),
        *called(2, "f", "call_a", "{}"),
        done(3, "web_search_call", id="ws", action={"query": "q", "sources": [{"url": "u"}]}),
        done(4, "mcp_call", id="mcp", name="t", arguments="{}", output="o", error=None),
        done(5, "image_generation_call", id="ig", result=PNG),
        done(6, "shell_call_output", id="o", call_id="c", output=[{"stdout": "x"}]),
        event("output_text.annotation.added", 0, annotation={"type": "url_citation", "url": "u"}),
        finish(output=[{"type": "message", "content": [output_text("a")]}]),
    )

    @QUICK
    @given(st.lists(mutations(st.sampled_from(SAMPLES)) | st.sampled_from(SAMPLES), max_size=8))
    def test_no_event_makes_anything_else_fail(self, events: list[Object]) -> None:
        records = decode(sse(begin(), *events, finish()))
        assert kinds(records)[-1] in ("end", "error")
        encode(Conversation([whole(records), user("q")]), Request("m", "m", ISSUER))
        for said in events:
            whole(Decoder(ISSUER).body(dumps(said)))


# What is asked.


class TestRequest:
    def test_a_plain_request(self) -> None:
        http, notices = encode(
            Conversation([user("Be brief.", role="system"), user("hi")]), Request("m", "gpt-x", ISSUER)
        )
        assert notices == []
        assert http.path == "/responses"
        assert http.headers == {"content-type": "application/json", "accept": "text/event-stream"}
        assert json.loads(http.body) == {
            "model": "gpt-x",
            "input": [
                {"type": "message", "role": "system", "content": "Be brief."},
                {"type": "message", "role": "user", "content": "hi"},
            ],
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "stream": True,
        }

    def test_no_stream(self) -> None:
        http, _ = encode(Conversation([user("hi")]), Request("m", "gpt-x", ISSUER, stream=False))
        assert http.headers["accept"] == "application/json"
        assert "stream" not in json.loads(http.body)

    @pytest.mark.parametrize(
        "model", ["gpt-4o", "gpt-4.1-mini", "openai/gpt-4o", "ft:gpt-4o:me", "gpt-3.5-turbo", "chatgpt-4o-latest"]
    )
    def test_models_that_do_not_reason_are_not_asked_for_its_ciphertext(self, model: str) -> None:
        assert "include" not in asked(user("hi"), model=model)
        assert asked(user("hi"), model=model, options={"include": ["x"]})["include"] == ["x"]

    @pytest.mark.parametrize("model", ["gpt-5", "gpt-5.6-sol", "o3", "openai/gpt-oss-20b", "gpt-40", "grok-4"])
    def test_others_are(self, model: str) -> None:
        assert asked(user("hi"), model=model)["include"] == ["reasoning.encrypted_content"]
        assert "include" not in asked(user("hi"), model=model, quirks=frozenset({"no_include"}))

    def test_what_a_tool_of_the_servers_gave_back_is_asked_for(self) -> None:
        tools = [
            {"type": "tool", "name": "web_search", **own(type="web_search")},
            {"type": "tool", "name": "code", **own(type="code_interpreter", container={"type": "auto"})},
        ]
        shown = ["web_search_call.action.sources", "code_interpreter_call.outputs"]
        assert asked(*tools, user("hi"))["include"] == ["reasoning.encrypted_content", *shown]
        more = asked(*tools, user("hi"), model="gpt-4o", options={"include": ["file_search_call.results", shown[0]]})
        assert more["include"] == [*shown, "file_search_call.results"]
        plain = asked(*tools, user("hi"), quirks=frozenset({"reasoning_include"}))
        assert plain["include"] == ["reasoning.encrypted_content"]

    def test_options_are_placed(self) -> None:
        given = {"max_tokens": 5, "verbosity": "low", "store": True, "include": None, "reasoning.summary": "detailed"}
        schema = {"type": "object", "properties": {}}
        body = asked(user("hi"), options=given, schema=schema, reasoning="low")
        assert (body["max_output_tokens"], body["store"]) == (5, True)
        assert "include" not in body
        assert body["text"].keys() == {"verbosity", "format"}
        assert body["reasoning"] == {"effort": "low", "summary": "detailed"}

    @pytest.mark.parametrize("name", ["stop", "seed"])
    def test_options_that_have_no_place_are_told(self, name: str) -> None:
        body = asked(user("hi"), options={name: "x"})
        assert name not in body
        assert name in body["notices"][0]

    def test_only_one_answer(self) -> None:
        with pytest.raises(UsageError, match="only one answer"):
            asked(user("hi"), options={"n": 2})
        assert "n" not in asked(user("hi"), options={"n": 1})

    def test_a_message_of_the_models_is_not_continued(self) -> None:
        with pytest.raises(UsageError, match="continued"):
            asked(user("hi"), assistant({"type": "text", "text": "Once"}))
        paused = assistant({"type": "text", "text": "Once"}, response={"finish_reason": "pause"})
        assert said(user("hi"), paused)[-1]["role"] == "assistant"

    @pytest.mark.parametrize(
        ("effort", "sent"),
        [("none", {"effort": "none"}), ("high", {"effort": "high", "summary": "auto"})],
    )
    def test_reasoning(self, effort: str, sent: Object) -> None:
        assert asked(user("hi"), reasoning=effort)["reasoning"] == sent
        assert "reasoning" not in asked(user("hi"))

    def test_a_schema(self) -> None:
        schema = {"title": "a b", "type": "object", "properties": {"a": {"type": "string"}}}
        closed = {**schema, "required": ["a"], "additionalProperties": False}
        form = asked(user("hi"), schema=schema)["text"]["format"]
        assert form == {"type": "json_schema", "name": "a_b", "schema": schema, "strict": False}
        assert asked(user("hi"), schema=closed)["text"]["format"]["strict"] is True
        body = asked(user("hi"), schema=schema, quirks=frozenset({"no_schema"}))
        assert ("text" in body, len(body["notices"])) == (False, 1)

    def test_tools_are_flat_and_say_whether_they_are_strict(self) -> None:
        closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
        tools: list[Object] = [
            {"type": "tool", "name": "add", "description": "Adds.", "input_schema": {"type": "object"}},
            {"type": "tool", "name": "go", "input_schema": closed},
            {"type": "tool", "name": "bare"},
            {"type": "tool", "name": "sql", "description": "Asks.", **own(type="custom", format={"type": "text"})},
            {"type": "tool", "name": "web_search", **own(type="web_search", search_context_size="low")},
            {"type": "tool", "name": "theirs", "provider_metadata": {"anthropic": {"type": "x"}}},
        ]
        body = asked(*tools, user("hi"))
        assert body["tools"] == [
            {
                "type": "function",
                "name": "add",
                "description": "Adds.",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            },
            {"type": "function", "name": "go", "parameters": closed, "strict": True},
            {"type": "function", "name": "bare", "parameters": {"type": "object", "properties": {}}, "strict": False},
            {"type": "custom", "name": "sql", "description": "Asks.", "format": {"type": "text"}},
            {"type": "web_search", "search_context_size": "low"},
        ]
        assert "theirs" in body["notices"][0]
        for choice, sent in (
            ("auto", "auto"),
            ("required", "required"),
            ("none", "none"),
            ("add", {"type": "function", "name": "add"}),
            ("sql", {"type": "custom", "name": "sql"}),
            ("web_search", {"type": "web_search"}),
        ):
            assert asked(*tools, user("hi"), tool_choice=choice)["tool_choice"] == sent

    def test_the_prompt_cache_has_a_key_that_the_next_turn_has_too(self) -> None:
        one = asked(user("a"), user("b"), cache_prompt=True)["prompt_cache_key"]
        assert one == asked(user("a"), assistant(), user("c"), cache_prompt=True)["prompt_cache_key"]
        assert one and "prompt_cache_key" not in asked(user("a"))


class TestInput:
    def test_attachments(self) -> None:
        image = {"type": "attachment", "attachment": {"type": "image/png", "content": PNG}}
        linked = {"type": "attachment", "attachment": {"url": "http://i"}}
        paper = {"type": "attachment", "attachment": {"type": "application/pdf", "name": "a.pdf", "content": "UERG"}}
        far = {"type": "attachment", "attachment": {"type": "application/pdf", "url": "http://p"}}
        note = {"type": "attachment", "attachment": {"type": "text/markdown", "content": "SGk="}}
        kept = {"type": "attachment", "attachment": {"type": "application/pdf"}, **own(file_id="file-1")}
        [message] = said(user("See:", image, linked, paper, far, note, kept))
        assert message["content"] == [
            {"type": "input_text", "text": "See:"},
            {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"},
            {"type": "input_image", "detail": "auto", "image_url": "http://i"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,UERG"},
            {"type": "input_file", "file_url": "http://p"},
            {"type": "input_text", "text": "Hi"},
            {"type": "input_file", "file_id": "file-1"},
        ]

    def test_metadata_of_a_part_adds_to_it(self) -> None:
        image = {"type": "attachment", "attachment": {"type": "image/png", "content": PNG}, **own(detail="low")}
        marked = {"type": "text", "text": "a", **own(prompt_cache_breakpoint={"mode": "explicit"})}
        [message] = said(user(marked, image))
        assert message["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
        assert message["content"][1]["detail"] == "low"

    def test_sound_has_no_place(self) -> None:
        sound = {"type": "attachment", "attachment": {"type": "audio/wav", "content": "UklGRg=="}}
        with pytest.raises(InputError, match="audio/wav"):
            asked(user("hi", sound))
        body = asked(user("hi", sound), drop_unsupported=True)
        assert body["input"][0]["content"] == "hi"
        assert "audio/wav" in body["notices"][0]

    def test_a_file_whose_bytes_were_not_read(self) -> None:
        with pytest.raises(InputError, match="not read"):
            asked(user({"type": "attachment", "attachment": {"type": "image/png", "path": "a.png", "sha256": "0"}}))

    def test_results_with_files_errors_and_words_behind_them(self) -> None:
        image = {"type": "image/png", "content": PNG}
        message = results(("call_a", "ok"), attachments=[image])
        message["parts"].append({"type": "text", "text": "So?"})
        sent = said(user("q"), assistant(call("f", "call_a")), message)
        assert sent[-2:] == [
            {
                "type": "function_call_output",
                "call_id": "call_a",
                "output": [
                    {"type": "input_text", "text": "ok"},
                    {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"},
                ],
            },
            {"type": "message", "role": "user", "content": "So?"},
        ]
        failed = said(assistant(call("f", "call_a")), results(("call_a", "half"), exception="it broke"))[-1]
        assert failed["output"] == "Error: it broke\nhalf"

    def test_late_system_messages_stand_where_they_stood(self) -> None:
        sent = said(user("q"), assistant({"type": "text", "text": "a"}), user("Be kind.", role="system"), user("r"))
        assert [item["role"] for item in sent] == ["user", "assistant", "system", "user"]

    def test_an_answer_to_a_question_of_the_servers(self) -> None:
        approval = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
        sent = said(user({"type": "mcp_approval_response", **own(**approval)}))
        assert sent == [approval]

    def test_ids_of_calls_are_unique_and_their_results_follow(self) -> None:
        odd = "a b/ü"
        records = [
            user("q"),
            assistant(call("f", odd), call("f", "x" * 65), call("f")),
            results((odd, "1"), ("x" * 65, "2"), ("~2", "3")),
            assistant(call("f", "call_a")),
            results(("call_a", "4")),
            assistant(call("f", "call_a")),
            results(("call_a", "5")),
        ]
        sent = said(*records)
        calls = [item["call_id"] for item in sent if item["type"] == "function_call"]
        answers = [item["call_id"] for item in sent if item["type"] == "function_call_output"]
        assert calls == answers
        assert len(set(calls)) == 5
        assert calls[3] == "call_a"
        assert all(len(call_id) <= 64 and call_id.isascii() for call_id in calls)
        assert said(*records) == sent

    def test_an_id_of_the_issuers_own_is_kept_whatever_it_is(self) -> None:
        events = called(0, "f", "resp_1:call_0", "{}")
        message = whole(decode(reply(*events)))
        sent = said(message, results(("resp_1:call_0", "1")))
        assert [item["call_id"] for item in sent] == ["resp_1:call_0", "resp_1:call_0"]


CANARY = "CANARY"


def foreign(**fields: Any) -> Object:
    return {"provider_metadata": {"anthropic": {"canary": CANARY, **fields}}}


class TestForeignHistory:
    """A conversation begun with another provider goes on here."""

    RECORDS = (
        {"type": "tool", "name": "add", "input_schema": {"type": "object"}, **foreign()},
        {"type": "tool", "name": "theirs", **foreign(type="web_search_20250305")},
        user("Be brief.", role="system"),
        {**user("q"), **foreign()},
        {
            **assistant(
                {"type": "reasoning", "text": f"{CANARY} thoughts", **foreign(signature=CANARY)},
                {"type": "reasoning", "text": "", "redacted": True, **foreign(data=CANARY)},
                {
                    "type": "text",
                    "text": "Let me ",
                    "annotations": [{"kind": "web_search_result_location", "url": f"http://{CANARY}", **foreign()}],
                    **foreign(),
                },
                {"type": "text", "text": "add."},
                call("search", "ws_1", server_executed=True, **foreign()),
                {
                    "type": "tool_result",
                    "name": "search",
                    "output": CANARY,
                    "tool_call_id": "ws_1",
                    "server_executed": True,
                    **foreign(),
                },
                call("add", "toolu_1", arguments={"a": 1}, arguments_raw='{"a": 1}', **foreign()),
                call("add", "toolu_2", arguments={"a": 2}, **foreign()),
                {"type": "container_upload", **foreign()},
                {"type": "attachment", "attachment": {"type": "image/png", "content": "cG5n"}, **foreign()},
            ),
            **foreign(container={"id": CANARY}),
            "response": {"provider": "anthropic", "id": CANARY, "model": "anthropic/x"},
        },
        results(("toolu_1", "one"), ("toolu_2", "two"), **foreign()),
    )

    def test_only_what_is_neutral_is_sent(self) -> None:
        body = asked(*self.RECORDS)
        assert CANARY not in json.dumps({name: value for name, value in body.items() if name != "notices"})
        assert body["input"][2:] == [
            {"type": "message", "role": "assistant", "content": "Let me add."},
            {"type": "function_call", "call_id": "toolu_1", "name": "add", "arguments": '{"a": 1}'},
            {"type": "function_call", "call_id": "toolu_2", "name": "add", "arguments": '{"a":2}'},
            {"type": "function_call_output", "call_id": "toolu_1", "output": "one"},
            {"type": "function_call_output", "call_id": "toolu_2", "output": "two"},
        ]
        assert [tool["name"] for tool in body["tools"]] == ["add"]

    def test_what_is_left_out_is_told(self) -> None:
        notices = asked(*self.RECORDS)["notices"]
        for word in (
            "tool theirs",
            "reasoning",
            "call of a reply",
            "tool_result",
            "container_upload",
            "file",
            "sources",
        ):
            assert any(word in notice for notice in notices), word
        assert CANARY not in "".join(notices)

    def test_a_phase_of_another_server_of_this_protocol_is_kept(self) -> None:
        said_there = [*text(0, "Let me see.", phase="commentary"), *text(1, "42", phase="final_answer")]
        message = whole(decode(reply(*said_there)))
        http, _ = encode(Conversation([message, user("q")]), Request("m", "m", "azure"))
        assert json.loads(http.body)["input"][:2] == [
            {"type": "message", "role": "assistant", "content": "Let me see.", "phase": "commentary"},
            {"type": "message", "role": "assistant", "content": "42", "phase": "final_answer"},
        ]

    def test_nothing_of_ours_goes_to_another(self) -> None:
        hosted = done(2, "web_search_call", id=CANARY, action={"query": CANARY})
        events = [*reasoning(0, "Hm.", cipher=CANARY), *text(1, "a"), hosted]
        message = whole(decode(reply(*events)))
        http, notices = encode(Conversation([user("q"), message, user("r")]), Request("m", "m", "http://localhost:1"))
        assert CANARY.encode() not in http.body
        assert b"msg_1" not in http.body
        assert len(notices) == 2

    @pytest.mark.exhaustive
    @QUICK
    @given(st.lists(strategies.messages() | strategies.tools(), max_size=5), st.sampled_from(["openai", "gemini"]))
    def test_any_conversation(self, records: list[Object], issuer: str) -> None:
        try:
            http, _ = encode(Conversation(records), Request("m", "m", issuer))
        except (InputError, UsageError):
            return
        ids = [item.get("call_id") for item in json.loads(http.body)["input"] if item.get("type") == "function_call"]
        assert len(set(map(str, ids))) == len(ids)
