"""What the tests of the Python library have in common: models at a scripted server, replies with
calls, and a tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import llmtools as llm
from llmtools import Event
from support.protocol_replies import anthropic_answer
from support.sample_conversations import sse
from support.server import Answer, Close, Server, head

BOTH = pytest.mark.parametrize("protocol", ["openai-chat", "anthropic"])


def model(server: Server, protocol: str) -> llm.Model:
    return llm.get_model("m", base_url=server.origin, protocol=protocol, key="k")


def async_model(server: Server, protocol: str) -> llm.AsyncModel:
    return llm.get_async_model("m", base_url=server.origin, protocol=protocol, key="k")


def chat_calls(*calls: tuple[str, str, str]) -> Answer:
    """A reply of Chat that says something and makes calls: (id, name, arguments)."""
    made = [
        {"index": place, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for place, (call_id, name, arguments) in enumerate(calls)
    ]
    events = sse(
        {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Three dogs: "}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": made}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}},
    )
    return [head(connection="close"), events, Close.FIN]


def anthropic_calls(*calls: tuple[str, str, str]) -> Answer:
    blocks = [
        {"type": "tool_use", "id": call_id, "name": name, "input": json.loads(arguments)}
        for call_id, name, arguments in calls
    ]
    return anthropic_answer("Three dogs: ", "tool_use", *blocks)


CALLS: dict[str, Callable[..., Answer]] = {"openai-chat": chat_calls, "anthropic": anthropic_calls}


def describe_dog(name: str, bio: str) -> str:
    """Record the name and biography of a dog."""
    return f"{name}: {bio}"


DOGS = [
    ("c1", "describe_dog", '{"name": "Rex", "bio": "old"}'),
    ("c2", "describe_dog", '{"name": "Ida", "bio": "new"}'),
]


def script(*calls: tuple[str, dict[str, Any]]) -> str:
    return json.dumps({"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in calls]})


def timeless(event: Event) -> dict[str, Any]:
    ours = str(event.response_id).startswith("resp_")  # an id that we make where the vendor gives none
    own_id = str(event.get("tool_call_id", "")).startswith("~")
    left_out = ("created", "timing", *(["response_id"] if ours else []), *(["tool_call_id"] if own_id else []))
    return {name: value for name, value in event.items() if name not in left_out}
