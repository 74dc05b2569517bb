"""The Chat Completions decoder and encoder against recorded traffic.

JUSTIFIED lists where EXPECTED.jsonl differs from us, each difference with its reason.
"""

from __future__ import annotations

import hashlib
import json

import pytest

from llmtools.protocols.openai_chat.request import encode, error_of
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from support.decoding import machines
from support.paths import RECORDINGS
from support.recorded.chat import BODIES, NO_FINISH, STREAMS, decode, decoder, final_message, less_output_only
from support.recordings import ISSUER, Object, cut_apart, ended, lines, names, read, requests, sampled, status_of, whole

Decoder = machines("openai-chat")

_XAI = "output is all it wrote; xAI leaves the reasoning out, its total_tokens counts it"
_NO_FINISH = "no finish_reason on some servers; ours is inferred, there is no raw word"
_REASONING_DETAILS = "reasoning.text items are reasoning; the oracle reads only strings"
_ARGUMENTS = "arguments that are null are {}"
_SOUND = "input is all it read; the 375 tokens of the sound are in total_tokens only"
_VOXTRAL = "chat/maruel__mistral-TestClient-Scoreboard-voxtral-small-latest-GenStreamMultiModal-Audio"
_NO_REPLY = "a text that is no event stream is an error, not an empty reply; the oracle reads no chunk in it"
_CITATIONS = "delta.annotations and top-level citations: the oracle counts none for Chat"
JUSTIFIED: dict[tuple[str, str], str] = {
    ("chat/ai__xai-text.chunks.jsonl", "output"): _XAI,
    ("chat/fantasy__TestOpenAICompatObjectGeneration-xai-grok-4-fast-complex_object_streaming.sse", "output"): _XAI,
    ("chat/fantasy__TestOpenAICompatObjectGeneration-xai-grok-4-fast-simple_object_streaming.sse", "output"): _XAI,
    ("chat/fantasy__TestOpenAICompatibleCommon-xai-grok-4-fast-multi_tool_streaming.sse", "output"): _XAI,
    ("chat/fantasy__TestOpenAICompatibleCommon-xai-grok-4-fast-tool_streaming.sse", "output"): _XAI,
    ("chat/fantasy__TestOpenAICompatibleCommon-xai-grok-code-fast-simple_streaming.sse", "output"): _XAI,
    ("chat/fantasy__TestOpenAICompatibleCommon-xai-grok-code-fast-tool_streaming.sse", "output"): _XAI,
    (
        "chat/fantasy__TestVercelThinking-gemini-3-pro-preview-thinking-streaming--1.sse",
        "output",
    ): "output is all it wrote; 43 reasoning tokens cannot be among 14",
    ("chat/rig__mistral-multimodal_content-streaming_agent_sends_audio.sse", "input"): _SOUND,
    (f"{_VOXTRAL}-flac-Inline-0.sse", "input"): _SOUND,
    (f"{_VOXTRAL}-mp3-Inline-0.sse", "input"): _SOUND,
    (f"{_VOXTRAL}-ogg-Inline-0.sse", "input"): _SOUND,
    (f"{_VOXTRAL}-wav-Inline-0.sse", "input"): _SOUND,
    ("chat/llm__test_tools_streaming_variant_a.sse", "finish"): _NO_FINISH,
    ("chat/llm__test_tools_streaming_variant_b.sse", "finish"): _NO_FINISH,
    (
        "chat/maruel__huggingface-TestClient-Scoreboard-Qwen-Qwen3-4B_thinking-GenStream-Tools-SquareRoot-1-0.sse",
        "finish",
    ): _NO_FINISH,
    ("chat/pydantic-ai__test_snowflake_model_streaming.sse", "finish"): _NO_FINISH,
    ("chat/pydantic-ai__test_snowflake_thinking_streaming.sse", "finish"): _NO_FINISH,
    ("chat/pydantic-ai__test_snowflake_thinking_streaming.sse", "reasoning"): _REASONING_DETAILS,
    (
        "chat/pydantic-ai__test_groq_model_web_search_tool_stream.sse",
        "calls",
    ): "delta.executed_tools: a tool the server ran is a call, marked so",
    ("chat/rig__groq-agent_tool_sessions-parallel_tool_calls_single_turn_streaming.sse", "calls"): _ARGUMENTS,
    ("chat/pydantic-ai__test_openrouter_web_search_annotations_stream.sse", "annotations"): _CITATIONS,
    ("chat/ai__perplexity-citations-0.sse", "annotations"): _CITATIONS,
    ("chat/pydantic__test_openai-test_text_response-0.sse", "error"): _NO_REPLY,
    (
        "chat/rig__perplexity-raw_stream_capture_matrix-stream_raw_exposes_terminal_usage_and_object.sse",
        "annotations",
    ): _CITATIONS,
    (
        "synthetic/chat__audio_delta.sse",
        "text",
    ): "delta.audio.transcript: what a sound says is text for people",
}


EXPECTED = lines("EXPECTED.jsonl")
HEADERS = lines("HEADERS.jsonl")
REPLIES = [name for name in BODIES if json.loads((RECORDINGS / name).read_bytes()).get("choices")]
ERRORS = names("chat/errors/*.json")

pytestmark = pytest.mark.skipif(not STREAMS, reason=f"no recordings in {RECORDINGS}")


def reply_of(records: list[Object]) -> Object:
    """The fields of EXPECTED.jsonl that our records give."""
    message = whole(records)
    end: Object = next((record for record in records if record["type"] == "end"), {})
    parts = message["parts"]
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    calls = [part for part in parts if part["type"] == "tool_call"]
    return {
        "text": (len(text), hashlib.sha256(text.encode()).hexdigest()),
        "reasoning": sum(len(part["text"]) for part in parts if part["type"] == "reasoning"),
        "calls": [(call["name"], call["arguments"]) for call in calls],
        "finish": end.get("finish_reason_raw", end.get("finish_reason")),
        "input": end.get("usage", {}).get("input"),
        "output": end.get("usage", {}).get("output"),
        "annotations": sum(len(part.get("annotations", ())) for part in parts),
        "error": next((record["message"] for record in records if record["type"] == "error"), None),
    }


def oracle(name: str) -> Object:
    line = EXPECTED[name]
    return {
        "text": (line["text_len"], line["text_sha256"]),
        "reasoning": line["reasoning_len"],
        "calls": [(call["name"], json.loads(call["args"] or "{}")) for call in line["tool_calls"]],
        "finish": line["finish"],
        "input": line["input_tokens"],
        "output": line["output_tokens"],
        "annotations": line["n_citations"],
        "error": line["error"] and line["error"]["message"],
    }


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_what_the_oracle_read(name: str) -> None:
    ours, theirs = reply_of(decode(name, read(name))), oracle(name)
    wrong = {field for field in ours if ours[field] != theirs[field]}
    assert wrong == {field for file, field in JUSTIFIED if file == name}, (ours, theirs)


def test_every_justified_difference_is_one() -> None:
    assert {name for name, _ in JUSTIFIED} <= set(STREAMS)


def sent_back(records: list[Object], quirks: frozenset[str] = frozenset()) -> Object:
    """The assistant message that the encoder makes of what the decoder made."""
    conversation = Conversation([whole(records)])
    request, notices = encode(conversation, Request("m", "m", ISSUER, quirks=quirks))
    assert notices == []
    messages = json.loads(request.body)["messages"]
    return dict(messages[0]) if messages else {"role": "assistant"}  # a reply that says nothing is not sent


@pytest.mark.parametrize("name", STREAMS)
def test_second_law_of_a_stream(name: str) -> None:
    data = read(name)
    assert less_output_only(sent_back(decode(name, data))) == less_output_only(final_message(data))


def choices_of(body: bytes) -> list[Object]:
    found: list[Object] = json.loads(body).get("choices", [])
    return found


@pytest.mark.parametrize("name", REPLIES)
def test_second_law_of_a_body(name: str) -> None:
    data = read(name)
    assert less_output_only(sent_back(decoder(name).body(data))) == less_output_only(choices_of(data)[0]["message"])


@pytest.mark.parametrize("name", BODIES)
def test_a_body_says_what_is_in_it(name: str) -> None:
    data = read(name)
    body = json.loads(data)
    records = decoder(name).body(data)
    reply = reply_of(records)
    if not choices_of(data):
        assert [record["type"] for record in records] == ["error"]
        assert reply["error"] == body["error"]["message"]
        return
    choice, usage = body["choices"][0], body["usage"]
    message = choice["message"]
    content = message.get("content") or ""
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    text = "".join([block["text"] for block in blocks if block["type"] == "text"])
    assert reply["text"] == (len(text), hashlib.sha256(text.encode()).hexdigest())
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    assert bool(reply["reasoning"]) == bool(reasoning or message.get("reasoning_details") or len(blocks) > 1)
    called = [call.get("function") or call["custom"] for call in message.get("tool_calls") or ()]
    called += (
        [message["function_call"]] if message.get("function_call", None) and message["function_call"]["name"] else []
    )
    assert [name for name, _ in reply["calls"]] == [call["name"] for call in called]
    assert reply["finish"] == (choice["finish_reason"] or ("tool_calls" if called else "stop"))
    assert reply["input"] == usage["prompt_tokens"]
    assert usage["completion_tokens"] <= reply["output"] <= usage["total_tokens"] - usage["prompt_tokens"]
    assert records[-1]["details"][ISSUER]["usage"] == usage


@pytest.mark.parametrize("name", BODIES)
def test_a_body_in_the_place_of_events(name: str) -> None:
    data = read(name)
    expected = decoder(name).body(data)
    assert decode(name, data) == expected
    assert decode(name, *[data[i : i + 1] for i in range(len(data))]) == expected


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STREAMS)
def test_cuts_make_no_difference(name: str) -> None:
    data = read(name)
    expected = decode(name, data)
    for pieces in cut_apart(name, data):
        assert decode(name, *pieces) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_the_ends_of_lines_make_no_difference(name: str) -> None:
    data = read(name)
    if b"\r" not in data:
        assert decode(name, data.replace(b"\n", b"\r\n")) == decode(name, data)


def terminal(name: str, data: bytes) -> int:
    """How many bytes make the terminal event: those up to the end of its JSON."""
    at = 0
    for line in data.split(b"\n"):
        if line.startswith(b"data:"):
            payload = line[5:].strip()
            if payload == b"[DONE]":
                return at + len(line)
            choices = json.loads(payload).get("choices") or ()
            if any(choice["index"] == 0 and choice.get("finish_reason") for choice in choices):
                return at + len(line.rstrip())
        at += len(line) + 1
    return len(data) + 1


def check_prefixes(name: str, positions: list[int]) -> None:
    data = read(name)
    least, machine, fed, has_error = terminal(name, data), decoder(name), 0, False
    for position in positions:
        has_error |= any(record["type"] == "error" for record in machine.feed(data[fed:position]))
        fed = position
        if has_error:
            return
        records = ended(machine)
        kinds = [record["type"] for record in records]
        if position < least:
            assert kinds[-1] == "error", position
            assert "end" not in kinds, position
        else:
            assert "error" not in kinds, position


CUT_OFF = [name for name in STREAMS if not any(word in name for word in NO_FINISH)]


@pytest.mark.parametrize("name", CUT_OFF)
def test_a_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, sampled(name, read(name), terminal(name, read(name))))


@pytest.mark.slow
@pytest.mark.parametrize("name", CUT_OFF)
def test_every_prefix_is_cut_off(name: str) -> None:
    check_prefixes(name, list(range(len(read(name)) + 1)))


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_its_message_and_status(name: str) -> None:
    data = read(name)
    status = status_of(name)
    headers = HEADERS.get(name, {}).get("headers", {})
    failure = error_of(status, headers, data)
    body = json.loads(data)
    inner = body.get("error")
    said = inner.get("message") if isinstance(inner, dict) else inner
    assert failure.message.startswith(said or body.get("message") or body.get("detail"))
    assert failure.details["http_status"] == status
    assert failure.exit_status in {400: (65, 78), 401: (77,), 404: (78,), 429: (75,), 500: (69,)}[status]
    assert failure.details["retryable"] is (status in (429, 500))
    if "context" in name:
        assert failure.code == ("rate_limited" if status == 429 else "context_too_long")
    if "x-request-id" in headers or "apim-request-id" in headers:
        assert failure.details["request_id"]
    if "retry-after" in headers:
        assert failure.details["retry_after"] == float(headers["retry-after"])


# What real clients sent next.

_REPLAYED = {
    # A later request whose last reply is one that was recorded, and why its messages differ.
    "chat/llm__test_tools_streaming_variant_a--1.request.json": "chat/llm__test_tools_streaming_variant_a.sse",
    "chat/llm__test_tools_streaming_variant_c--1.request.json": "chat/llm__test_tools_streaming_variant_c.sse",
    "chat/llm__test_tools_streaming_variant_d--1.request.json": "chat/llm__test_tools_streaming_variant_d.sse",
    "chat/unary/pydantic-ai__test_snowflake_thinking--1.request.json": (
        "chat/unary/pydantic-ai__test_snowflake_thinking.json"
    ),
}
_OTHER_ID = "chat/llm__test_tools_streaming_variant_c--1.request.json"
"""That project made one request for all variants: the id is that of variant a, `0`."""


@pytest.mark.parametrize("name", _REPLAYED)
def test_the_next_request_sends_the_same_reply(name: str) -> None:
    said = [message for message in json.loads(read_request(name))["messages"] if message["role"] == "assistant"]
    # llm writes a message of its own, and an empty one, for the text before the calls.
    [theirs] = [less_output_only(message) for message in said if len(less_output_only(message)) > 1]
    reply = _REPLAYED[name]
    data = read(reply)
    records = decoder(reply).body(data) if reply.endswith(".json") else decode(reply, data)
    ours = less_output_only(sent_back(records))
    if name == _OTHER_ID:
        ours["tool_calls"][0]["id"] = theirs["tool_calls"][0]["id"]
    assert ours == theirs


def read_request(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


REQUESTS = requests("chat")


@pytest.mark.parametrize("name", [name for name in REQUESTS if b'"assistant"' in read_request(name)])
def test_a_recorded_reply_survives_our_format(name: str) -> None:
    """Each assistant message in any request, taken for a reply, is sent back as it was."""
    for message in json.loads(read_request(name))["messages"]:
        if message["role"] == "assistant" and len(less_output_only(message)) > 1:
            body = {"id": "r", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            records = Decoder(ISSUER).body(json.dumps(body).encode())
            assert less_output_only(sent_back(records)) == less_output_only(message)
