"""The Ollama decoder and encoder against recorded traffic.

JUSTIFIED would list where EXPECTED.jsonl differs from us; for Ollama it does not.
"""

from __future__ import annotations

import hashlib
import json

import pytest

from llmtools.protocols.ollama.request import encode, error_of
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from support.decoding import machines
from support.paths import RECORDINGS
from support.recorded.ollama import BODIES, STREAMS, compared, decode, final_message
from support.recordings import ISSUER, Object, cut_apart, ended, lines, names, read, requests, sampled, whole

Decoder = machines("ollama")

EXPECTED = lines("EXPECTED.jsonl")
WHOLE = [name for name in STREAMS if not name.startswith("synthetic/")]
ERRORS = names("ollama/errors/*.json")
REQUESTS = requests("ollama")

pytestmark = pytest.mark.skipif(not STREAMS, reason=f"no recordings in {RECORDINGS}")


def reply_of(records: list[Object]) -> Object:
    """The fields of EXPECTED.jsonl that our records give."""
    parts = whole(records)["parts"]
    end: Object = next((record for record in records if record["type"] == "end"), {})
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    return {
        "text": (len(text), hashlib.sha256(text.encode()).hexdigest()),
        "reasoning": sum(len(part["text"]) for part in parts if part["type"] == "reasoning"),
        "calls": [(part["name"], part["arguments"]) for part in parts if part["type"] == "tool_call"],
        "finish": end.get("finish_reason_raw", end.get("finish_reason")),
        "input": end.get("usage", {}).get("input"),
        "output": end.get("usage", {}).get("output"),
        "error": next((record["message"] for record in records if record["type"] == "error"), None),
    }


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_what_the_oracle_read(name: str) -> None:
    line = EXPECTED[name]
    assert reply_of(decode(read(name))) == {
        "text": (line["text_len"], line["text_sha256"]),
        "reasoning": line["reasoning_len"],
        "calls": [(call["name"], json.loads(call["args"] or "{}")) for call in line["tool_calls"]],
        "finish": line["finish"],
        "input": line["input_tokens"],
        "output": line["output_tokens"],
        "error": line["error"],
    }


def sent_back(records: list[Object]) -> Object:
    """The assistant message that the encoder makes of what the decoder made."""
    request, notices = encode(Conversation([whole(records)]), Request("m", "m", ISSUER))
    assert notices == []
    messages = json.loads(request.body)["messages"]
    return dict(messages[0]) if messages else {"role": "assistant"}


@pytest.mark.parametrize("name", STREAMS)
def test_second_law_of_a_stream(name: str) -> None:
    assert compared(sent_back(decode(read(name)))) == compared(final_message(read(name)))


@pytest.mark.parametrize("name", BODIES)
def test_second_law_of_a_body(name: str) -> None:
    assert compared(sent_back(Decoder(ISSUER).body(read(name)))) == compared(json.loads(read(name))["message"])


@pytest.mark.parametrize("name", BODIES)
def test_a_body_says_what_is_in_it(name: str) -> None:
    body = json.loads(read(name))
    records = Decoder(ISSUER).body(read(name))
    reply, message = reply_of(records), body["message"]
    assert reply["text"][0] == len(message["content"])
    assert reply["reasoning"] == len(message.get("thinking", ""))
    assert len(reply["calls"]) == len(message.get("tool_calls", ()))
    assert (reply["input"], reply["output"]) == (body["prompt_eval_count"], body["eval_count"])
    assert reply["finish"] == body["done_reason"]
    assert records[-1]["details"][ISSUER]["usage"]["total_duration"] == body["total_duration"]
    assert decode(read(name)) == records


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STREAMS)
def test_cuts_make_no_difference(name: str) -> None:
    data = read(name)
    expected = decode(data)
    for pieces in cut_apart(name, data):
        assert decode(*pieces) == expected
    assert decode(data.replace(b"\n", b"\r\n")) == expected


def check_prefixes(name: str, positions: list[int]) -> None:
    data = read(name)
    least, machine, fed = len(data.rstrip()), Decoder(ISSUER), 0  # the terminal event is the last line
    for position in positions:
        machine.feed(data[fed:position])
        fed = position
        kinds = [record["type"] for record in ended(machine)]
        is_whole = position >= least
        assert ("error" not in kinds) if is_whole else (kinds[-1] == "error" and "end" not in kinds), position


@pytest.mark.parametrize("name", WHOLE)
def test_a_prefix_is_cut_off(name: str) -> None:
    data = read(name)
    check_prefixes(name, sampled(name, data, len(data.rstrip())))


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_every_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, list(range(len(read(name)) + 1)))


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_its_message(name: str) -> None:
    failure = error_of(404, {}, read(name))
    assert failure.message == json.loads(read(name))["error"]
    assert (failure.code, failure.exit_status) == ("no_model", 78)


@pytest.mark.parametrize("name", [name for name in REQUESTS if b'"assistant"' in read(name)])
def test_a_recorded_next_request_is_reproduced(name: str) -> None:
    """Each assistant message in a request, taken for a reply, is sent back as it was."""
    for message in json.loads(read(name))["messages"]:
        if message["role"] == "assistant":
            body = {"model": "m", "message": message, "done": True, "done_reason": "stop"}
            assert compared(sent_back(Decoder(ISSUER).body(json.dumps(body).encode()))) == compared(message)


@pytest.mark.parametrize("name", [name for name in REQUESTS if b'"tool"' in read(name)])
def test_recorded_results_are_reproduced(name: str) -> None:
    theirs = [message for message in json.loads(read(name))["messages"] if message["role"] == "tool"]
    results = [{"type": "tool_result", "name": said["tool_name"], "output": said["content"]} for said in theirs]
    http, _ = encode(Conversation([{"type": "message", "role": "tool", "parts": results}]), Request("m", "m", ISSUER))
    assert json.loads(http.body)["messages"] == theirs
