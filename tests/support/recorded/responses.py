"""OpenAI Responses, as recorded."""

from __future__ import annotations

import json

from support.decoding import machines
from support.paths import RECORDINGS
from support.recordings import ISSUER, Object, fed, names

Decoder = machines("openai-responses")

STREAMS = names("responses/*.sse", "responses/*.jsonl", "synthetic/responses__*")
ALL_BODIES = names("responses/unary/*.json")
QUEUED = [name for name in ALL_BODIES if json.loads((RECORDINGS / name).read_bytes())["status"] == "queued"]
BODIES = [name for name in ALL_BODIES if name not in QUEUED]


def decode(*pieces: bytes) -> list[Object]:
    return fed(Decoder(ISSUER), *pieces)


def events_of(data: bytes) -> list[Object]:
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    payloads = [line[5:].strip() for line in lines if line.startswith(b"data:")]
    return [json.loads(payload) for payload in payloads if payload != b"[DONE]"]


def final_items(data: bytes) -> list[Object]:
    """The items of a stream as they are when each is done, in their order."""
    done = [event for event in events_of(data) if event["type"] == "response.output_item.done"]
    return [event["item"] for event in sorted(done, key=lambda event: event["output_index"])]


def without_empty(value: Object, *names: str) -> Object:
    return {name: item for name, item in value.items() if item not in (None, "", [], {}) and name not in names}


def less_output_only(items: list[Object]) -> list[Object]:
    """Items as they may be sent back: without what is null or empty, without log-probabilities,
    and without reasoning that has no ciphertext and no open text."""
    kept = []
    for item in items:
        said = without_empty(item)
        if said["type"] == "message":
            said["content"] = [
                {"text": "", **without_empty(block, "logprobs")}
                if block["type"] == "output_text"
                else without_empty(block)
                for block in said.get("content", ())
            ]
        is_lost = said["type"] == "reasoning" and not said.get("encrypted_content") and not said.get("content")
        if not is_lost:
            kept.append(said)
    return kept
