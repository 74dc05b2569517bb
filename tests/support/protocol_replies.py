"""The same short reply in every protocol, as its server streams it, and how it is asked for."""

from __future__ import annotations

from typing import Any

from support.sample_conversations import lines, sse
from support.server import Answer, Close, Server, head

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
INTERACTIONS = sse(
    {"event_type": "interaction.created", "interaction": {"id": "v1_1", "status": "in_progress", "model": "m"}},
    {"event_type": "interaction.status_update", "interaction_id": "v1_1", "status": "in_progress"},
    {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
    {
        "event_type": "step.delta",
        "index": 0,
        "delta": {"type": "thought_summary", "content": {"type": "text", "text": "hm"}},
    },
    {"event_type": "step.delta", "index": 0, "delta": {"type": "thought_signature", "signature": "CANARY"}},
    {"event_type": "step.stop", "index": 0},
    {"event_type": "step.start", "index": 1, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "Hello"}},
    {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": " you"}},
    {"event_type": "step.stop", "index": 1},
    {
        "event_type": "interaction.completed",
        "interaction": {
            "id": "v1_1",
            "status": "completed",
            "usage": {"total_input_tokens": 3, "total_output_tokens": 1, "total_thought_tokens": 1},
        },
    },
    named=True,
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
    "gemini-interactions": ("/interactions", "x-goog-api-key", "canary-key", INTERACTIONS),
    "ollama": ("/api/chat", "authorization", "Bearer canary-key", OLLAMA),
}


def answer(protocol: str) -> Answer:
    return [head(connection="close"), PROTOCOLS[protocol][3], Close.FIN]


def send(server: Server, protocol: str) -> str:
    return f"K=canary-key llm-send --base-url {server.origin} --protocol {protocol} -m m --key-env K --retries 0"


def anthropic_answer(text: str, stop_reason: str, *blocks: dict[str, Any]) -> Answer:
    """Return a reply of Anthropic's with a text, then other blocks."""
    started = {"id": "msg_1", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 3}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
    ]
    for index, block in enumerate(blocks, 1):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 2}})
    events.append({"type": "message_stop"})
    return [head(connection="close"), sse(*events, named=True), Close.FIN]
