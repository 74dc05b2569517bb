"""Gemini generateContent, the sources of a reply: grounding supports to annotations.

Rules:
* A segment is a stretch of bytes of one part's text; we count code points. Which part is
  meant is proved by the segment's own text, as the place that a server names is not always
  that of our part. A segment that stands nowhere annotates nothing.
* Each source of a segment is an annotation. The whole metadata is kept in details; nothing
  of it is sent back.

Facts: wire-protocols.md section 4.
"""

from __future__ import annotations

from ..reply_writer import objects_in, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FIELDS = (("uri", "url"), ("title", "title"), ("text", "cited_text"))


def _count(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


def _span(text: str, start: int, end: int, said: str) -> tuple[int, int] | None:
    """Return a stretch of bytes as one of code points, None where `said` does not stand there."""
    data = text.encode("utf-8", "surrogatepass")
    if start >= end or end > len(data):
        return None
    try:
        before, inside = data[:start].decode(), data[start:end].decode()
    except UnicodeDecodeError:
        return None
    return (len(before), len(before) + len(inside)) if not said or inside == said else None


def _place(segment: dict[str, Any], texts: dict[int, str]) -> tuple[int, int, int] | None:
    """Return the part and the code points that a segment means."""
    start, end = _count(segment.get("startIndex")), _count(segment.get("endIndex"))
    said = text_in(segment.get("text"))
    for index, text in texts.items():
        span = _span(text, start, end, said)
        if span is not None:
            return index, *span
    for index, text in texts.items():
        if said and text.count(said) == 1:
            at = text.find(said)
            return index, at, at + len(said)
    return None


def _source(chunk: dict[str, Any]) -> dict[str, str]:
    kind = next(
        (name for name in ("web", "retrievedContext", "maps", "image") if isinstance(chunk.get(name), dict)), ""
    )
    said = chunk.get(kind, {})
    return {"kind": kind or "grounding", **{ours: said[name] for name, ours in _FIELDS if text_in(said.get(name))}}


def annotations_of(grounding: dict[str, Any], texts: dict[int, str]) -> list[tuple[int, dict[str, Any]]]:
    """Return the annotations that grounding metadata makes, each with the place of its part;
    `texts` are the texts of the reply by place."""
    sources = [_source(chunk) for chunk in objects_in(grounding.get("groundingChunks"))]
    found: list[tuple[int, dict[str, Any]]] = []
    for support in objects_in(grounding.get("groundingSupports")):
        segment = support.get("segment")
        place = _place(segment, texts) if isinstance(segment, dict) else None
        indices = support.get("groundingChunkIndices")
        if place is None or not isinstance(indices, list):
            continue
        index, start, end = place
        for number in indices:
            if type(number) is int and 0 <= number < len(sources):
                found.append((index, {**sources[number], "start": start, "end": end}))
    return found
