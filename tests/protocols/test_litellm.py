"""A LiteLLM proxy, which speaks Chat for other vendors: their signatures come in fields of its own and go back in them.

The shapes are those of https://docs.litellm.ai/docs/reasoning_content and of its page on Gemini 3.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from llmtools.protocols import load
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps, loads
from support.decoding import decoded, machines, user, whole
from support.sample_conversations import sse

Object = dict[str, Any]
ISSUER = "http://127.0.0.1:4000"
Decoder = machines("openai-chat")


def chunk(finish: str | None = None, **delta: Any) -> Object:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def thought(text: str, **block: Any) -> Object:
    """A delta with a piece of a thinking block, as LiteLLM sends it: three times."""
    pieces = [{"type": "thinking", "thinking": text, **block}]
    fields: Any = {"thinking_blocks": pieces, "provider_specific_fields": {"thinking_blocks": pieces}}
    return chunk(reasoning_content=text, content="", **fields)


def replied(*chunks: Object) -> Object:
    """Return the message of a stream, which is the same however it is cut."""
    data = sse(*chunks, chunk("stop")) + b"data: [DONE]\n\n"
    return whole(decoded(partial(Decoder, ISSUER), data, ISSUER), ISSUER)


def answered(message: Object) -> Object:
    """Return the message of a whole body."""
    body = {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return whole(Decoder(ISSUER).body(dumps(body)), ISSUER)


def sent_back(message: Object, issuer: str = ISSUER) -> tuple[Object, list[str]]:
    """Return the assistant message on the wire of the next turn, and the codes of the notices."""
    conversation = Conversation([user("hi"), message, user("go on")])
    http, notices = load("openai-chat").encode(conversation, Request("m", "m", issuer))
    sent: Object = loads(http.body)["messages"][1]
    return sent, [notice["code"] for notice in notices]


STREAMED: dict[str, tuple[list[Object], list[Object]]] = {
    "a thought and its signature": (
        [thought("Let me "), thought("see."), thought("", signature="EqoB"), chunk(content="Paris")],
        [{"type": "thinking", "thinking": "Let me see.", "signature": "EqoB"}],
    ),
    "the same piece twice": (
        [thought("ha"), thought("ha"), thought("", signature="S"), chunk(content="x")],
        [{"type": "thinking", "thinking": "haha", "signature": "S"}],
    ),
    "two thoughts": (
        [thought("a"), thought("", signature="1"), thought("b"), thought("", signature="2"), chunk(content="x")],
        [
            {"type": "thinking", "thinking": "a", "signature": "1"},
            {"type": "thinking", "thinking": "b", "signature": "2"},
        ],
    ),
    "a thought that is not shown": (
        [thought("", signature="S"), chunk(content="x")],
        [{"type": "thinking", "thinking": "", "signature": "S"}],
    ),
    "a thought that is encrypted": (
        [
            thought("a"),
            thought("", signature="1"),
            chunk(thinking_blocks=[{"type": "redacted_thinking", "data": "R"}]),
            chunk(content="x"),
        ],
        [{"type": "thinking", "thinking": "a", "signature": "1"}, {"type": "redacted_thinking", "data": "R"}],
    ),
    "without a signature": (
        [thought("a"), thought("b"), chunk(content="x")],
        [{"type": "thinking", "thinking": "ab"}],
    ),
}


@pytest.mark.parametrize("name", STREAMED)
def test_thinking_blocks_go_back(name: str) -> None:
    chunks, blocks = STREAMED[name]
    message = replied(*chunks)
    reasoning = [part for part in message["parts"] if part["type"] == "reasoning"]
    assert [part["text"] for part in reasoning] == [block.get("thinking", "") for block in blocks]
    assert [part.get("redacted", False) for part in reasoning] == ["data" in block for block in blocks]
    sent, notices = sent_back(message)
    assert sent["thinking_blocks"] == blocks
    assert notices == []
    assert "reasoning_content" not in sent and "provider_specific_fields" not in sent
    other, notices = sent_back(message, "http://elsewhere")
    assert (set(other), notices) == ({"role", "content"}, ["dropped_reasoning"])


@pytest.mark.parametrize("name", STREAMED)
def test_a_whole_body_gives_the_same_parts(name: str) -> None:
    chunks, blocks = STREAMED[name]
    text = "".join(block.get("thinking", "") for block in blocks)
    content = chunks[-1]["choices"][0]["delta"]["content"]
    fields = {"thinking_blocks": blocks, "provider_specific_fields": {"citations": None, "thinking_blocks": blocks}}
    message = answered({"role": "assistant", "content": content, "reasoning_content": text, **fields})
    assert message["parts"] == replied(*chunks)["parts"]


@pytest.mark.parametrize("blocks", [None, [], [{}], "x", {}, [None], [{"type": "thinking", "thinking": None}]])
def test_reasoning_without_blocks_is_read_as_ever(blocks: Any) -> None:
    message = replied(chunk(reasoning_content="hm", thinking_blocks=blocks), chunk(content="x"))
    texts = [part["text"] for part in message["parts"] if part["type"] == "reasoning" and part["text"]]
    assert texts == ["hm"]


CALL = {"name": "f", "arguments": "{}"}
SIGNED: Object = {"provider_specific_fields": {"thought_signature": "AQ=="}}


@pytest.mark.parametrize(
    "call",
    [
        {"function": CALL, **SIGNED},
        {"function": {**CALL, **SIGNED}},
        {"function": {**CALL, **SIGNED}, **SIGNED},
        {"function": CALL, "extra_content": {"google": {"thought_signature": "AQ=="}}, **SIGNED},
        {"function": CALL},
    ],
)
def test_fields_of_a_call_go_back(call: Object) -> None:
    call = {"id": "call_1__thought__AQ", "type": "function", **call}
    for message in (
        replied(chunk(tool_calls=[{"index": 0, **call}])),
        replied(
            chunk(tool_calls=[{"index": 0, **call, "function": {**call["function"], "arguments": ""}}]),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
        ),
        answered({"role": "assistant", "content": None, "tool_calls": [call]}),
    ):
        [part] = message["parts"]
        assert (part["name"], part["arguments"]) == ("f", {})
        sent, _ = sent_back(message)
        assert sent["tool_calls"] == [call]
        assert "provider_specific_fields" not in dumps(sent_back(message, "http://elsewhere")[0]).decode()


@pytest.mark.parametrize(
    ("deltas", "fields"),
    [
        ([{"thought_signatures": ["a"]}], {"thought_signatures": ["a"]}),
        ([{"thought_signatures": ["a"]}, {"thought_signatures": ["a", "b"]}], {"thought_signatures": ["a", "b"]}),
        ([{"citations": None, "thought_signatures": ["a"]}, None, {}], {"thought_signatures": ["a"]}),
        ([{"container": {"id": "c1"}}, {"container": {"id": "c2"}}], {"container": {"id": "c2"}}),
        ([{"citations": None, "thinking_blocks": [{"type": "thinking"}]}], None),
    ],
)
def test_fields_of_a_message_go_back(deltas: list[Any], fields: Any) -> None:
    message = replied(*(chunk(content="x", provider_specific_fields=delta) for delta in deltas))
    assert sent_back(message)[0].get("provider_specific_fields") == fields
    assert "provider_specific_fields" not in sent_back(message, "http://elsewhere")[0]
