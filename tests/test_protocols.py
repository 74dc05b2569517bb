"""Each protocol through the executables, against a scripted server: the request on the wire,
the reply in the stream, the next turn, a failure, and a conversation that changes vendors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import Shell, texts
from server import Answer, Close, Server, head, whole


def sse(*events: dict[str, Any], named: bool = False) -> bytes:
    name = "event: {}\n" if named else ""
    return b"".join((name.format(event.get("type")) + f"data: {json.dumps(event)}\n\n").encode() for event in events)


def lines(*values: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


CHAT = sse(
    {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}}]},
    {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": " you"}, "finish_reason": "stop"}]},
    {"id": "c1", "model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
)
ANTHROPIC = sse(
    {
        "type": "message_start",
        "message": {"id": "msg_1", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 3}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "CANARY"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": " you"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
    named=True,
)
RESPONSES = sse(
    {"type": "response.created", "response": {"id": "resp_1", "model": "m", "status": "in_progress", "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1"}},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "hm"},
    {
        "type": "response.output_item.done",
        "output_index": 0,
        "item": {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "CANARY",
        },
    },
    {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "msg_1"}},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Hello"},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": " you"},
    {
        "type": "response.output_item.done",
        "output_index": 1,
        "item": {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hello you"}]},
    },
    {
        "type": "response.completed",
        "response": {"id": "resp_1", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 2}},
    },
    named=True,
)
GEMINI = sse(
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}}], "responseId": "g1"},
    {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": " you", "thoughtSignature": "CANARY"}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    },
)
OLLAMA = lines(
    {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": False},
    {"model": "m", "message": {"role": "assistant", "content": " you"}, "done": False},
    {
        "model": "m",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 2,
    },
)
PROTOCOLS = {
    "openai-chat": ("/chat/completions", "authorization", "Bearer canary-key", CHAT + b"data: [DONE]\n\n"),
    "openai-responses": ("/responses", "authorization", "Bearer canary-key", RESPONSES),
    "anthropic": ("/v1/messages", "x-api-key", "canary-key", ANTHROPIC),
    "gemini": ("/models/m:streamGenerateContent?alt=sse", "x-goog-api-key", "canary-key", GEMINI),
    "ollama": ("/api/chat", "authorization", "Bearer canary-key", OLLAMA),
}
EACH = pytest.mark.parametrize("protocol", PROTOCOLS)


def answer(protocol: str) -> Answer:
    return [head(connection="close"), PROTOCOLS[protocol][3], Close.FIN]


def send(server: Server, protocol: str) -> str:
    return f"K=canary-key llm-send --base-url {server.origin} --protocol {protocol} -m m --key-env K --retries 0"


@EACH
def test_a_turn_and_the_next(protocol: str, shell: Shell) -> None:
    path, header, value, _ = PROTOCOLS[protocol]
    with Server(answer(protocol), answer(protocol)) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)} | llm-msg user more | {send(server, protocol)}")
        assert done.status == 0, done.err
        assert len(server.requests) == 2
        for received in server.requests:
            assert received.path == path
            assert received.headers[header] == value
        second = json.dumps(server.requests[1].json)
    said = [("user", "hi"), ("assistant", "Hello you"), ("user", "more"), ("assistant", "Hello you")]
    visible = [(role, text.removeprefix("hm")) for role, text in texts(done.records)]
    assert visible == said
    assert "Hello" in second and "you" in second and "more" in second
    end = done.records[-1]
    assert (end["finish_reason"], end["usage"]["input"], end["usage"]["output"]) == ("stop", 3, 2)
    if protocol in ("openai-responses", "anthropic", "gemini"):
        assert "CANARY" in second, "what the issuer signed goes back to it"


@EACH
def test_text_comes_chunk_by_chunk_and_is_printed(protocol: str, shell: Shell) -> None:
    with Server(answer(protocol)) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)} | tee all.jsonl | llm-parts")
    assert (done.status, done.text) == (0, "Hello you\n")
    records = shell.run("cat all.jsonl").records
    chunks = [record["chunk"] for record in records if record["type"] == "text"]
    assert [chunk for chunk in chunks if chunk] == ["Hello", " you"]


@EACH
def test_a_reply_that_is_cut_is_kept_and_told(protocol: str, shell: Shell) -> None:
    body = PROTOCOLS[protocol][3]
    cut = body[: body.index(b'" you"') - 40]
    with Server([head(connection="close"), cut, Close.FIN]) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)}")
    assert done.status == 75
    assert done.records[-1]["status"] == "truncated"
    assert texts(done.records)[-1][1].endswith("Hello")


@EACH
def test_a_refused_key_is_told_once(protocol: str, shell: Shell) -> None:
    refused = whole(401, {"error": {"message": "no entry", "type": "authentication_error", "code": 401}})
    with Server(refused, refused) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)} | llm-parts")
        assert len(server.requests) == 1
    assert done.status == 77
    assert "no entry" in done.err and "canary-key" not in done.err


@EACH
@pytest.mark.parametrize("other", PROTOCOLS)
def test_what_one_issuer_signed_never_reaches_another(protocol: str, other: str, shell: Shell) -> None:
    with Server(answer(protocol)) as first, Server(answer(other)) as second:
        done = shell.run(f"llm-msg user hi | {send(first, protocol)} | llm-msg user more | {send(second, other)}")
        assert done.status == 0, done.err
        sent = json.dumps(second.only.json)
    assert "Hello you" in sent or ("Hello" in sent and "you" in sent)
    assert "CANARY" not in sent
