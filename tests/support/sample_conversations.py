"""One conversation in every protocol: what each vendor's server says in it, byte for byte.

The model reasons, signs that, cites a source and makes two calls at once. `canary` is what
a vendor wants back, or what it only told us: its own words, that no other may ever read.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import llmtools
from llmtools.protocols import load
from llmtools.records.fold import Fold
from support.server import Answer, Close, head

Object = dict[str, Any]

QUESTION = "Is it warmer in Kraków or in 東京 today?"
SYSTEM = "Be brief."
CITED = "Kraków lies north of 東京."
SOURCE = {"url": "https://example.org/atlas", "title": "An atlas"}
CALLS = [{"city": "Kraków"}, {"city": "東京"}]
OUTPUT, FAILED = "18 degrees", "TimeoutError"
NEXT = "And tomorrow?"
SAID = "I cannot know that."
TOOL = {
    "type": "tool",
    "name": "get_weather",
    "description": "The weather of a place.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PLACES = ("thought", "text", "call", "message", "told")


def canary(protocol: str, place: str) -> str:
    """Return what a vendor signs at a place, as base64: some want it so."""
    return b64encode(f"the canary of {protocol} in the {place}".encode()).decode()


def canaries(protocol: str) -> list[str]:
    """Return everything that only this vendor may read."""
    return [thought(protocol), *(canary(protocol, place) for place in PLACES)]


def thought(protocol: str) -> str:
    return f"Thinking as {protocol} does: 想一想."


def sse(*events: Object, named: bool = False) -> bytes:
    """Return server-sent events, with their types as names where the vendor names them."""
    name = "event: {}\n" if named else ""
    return b"".join(
        (name.format(event.get("type", event.get("event_type"))) + f"data: {json.dumps(event)}\n\n").encode()
        for event in events
    )


def lines(*values: Object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def streamed(protocol: str, body: bytes) -> Answer:
    """Return an answer that streams a body of a protocol."""
    kind = "application/x-ndjson" if protocol == "ollama" else "text/event-stream"
    return [head(content_type=kind, connection="close"), body, Close.FIN]


def _chat() -> bytes:
    """As OpenRouter says it: of those who speak this protocol, it has all of these."""

    def chunk(delta: Object, finish: str | None = None, **more: Any) -> Object:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "c1", "object": "chat.completion.chunk", "model": "m-1", "choices": [choice], **more}

    def call(index: int) -> Object:
        return {
            "index": index,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": "get_weather", "arguments": json.dumps(CALLS[index])},
        }

    name = "openai-chat"
    detail = {"type": "reasoning.text", "index": 0, "format": "f-1"}
    cited = {**SOURCE, "start_index": 0, "end_index": len(CITED), "content": canary(name, "told")}
    signed = {"extra_content": {"google": {"thought_signature": canary(name, "call")}}}
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}}
    reply = sse(
        chunk({"role": "assistant", "content": "", "reasoning_details": [{**detail, "text": thought(name)}]}),
        chunk({"reasoning_details": [{**detail, "signature": canary(name, "thought")}]}),
        chunk({"content": CITED}, system_fingerprint=canary(name, "told")),
        chunk({"annotations": [{"type": "url_citation", "url_citation": cited}]}),
        chunk({"tool_calls": [{**call(0), **signed}]}),
        chunk({"tool_calls": [call(1)], "extra_content": {"google": {"thought_signature": canary(name, "message")}}}),
        chunk({}, "tool_calls"),
        usage,
    )
    return reply + b"data: [DONE]\n\n"


def _anthropic() -> bytes:
    name = "anthropic"

    def block(index: int, start: Object, *deltas: Object) -> list[Object]:
        return [
            {"type": "content_block_start", "index": index, "content_block": start},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    def message(*blocks: Object, reason: str, **more: Any) -> bytes:
        said = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": []}
        start = {"type": "message_start", "message": {**said, "usage": {"input_tokens": 9, "output_tokens": 1}}}
        delta = {"stop_reason": reason, "stop_sequence": None, **more}
        end = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 8}}
        return sse(start, *blocks, end, {"type": "message_stop"}, named=True)

    def call(index: int) -> list[Object]:
        start = {"type": "tool_use", "id": f"toolu_{index}", "name": "get_weather", "input": {}}
        said = {"type": "input_json_delta", "partial_json": json.dumps(CALLS[index])}
        caller = {"caller": {"type": "code_execution_20260120", "tool_id": canary(name, "call")}} if not index else {}
        return block(2 + index, {**start, **caller}, said)

    citation = {
        "type": "web_search_result_location",
        "cited_text": "Kraków, 50° north",
        "encrypted_index": canary(name, "text"),
        **SOURCE,
    }
    return message(
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": thought(name)},
            {"type": "signature_delta", "signature": canary(name, "thought")},
        ),
        *block(
            1,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": CITED},
            {"type": "citations_delta", "citation": citation},
        ),
        *call(0),
        *call(1),
        reason="tool_use",
        container={"id": canary(name, "message"), "expires_at": "2026-11-21T00:00:00Z"},
        stop_details={"explanation": canary(name, "told")},
    )


def _gemini() -> bytes:
    name = "gemini"

    def chunk(*parts: Object, **candidate: Any) -> Object:
        told = {"responseId": canary(name, "told"), "modelVersion": "m-1"}
        return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **candidate}], **told}

    calls = [{"functionCall": {"name": "get_weather", "args": arguments}} for arguments in CALLS]
    segment = {"startIndex": 0, "endIndex": len(CITED.encode()), "text": CITED}
    grounding = {
        "groundingChunks": [{"web": {"uri": SOURCE["url"], "title": SOURCE["title"]}}],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
        "searchEntryPoint": {"renderedContent": canary(name, "told")},
    }
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 6, "thoughtsTokenCount": 2, "totalTokenCount": 17}
    return sse(
        chunk({"text": thought(name), "thought": True, "thoughtSignature": canary(name, "thought")}),
        chunk({"text": CITED, "thoughtSignature": canary(name, "text")}),
        chunk({**calls[0], "thoughtSignature": canary(name, "call")}),
        chunk(calls[1]),
        {**chunk(finishReason="STOP", groundingMetadata=grounding), "usageMetadata": usage},
    )


def _interactions() -> bytes:
    name = "gemini-interactions"
    cited = {"type": "url_citation", **SOURCE, "start_index": 0, "end_index": len(CITED.encode())}
    steps: list[tuple[Object, list[Object]]] = [
        (
            {"type": "thought"},
            [
                {"type": "thought_summary", "content": {"type": "text", "text": thought(name)}},
                {"type": "thought_signature", "signature": canary(name, "thought")},
            ],
        ),
        (
            {"type": "model_output"},
            [{"type": "text", "text": CITED}, {"type": "text_annotation_delta", "annotations": [cited]}],
        ),
    ]
    for index, arguments in enumerate(CALLS):
        call = {"type": "function_call", "id": f"call_{index}", "name": "get_weather", "arguments": {}}
        steps.append((call, [{"type": "arguments_delta", "arguments": json.dumps(arguments)}]))
    said = {"id": "v1_1", "object": "interaction", "model": "m-1"}
    events: list[Object] = [
        {"event_type": "interaction.created", "interaction": {**said, "status": "in_progress"}},
        {"event_type": "interaction.status_update", "interaction_id": "v1_1", "status": "in_progress"},
    ]
    for index, (step, deltas) in enumerate(steps):
        events.append({"event_type": "step.start", "index": index, "step": step})
        events += [{"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"event_type": "step.stop", "index": index})
    usage = {"total_input_tokens": 9, "total_output_tokens": 6, "total_thought_tokens": 2, "total_tokens": 17}
    told = {"usage": usage, "service_tier": "standard", "environment_id": canary(name, "told")}
    events.append({"event_type": "interaction.completed", "interaction": {**said, "status": "requires_action", **told}})
    return sse(*events, named=True)


def _ollama() -> bytes:
    name = "ollama"

    def line(**message: Any) -> Object:
        return {"model": "m-1", "message": {"role": "assistant", "content": "", **message}, "done": False}

    counts = {"prompt_eval_count": 9, "eval_count": 8, "remote_host": canary(name, "told")}
    end = {**line(), "done": True, "done_reason": "stop", **counts}
    calls = [
        {"id": f"call_{index}", "function": {"index": index, "name": "get_weather", "arguments": arguments}}
        for index, arguments in enumerate(CALLS)
    ]
    return lines(line(thinking=thought(name)), line(content=CITED), line(tool_calls=calls), end)


def _responses() -> bytes:
    name = "openai-responses"

    def response(*output: Object) -> bytes:
        said = {"id": "resp_1", "object": "response", "model": "m-1", "error": None}
        usage = {"input_tokens": 9, "output_tokens": 8, "total_tokens": 17}
        events: list[Object] = [
            {"type": "response.created", "response": {**said, "status": "in_progress", "output": []}}
        ]
        for index, item in enumerate(output):
            events += [
                {"type": f"response.output_item.{when}", "output_index": index, "item": item}
                for when in ("added", "done")
            ]
        told = {"usage": usage, "billing": {"payer": canary(name, "told")}}
        finished = {**said, "status": "completed", "output": list(output), **told}
        events.append({"type": "response.completed", "response": finished})
        return sse(*({**event, "sequence_number": place} for place, event in enumerate(events)), named=True)

    def text(said: str, *annotations: Object) -> Object:
        content = [{"type": "output_text", "text": said, "annotations": list(annotations), "logprobs": []}]
        identity = canary(name, "text")
        return {"type": "message", "id": identity, "role": "assistant", "status": "completed", "content": content}

    reasoning = {
        "type": "reasoning",
        "id": canary(name, "message"),
        "summary": [{"type": "summary_text", "text": thought(name)}],
        "encrypted_content": canary(name, "thought"),
    }
    calls = [
        {
            "type": "function_call",
            "id": canary(name, "call") if not index else "fc_1",
            "call_id": f"call_{index}",
            "name": "get_weather",
            "arguments": json.dumps(arguments),
            "status": "completed",
        }
        for index, arguments in enumerate(CALLS)
    ]
    cited = {"type": "url_citation", **SOURCE, "start_index": 0, "end_index": len(CITED)}
    return response(reasoning, text(CITED, cited), *calls)


REPLIES = {
    "openai-chat": _chat(),
    "anthropic": _anthropic(),
    "gemini": _gemini(),
    "gemini-interactions": _interactions(),
    "ollama": _ollama(),
    "openai-responses": _responses(),
}
"""Protocol -> the reply to the question, as a stream."""

WANTED_BACK = {
    "openai-chat": ("thought", "call", "message"),
    "anthropic": ("thought", "text", "call", "message"),
    "gemini": ("thought", "text", "call"),
    "gemini-interactions": ("thought",),
    "ollama": (),
    "openai-responses": ("thought", "text", "call", "message"),
}
"""Protocol -> the canaries that its vendor gets back; the others are kept, and sent to no one."""

CITES = frozenset(REPLIES) - {"ollama"}
"""The protocols in which a text can have a source."""


def results(reply: Object) -> Object:
    """Return the message that answers the calls of a reply: the second failed."""
    calls = [part for part in reply["parts"] if part["type"] == "tool_call"]
    said: list[Object] = [{"output": OUTPUT}, {"output": "no answer within 5 s", "exception": FAILED}]
    named = [
        {"name": call["name"], **({"tool_call_id": call["tool_call_id"]} if "tool_call_id" in call else {})}
        for call in calls
    ]
    parts = [{"type": "tool_result", **name, **output} for name, output in zip(named, said, strict=True)]
    return {"type": "message", "role": "tool", "parts": parts}


def begun(protocol: str, issuer: str) -> list[Object]:
    """Return the conversation as a protocol's decoder reads the reply in it."""
    start = {"type": "start", "response_id": "r-1", "model": "m", "provider": issuer, "created": "2026-11-21T00:00:00Z"}
    decoder = load(protocol).Decoder(issuer)
    events = [*decoder.feed(REPLIES[protocol]), *decoder.eof()]
    fold = Fold()
    for record in (start, *(event for event in events if event["type"] != "start")):
        fold.feed(record)
    reply: Any = fold.message()
    asked = [{"type": "message", **llmtools.system(SYSTEM)}, {"type": "message", **llmtools.user(QUESTION)}]
    return [TOOL, *asked, reply, results(reply)]
