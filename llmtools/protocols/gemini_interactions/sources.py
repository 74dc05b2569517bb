"""Gemini Interactions, the sources of a text: annotations of the vendor's to ours and back.

Rule: the vendor's places are bytes of the text, ours are code points. A place that is not in the
text is kept as it came.
"""

from __future__ import annotations

from ..builder import with_metadata
from ..json_fields import code_points_of, string_or_empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..json_fields import JsonObject

_FIELDS = {
    "url_citation": {"url": "url", "title": "title"},
    "file_citation": {"url": "document_uri", "title": "file_name"},
    "place_citation": {"url": "url", "title": "name"},
}
"""Type of an annotation -> our names of its fields -> the vendor's."""


def annotation_of_source(source: JsonObject, text: str, issuer: str) -> JsonObject:
    """Return a source of the vendor's as an annotation of `text`."""
    kind = string_or_empty(source.get("type")) or "citation"
    annotation: JsonObject = {"kind": kind}
    rest = {name: value for name, value in source.items() if name != "type" and value is not None}
    for ours, theirs in _FIELDS.get(kind, {}).items():
        if string_or_empty(rest.get(theirs)):
            annotation[ours] = rest.pop(theirs)
    start, end = rest.get("start_index", 0), rest.get("end_index")
    span = code_points_of(text, start, end) if type(start) is int and type(end) is int else None
    if span is not None:
        annotation["start"], annotation["end"] = span
        rest = {name: value for name, value in rest.items() if name not in ("start_index", "end_index")}
    if rest:
        annotation["provider_metadata"] = {issuer: rest}
    return annotation


def source_of(annotation: JsonObject, text: str, own: JsonObject) -> JsonObject:
    """Return an annotation of `text` as a source of the vendor's; `own` is its metadata."""
    kind = annotation["kind"]
    source: JsonObject = {"type": kind}
    for ours, theirs in _FIELDS.get(kind, {}).items():
        if ours in annotation:
            source[theirs] = annotation[ours]
    for ours, theirs in (("start", "start_index"), ("end", "end_index")):
        if ours in annotation:
            source[theirs] = len(text[: annotation[ours]].encode("utf-8", "surrogatepass"))
    return with_metadata(source, own)
