"""Ollama, as recorded."""

from __future__ import annotations

import json

from support.decoding import machines
from support.recordings import ISSUER, Object, fed, names

Decoder = machines("ollama")

STREAMS = names("ollama/*.ndjson", "synthetic/ollama__*")
BODIES = names("ollama/unary/*.json")


def decode(*pieces: bytes) -> list[Object]:
    return fed(Decoder(ISSUER), *pieces)


def final_message(data: bytes) -> Object:
    """The message that the lines of a stream make, without the code under test."""
    said = [json.loads(line).get("message", {}) for line in data.splitlines() if line.strip()]
    message: Object = {"role": "assistant"}
    for field in ("content", "thinking"):
        message[field] = "".join([item.get(field) or "" for item in said])
    message["tool_calls"] = [call for item in said for call in item.get("tool_calls") or ()]
    return message


def compared(message: Object) -> Object:
    """A message without empty fields and without the `type` of calls, which no reply has."""
    kept = {name: value for name, value in message.items() if value}
    if "tool_calls" in kept:
        kept["tool_calls"] = [
            {name: value for name, value in call.items() if name != "type"} for call in kept["tool_calls"]
        ]
    return kept
