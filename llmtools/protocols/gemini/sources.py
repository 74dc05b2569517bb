"""Gemini, the sources of a reply: grounding supports to annotations.

Rules:
* A segment is a range of bytes of one part's text; our places are code points. The place that
  a server names is not always that of our part, so the segment's own text decides which part
  it belongs to. A segment that is found in no part makes no annotation.
* Each source of a segment is an annotation. The whole metadata is kept in details and never
  sent back.
"""

from __future__ import annotations

from ..json_fields import code_points_of, count_of, objects_of, string_or_empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..json_fields import JsonObject

_SOURCE_KINDS = ("web", "retrievedContext", "maps", "image")
_SOURCE_FIELDS = (("uri", "url"), ("sourceUri", "url"), ("title", "title"), ("text", "cited_text"))


def _span(text: str, start: int, end: int, segment_text: str) -> tuple[int, int] | None:
    """Return a range of bytes as one of code points, None if the text there is not `segment_text`."""
    span = code_points_of(text, start, end)
    return span if span is None or not segment_text or text[slice(*span)] == segment_text else None


def _place(segment: JsonObject, texts: dict[int, str]) -> tuple[int, int, int] | None:
    """Return (part_index, start, end) of a segment, in code points; None if no text has it."""
    start, end = count_of(segment, "startIndex"), count_of(segment, "endIndex")
    segment_text = string_or_empty(segment.get("text"))
    for index, text in texts.items():
        span = _span(text, start, end, segment_text)
        if span is not None:
            return index, *span
    for index, text in texts.items():
        if segment_text and text.count(segment_text) == 1:
            at = text.find(segment_text)
            return index, at, at + len(segment_text)
    return None


def _source(chunk: JsonObject) -> dict[str, str]:
    kind = next((name for name in _SOURCE_KINDS if isinstance(chunk.get(name), dict)), "")
    source = chunk.get(kind, {})
    fields = {ours: source[name] for name, ours in _SOURCE_FIELDS if string_or_empty(source.get(name))}
    return {"kind": kind or "grounding", **fields}


def annotations_of(grounding: JsonObject, texts: dict[int, str]) -> list[tuple[int, JsonObject]]:
    """Return (part_index, annotation) for each source that grounding metadata gives for a text.

    texts: part_index -> text of the reply.
    """
    sources = [_source(chunk) for chunk in objects_of(grounding.get("groundingChunks"))]
    annotations: list[tuple[int, JsonObject]] = []
    for support in objects_of(grounding.get("groundingSupports")):
        segment = support.get("segment")
        place = _place(segment, texts) if isinstance(segment, dict) else None
        indices = support.get("groundingChunkIndices")
        if place is None or not isinstance(indices, list):
            continue
        index, start, end = place
        for number in indices:
            if type(number) is int and 0 <= number < len(sources):
                annotations.append((index, {**sources[number], "start": start, "end": end}))
    return annotations
