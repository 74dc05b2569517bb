"""Text that was shown is a message: in the stream, in a saved conversation and in the log, whatever else the
server sent.

Every reply here has one odd value at one place: a number that nothing holds, what nests too deep, half a character.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmtools import Conversation, Exchange, user
from llmtools.http.endpoint import Endpoint
from llmtools.http.request import Emit, Limits, Open, Opened, Sleep
from llmtools.log.recorder import Recorder
from llmtools.log.store import Store
from llmtools.log.upkeep import verify
from llmtools.providers.address import target_at
from llmtools.records.canonical import node_hash
from llmtools.records.jsonl import Decoder, dumps, encode
from support.protocol_replies import PROTOCOLS
from support.sample_conversations import lines, sse

MARK = "@@ODD@@"
ODD = {
    "a tiny number": "1e-9999999999999999999999",
    "a huge number": "-1e999999999999",
    "an exponent of many digits": "1e" + "9" * 5000,
    "many digits": "9" * 5000,
    "many digits and a point": "0." + "1" * 5000,
    "more than 64 bits": "18446744073709551616",
    "300 levels": "[" * 300 + "]" * 300,
    "250 levels": '{"a":' * 250 + "1" + "}" * 250,
    "1,020 levels": "[" * 1020 + "]" * 1020,
    "9,000 levels": "[" * 9000 + "]" * 9000,
    "half a character": '"a\\ud83d"',
    "half a character in a name": '{"\\udc00": 1}',
    "NaN": "NaN",
    "infinity": "-Infinity",
    "null": "null",
    "a control character": '"\\u0000\\u001b[2J"',
    "an object": '{"text": [1e400], "type": 7}',
    "a negative number": "-1",
}
CALLS: dict[str, bytes] = {
    "openai-chat": sse(
        {
            "id": "c",
            "choices": [{"index": 0, "delta": {"content": "Hello"}, "logprobs": {"content": [{"logprob": -1}]}}],
        },
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f"}}]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]}}]},
        {"choices": [{"index": 0, "delta": {"annotations": [{"type": "x", "y": {}}]}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.5}},
    ),
    "openai-responses": sse(
        {"type": "response.created", "response": {"id": "r", "model": "m", "output": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hello"},
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {"type": "function_call", "id": "fc", "call_id": "1", "name": "f", "arguments": '{"a":1}'},
        },
        {
            "type": "response.output_item.done",
            "output_index": 2,
            "item": {"type": "web_search_call", "id": "ws", "action": {"query": "q", "sources": [{"url": "u"}]}},
        },
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "usage": {"input_tokens": 3}}},
        named=True,
    ),
    "anthropic": sse(
        {"type": "message_start", "message": {"id": "m", "model": "m", "content": [], "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
        },
        {"type": "content_block_stop", "index": 1},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "web_search_tool_result", "tool_use_id": "2", "content": [{"title": "t"}]},
        },
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
        named=True,
    ),
    "gemini": sse(
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}}], "responseId": "g"},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}, "other": {}}]}}]},
        {"candidates": [{"content": {"parts": [{"toolResponse": {"toolType": "t", "response": {"a": 1}}}]}}]},
        {
            "candidates": [{"content": {"parts": []}, "finishReason": "STOP", "groundingMetadata": {"a": 1}}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
        },
    ),
    "gemini-interactions": sse(
        {"event_type": "interaction.created", "interaction": {"id": "v", "status": "in_progress", "model": "m"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hello"}},
        {"event_type": "step.stop", "index": 0},
        {"event_type": "step.start", "index": 1, "step": {"type": "function_call", "id": "1", "name": "f"}},
        {"event_type": "step.delta", "index": 1, "delta": {"type": "arguments_delta", "arguments": '{"a":1}'}},
        {"event_type": "step.stop", "index": 1},
        {"event_type": "interaction.completed", "interaction": {"id": "v", "status": "completed", "usage": {"a": 1}}},
        named=True,
    ),
    "ollama": lines(
        {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": False},
        {"model": "m", "message": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, "done": False},
        {"model": "m", "message": {"content": ""}, "done": True, "done_reason": "stop", "logprobs": [{"a": 1}]},
    ),
}


def with_odd_values(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The bodies with a mark at each place of each event, in a new field or for a value."""
    rows = data.decode().split("\n")
    for number, row in enumerate(rows):
        begin = "data: " if row.startswith("data: ") else ""
        if "{" not in row:
            continue
        event = json.loads(row.removeprefix(begin))
        for path, changed in _changed(event):
            marked = [*rows[:number], begin + json.dumps(changed), *rows[number + 1 :]]
            yield f"line {number} {path}", "\n".join(marked).encode()


def _changed(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, MARK
    if isinstance(value, dict):
        yield f"{path}.new", {**value, "new": MARK}
        for name, inner in value.items():
            for place, other in _changed(inner, f"{path}.{name}"):
                yield place, {**value, name: other}
    elif isinstance(value, list):
        yield f"{path}[]", [*value, MARK]
        for index, inner in enumerate(value):
            for place, other in _changed(inner, f"{path}[{index}]"):
                yield place, [*value[:index], other, *value[index + 1 :]]


def reply_to(protocol: str, data: bytes, status: int = 200) -> tuple[list[dict[str, Any]], Exchange]:
    """The records of an exchange with a server that sends these bytes."""
    target = target_at(Endpoint("server", "http://127.0.0.1", protocol), "m", "m")
    request = target.request({})
    exchange = Exchange(Conversation([user("hi")]), request, target.endpoint, Limits(retries=0))
    records: list[dict[str, Any]] = []
    pieces = [data]
    answer: Any = None
    while (want := exchange.next_want(answer)) is not None:
        answer = None
        assert not isinstance(want, Sleep)
        if isinstance(want, Emit):
            records += want.records
        elif isinstance(want, Open):
            answer = Opened(status, {})
        else:
            answer = pieces.pop() if pieces else b""
    return records, exchange


def check_nothing_shown_is_lost(records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The message of a reply, which must hold what was shown."""
    decoder = Decoder()
    read = [record for record, _ in [*decoder.feed(encode(records)), *decoder.eof()]]
    assert decoder.error is None
    assert len(read) == len(records)
    messages = [record for record in read if record["type"] == "message"]
    texts = [record for record in read if record["type"] == "text"]
    shown = "".join(record["chunk"] for record in sorted(texts, key=lambda record: record["part_index"]))
    assert len(messages) == ("start" in [record["type"] for record in read])
    if not messages:
        assert not shown
        return None
    [message] = messages
    replaced = {record["part_index"] for record in read if record["type"] == "part"}
    if not replaced:
        assert shown == "".join(part["text"] for part in message["parts"] if part["type"] == "text")
    node_hash(message)  # type: ignore[arg-type]
    inside = Decoder()
    inside.feed(dumps({"type": "conversation", "messages": [message], "meta": {}}) + b"\n")
    assert inside.error is None, "a conversation record does not hold it"
    return message


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_odd_value_costs_the_reply(protocol: str, odd: str, tmp_path: Path) -> None:
    recorder = Recorder()
    sent = [*with_odd_values(PROTOCOLS[protocol][3]), *with_odd_values(CALLS[protocol])]
    chosen = random.Random(protocol + odd).sample(sent, 25)
    for place, body in chosen:
        records, exchange = reply_to(protocol, body.replace(f'"{MARK}"'.encode(), ODD[odd].encode()))
        message = check_nothing_shown_is_lost(records)
        failure = exchange.failure
        assert failure is None or failure.exit_status in (1, 69, 75, 76), (place, failure)
        if message is not None:
            recorder.feed({"type": "message", "role": "user", "parts": [{"type": "text", "text": place}]})
            recorder.feed(message)
    recorder.eof()
    store = Store(tmp_path / "log.db")
    store.write(recorder.unsaved_conversations())
    assert verify(store)[1] == []
    store.close()


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_odd_value_in_the_body_of_an_error(protocol: str, odd: str) -> None:
    error = {"error": {"message": "slow down", "code": 1, "type": "rate_limit", "details": [{"retryDelay": "1s"}]}}
    for _, body in _changed(error):
        data = json.dumps(body).replace(f'"{MARK}"', ODD[odd]).encode()
        records, exchange = reply_to(protocol, data, status=429)
        assert check_nothing_shown_is_lost(records) is None
        assert exchange.failure is not None and exchange.failure.exit_status in (65, 75, 77, 78, 1)
