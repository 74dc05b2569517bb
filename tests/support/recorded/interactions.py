"""Gemini Interactions, as recorded."""

from __future__ import annotations

import json
from typing import Any

from support.decoding import machines
from support.recordings import ISSUER, Object, fed, names

Decoder = machines("gemini-interactions")

STREAMS = names("interactions/*.chunks.jsonl")
BODIES = names("interactions/*.json")


def decode(*pieces: bytes) -> list[Object]:
    return fed(Decoder(ISSUER), *pieces)


def events_of(data: bytes) -> list[Object]:
    return [json.loads(line[5:]) for line in data.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data:")]


def final_steps(data: bytes) -> list[Object]:
    """The steps of a stream as they are when each is whole, made without the code under test."""
    steps: dict[int, Object] = {}
    arguments: dict[int, str] = {}
    for event in events_of(data):
        if event["event_type"] == "step.start":
            steps[event["index"]] = dict(event["step"])
        elif event["event_type"] == "step.delta":
            delta = dict(event["delta"])
            kind, step = delta.pop("type"), steps[event["index"]]
            if kind == "text":
                contents: list[Any] = step.setdefault("content", [{"type": "text", "text": ""}])
                contents[-1]["text"] += delta["text"]
            elif kind == "text_annotation_delta":
                step["content"][-1].setdefault("annotations", []).extend(delta["annotations"])
            elif kind == "arguments_delta":
                arguments[event["index"]] = arguments.get(event["index"], "") + delta["arguments"]
            else:
                assert kind in (step["type"], "thought_signature"), kind
                step.update(delta)
    for index, text in arguments.items():
        steps[index]["arguments"] = json.loads(text)
    return [steps[index] for index in sorted(steps)]


def less_output_only(steps: list[Object]) -> list[Object]:
    """Steps as they may be sent back: without empty signatures."""
    return [{name: value for name, value in step.items() if (name, value) != ("signature", "")} for step in steps]
