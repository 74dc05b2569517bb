"""Gemini, as recorded."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

from support.decoding import machines
from support.recordings import ISSUER, Object, fed, names

Decoder = machines("gemini")

STREAMS = names("gemini/*.sse", "gemini/*.jsonl")
BODIES = names("gemini/unary/*.json")


def chunks_of(data: bytes) -> list[Object]:
    """The chunks of a stream or a body, read without the code under test."""
    if data.lstrip().startswith((b"{", b"[")):
        body = json.loads(data)
        return body if isinstance(body, list) else [body]
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]


def decode(*pieces: bytes) -> list[Object]:
    return fed(Decoder(ISSUER), *pieces)


def final_parts(data: bytes) -> list[Object]:
    """The parts of a stream or a body, those of unsigned text that follow each other joined."""
    candidates = [item for chunk in chunks_of(data) for item in chunk.get("candidates", ()) if not item.get("index")]
    return joined([part for item in candidates for part in item.get("content", {}).get("parts", ())])


def joined(parts: list[Object]) -> list[Object]:
    found: list[Object] = []
    growing: Object | None = None
    for part in map(camel, parts):
        item = {name: value for name, value in part.items() if not (name == "thought" and value is False)}
        call = item.get("functionCall")
        if call is not None and "name" not in call:
            for piece in call.get("partialArgs", ()):
                assert growing is not None
                add_piece(growing["functionCall"]["args"], piece)
            continue
        last = found[-1] if found else {}
        if call is not None:
            growing = item
            item["functionCall"] = {"args": {}} | {k: v for k, v in call.items() if k != "willContinue"}
            found.append(item)
        elif item.keys() <= {"text", "thought"} and last.keys() == item.keys():
            last["text"] += item["text"]
        elif item.keys() != {"text"} or item["text"]:
            found.append(item)
    return found


def add_piece(holder: Any, piece: Object) -> None:
    """Put a piece of arguments at its path."""
    steps = [int(at) if at else name for name, at in re.findall(r"([A-Za-z_]+)|\[(\d+)\]", piece["jsonPath"])]
    [value] = [item for name, item in piece.items() if name.endswith("Value")]
    for step, following in pairwise(steps):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(step, int) and step == len(holder):
            holder.append(empty)
        elif isinstance(step, str):
            holder.setdefault(step, empty)
        holder = holder[step]
    last = steps[-1]
    if isinstance(last, int) and last == len(holder):
        holder.append(value)
    elif isinstance(last, str) and last not in holder:
        holder[last] = value
    else:
        holder[last] += value


def camel(part: Object) -> Object:
    """A part with Google's names: snake case is taken too."""
    return {re.sub(r"_([a-z])", lambda match: match[1].upper(), name): value for name, value in part.items()}


def compared(parts: list[Object]) -> list[Object]:
    """Parts without what is absent or empty either way."""
    found = []
    for part in map(camel, parts):
        item = dict(part)
        for name in ("functionCall", "toolCall"):
            if name in item:
                item[name] = {"args": {}} | camel(item[name])
        found.append(item)
    return found
