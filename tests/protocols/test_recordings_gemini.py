"""The Gemini decoder and encoder against recorded traffic.

JUSTIFIED lists where EXPECTED.jsonl differs from us, each difference with its reason. In every file
it leaves out the thoughts (candidatesTokenCount does not include them) and the prompts of tool
use; `counts_of` adds them.
"""

from __future__ import annotations

import hashlib
import json

import pytest

from llmtools.protocols.gemini.request import encode, error_of
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from support.decoding import machines
from support.paths import RECORDINGS
from support.recorded.gemini import BODIES, STREAMS, camel, chunks_of, compared, decode, final_parts, joined
from support.recordings import ISSUER, Object, cut_apart, ended, lines, names, read, requests, sampled, status_of, whole

Decoder = machines("gemini")

_STREAMED = "streamed args: the oracle does not fold partialArgs, and takes the end for a call"
JUSTIFIED: dict[tuple[str, str], str] = {
    ("gemini/ai__google-stream-no-args-tool-call.chunks.jsonl", "calls"): _STREAMED,
    ("gemini/ai__google-stream-tool-call-arguments.chunks.jsonl", "calls"): _STREAMED,
    (
        "gemini/ai__google-stream-tool-call-array-arguments-missing-terminal-function-call.chunks.jsonl",
        "calls",
    ): _STREAMED,
    ("gemini/ai__google-vertex-stream-tool-call-arguments-nested.1.chunks.jsonl", "calls"): _STREAMED,
}


EXPECTED = lines("EXPECTED.jsonl")
ERRORS = names("gemini/errors/*.json")
REQUESTS = requests("gemini")
FAILED = {
    "gemini/vertexai-sdk-test-data__vertexai-streaming-failure-empty-content.sse": "truncated",
    "gemini/vertexai-sdk-test-data__vertexai-streaming-failure-malformed-content.sse": "truncated",
    "gemini/vertexai-sdk-test-data__vertexai-streaming-failure-invalid-json.sse": "protocol",
    "gemini/vertexai-sdk-test-data__vertexai-streaming-failure-error-mid-stream.sse": "ANY",
}
"""Streams that fail, and how."""

pytestmark = pytest.mark.skipif(not STREAMS, reason=f"no recordings in {RECORDINGS}")


def reply_of(records: list[Object]) -> Object:
    """The fields of EXPECTED.jsonl that our records give."""
    parts = whole(records)["parts"]
    end: Object = next((record for record in records if record["type"] == "end"), {})
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    calls = [part for part in parts if part["type"] == "tool_call" and not part.get("server_executed")]
    return {
        "text": (len(text), hashlib.sha256(text.encode()).hexdigest()),
        "reasoning": sum(len(part["text"]) for part in parts if part["type"] == "reasoning"),
        "calls": [(call["name"], call["arguments"]) for call in calls],
        "finish": end.get("finish_reason_raw", end.get("finish_reason")),
        "input": end.get("usage", {}).get("input"),
        "output": end.get("usage", {}).get("output"),
    }


def counts_of(data: bytes) -> tuple[int | None, int | None]:
    """What was read and written: the last chunk that has a field, per field."""
    usage: Object = {}
    for chunk in chunks_of(data):
        usage.update(chunk.get("usageMetadata", {}))
    if "promptTokenCount" not in usage:
        return None, None
    read = usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0)
    return read, usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in FAILED])
def test_a_stream_says_what_the_oracle_read(name: str) -> None:
    ours, line = reply_of(decode(read(name))), EXPECTED[name]
    read_count, written = counts_of(read(name))
    blocked = [chunk["promptFeedback"]["blockReason"] for chunk in chunks_of(read(name)) if is_blocked(chunk)]
    theirs = {
        "text": (line["text_len"], line["text_sha256"]),
        "reasoning": line["reasoning_len"],
        "calls": [(call["name"], json.loads(call["args"] or "{}")) for call in line["tool_calls"]],
        "finish": line["finish"] or blocked[0],
        "input": read_count,
        "output": written,
    }
    wrong = {field for field in ours if ours[field] != theirs[field]}
    assert wrong == {field for file, field in JUSTIFIED if file == name}, (ours, theirs)


def is_blocked(chunk: Object) -> bool:
    return bool(chunk.get("promptFeedback", {}).get("blockReason"))


def test_every_justified_difference_is_one() -> None:
    assert {name for name, _ in JUSTIFIED} | set(FAILED) <= set(STREAMS)


@pytest.mark.parametrize("name", FAILED)
def test_a_stream_that_fails(name: str) -> None:
    [*before, last] = decode(read(name))
    assert last["type"] == "error"
    assert "end" not in [record["type"] for record in before]
    assert FAILED[name] in (last["code"], "ANY")
    if FAILED[name] == "ANY":
        body = json.loads(read(name)[read(name).index(b"\n{") :])
        assert last["message"] == body["error"]["message"]
        assert [record["chunk"] for record in before if record["type"] == "text"] == ["First ", "Second "]


def sent_back(records: list[Object]) -> list[Object]:
    """The parts that the encoder makes of what the decoder made."""
    request, notices = encode(Conversation([whole(records)]), Request("m", "m", ISSUER))
    assert notices == []
    contents = json.loads(request.body)["contents"]
    assert [content["role"] for content in contents] in (["model"], [])
    return [part for content in contents for part in content["parts"]]


@pytest.mark.parametrize("name", [name for name in STREAMS if FAILED.get(name) != "protocol"])
def test_second_law_of_a_stream(name: str) -> None:
    assert compared(sent_back(decode(read(name)))) == compared(final_parts(read(name)))


@pytest.mark.parametrize("name", BODIES)
def test_second_law_of_a_body(name: str) -> None:
    assert compared(sent_back(Decoder(ISSUER).body(read(name)))) == compared(final_parts(read(name)))


@pytest.mark.parametrize("name", BODIES)
def test_a_body_says_what_is_in_it(name: str) -> None:
    records = Decoder(ISSUER).body(read(name))
    reply = reply_of(records)
    parts = final_parts(read(name))
    text = "".join([part["text"] for part in parts if "text" in part and not part.get("thought")])
    assert reply["text"] == (len(text), hashlib.sha256(text.encode()).hexdigest())
    assert reply["reasoning"] == sum(len(part["text"]) for part in parts if part.get("thought"))
    assert [name for name, _ in reply["calls"]] == [
        part["functionCall"]["name"] for part in parts if "functionCall" in part
    ]
    assert (reply["input"], reply["output"]) == counts_of(read(name))
    assert reply["finish"] == chunks_of(read(name))[-1]["candidates"][0]["finishReason"]


@pytest.mark.parametrize("name", BODIES)
def test_a_body_in_the_place_of_events(name: str) -> None:
    data = read(name)
    if len(data) < 100_000:
        expected = Decoder(ISSUER).body(data)
        assert decode(data) == expected
        assert decode(*[data[i : i + 1] for i in range(len(data))]) == expected


@pytest.mark.parametrize("name", [name for name in [*STREAMS, *BODIES] if b"groundingSupports" in read(name)])
def test_a_source_annotates_what_it_supports(name: str) -> None:
    message = whole(Decoder(ISSUER).body(read(name)) if name in BODIES else decode(read(name)))
    supports = message["response"]["details"][ISSUER]["groundingMetadata"]["groundingSupports"]
    cited = [
        part["text"][annotation["start"] : annotation["end"]]
        for part in message["parts"]
        for annotation in part.get("annotations", ())
    ]
    assert cited == [item["segment"]["text"] for item in supports for _ in item["groundingChunkIndices"]]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STREAMS)
def test_cuts_make_no_difference(name: str) -> None:
    data = read(name)
    expected = decode(data)
    for pieces in cut_apart(name, data):
        assert decode(*pieces) == expected
    if b"\r" not in data:
        assert decode(data.replace(b"\n", b"\r\n")) == expected


def terminal(data: bytes) -> int:
    """How many bytes make the terminal event: those up to the end of its JSON."""
    at = 0
    for line in data.split(b"\n"):
        if line.startswith(b"data:"):
            chunk = json.loads(line[5:])
            if is_blocked(chunk) or any(item.get("finishReason") for item in chunk.get("candidates", ())):
                return at + len(line.rstrip())
        at += len(line) + 1
    return len(data) + 1


def check_prefixes(name: str, positions: list[int]) -> None:
    data = read(name)
    least, machine, fed = terminal(data), Decoder(ISSUER), 0
    for position in positions:
        if any(record["type"] == "error" for record in machine.feed(data[fed:position])):
            return
        fed = position
        records = ended(machine)
        kinds = [record["type"] for record in records]
        is_whole = position >= least
        if name not in FAILED:
            assert ("error" not in kinds) if is_whole else (kinds[-1] == "error" and "end" not in kinds), position
        elif position < least:
            assert kinds[-1] == "error", position


@pytest.mark.parametrize("name", STREAMS)
def test_a_prefix_is_cut_off(name: str) -> None:
    data = read(name)
    check_prefixes(name, sampled(name, data, terminal(data)))


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
def test_every_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, list(range(len(read(name)) + 1)))


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_its_message_and_status(name: str) -> None:
    status = status_of(name)
    failure = error_of(status, {}, read(name))
    assert failure.message == json.loads(read(name))["error"]["message"]
    assert failure.details["http_status"] == status
    if "API_KEY_INVALID" in read(name).decode() or status == 403:
        assert failure.exit_status == 77
    else:
        assert failure.exit_status == {400: 65, 404: 78}[status]


# What real clients sent next.


@pytest.mark.parametrize("name", [name for name in REQUESTS if b'"model"' in read(name)])
def test_a_recorded_next_request_is_reproduced(name: str) -> None:
    """Each content of the model in a request, taken for a reply, is sent back as it was."""
    for content in json.loads(read(name))["contents"]:
        if content["role"] == "model":
            parts = [
                {name: camel(value) if isinstance(value, dict) else value for name, value in camel(part).items()}
                for part in content["parts"]
            ]
            body = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
            records = Decoder(ISSUER).body(json.dumps(body).encode())
            assert compared(sent_back(records)) == compared(joined(parts))
