"""OpenAI Responses, the parts of a reply as they grow: texts with their sources, calls, images.

Rules:
* What was said by chunks is compared with what the vendor says in the end: the rest of it
  is said then; where the two differ, the whole part is given anew.
* A free text that is an argument (a custom tool's input, code) is streamed as the JSON
  text of an object with that one member.
* A source is said once, though it comes with an event and again with the item.

Facts: wire-protocols.md section 2.
"""

from __future__ import annotations

from ...errors import InputError
from ...records.fold import parse_arguments
from ...records.jsonl import dumps
from ..reply_writer import text_in
from .calls import (
    BARE,
    arguments_in,
    exception_in,
    field_of,
    id_of,
    is_served,
    name_of,
    output_in,
    rest_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..reply_writer import Draft

    Wire = dict[str, Any]

_IMAGES = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"RIFF", "image/webp"), (b"GIF8", "image/gif"))
_SOUNDS = ((b"RIFF", "audio/wav"), (b"ID3", "audio/mpeg"), (b"\xff", "audio/mpeg"), (b"fLaC", "audio/flac"))
_PLACED = ("url_citation", "container_file_citation")


def _mended(text: str) -> str:
    """Return a text with the halves of surrogate pairs joined, as `Draft` says it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Slot:
    """The place that was announced for an item and that its first part takes; `index` is
    None where there is none."""

    def __init__(self) -> None:
        self.index: int | None = None

    def take(self, draft: Draft) -> int:
        """Return the place of the next part."""
        index, self.index = self.index, None
        return draft.next() if index is None else index


class Text:
    """A text, a refusal or a reasoning: `index` is its place, None while it has none."""

    def __init__(self, draft: Draft, kind: str, slot: Slot, phase: str = "") -> None:
        self.index: int | None = None
        self.chunks: list[str] = []
        self._draft = draft
        self._kind = kind
        self._slot = slot
        self._fields = {"phase": phase} if phase else {}
        self._cited: list[Any] = []
        self._annotations: list[Wire] = []

    @property
    def place(self) -> int:
        """The part's place, which it now has."""
        if self.index is None:
            self.index = self._slot.take(self._draft)
        return self.index

    def say(self, chunk: str) -> None:
        """Add a chunk."""
        if chunk:
            fields: dict[str, Any] = self._fields if self.index is None else {}
            self.chunks.append(chunk)
            self._draft.say(self._kind, chunk, self.place, **fields)

    def settle(self, whole: str) -> None:
        """Take the whole text, if it is told."""
        said = "".join(self.chunks)
        if not whole or whole == said or _mended(whole) == _mended(said):
            return
        if whole.startswith(said):
            self.say(whole[len(said) :])
            return
        self.chunks = [whole]
        part: Wire = {"type": self._kind, "text": _mended(whole), **self._fields}
        if self._annotations:
            part["annotations"] = self._annotations
        self._draft.add({"type": "part", "part_index": self.place, "part": part})

    def cite(self, annotation: Wire) -> None:
        """Add a source, which only a text has."""
        if self._kind != "text":
            return
        self._cited.append(annotation)
        self._annotations.append(annotation_of(annotation, self._draft.issuer))
        self._draft.add({"type": "annotation", "part_index": self.place, "annotation": self._annotations[-1]})

    def settle_sources(self, annotations: list[Wire]) -> None:
        """Take all sources: those not yet said are."""
        said = list(self._cited)
        for annotation in annotations:
            if annotation in said:
                said.remove(annotation)
            else:
                self.cite(annotation)

    def end(self, metadata: Wire, phase: str = "") -> None:
        """Add the metadata, which is all that a part without text may have."""
        fields: Wire = dict(self._fields) if self.index is None else {}
        if phase and phase != self._fields.get("phase"):
            fields["phase"] = phase
        if self._kind == "reasoning" and not self.chunks and "block" not in metadata:
            fields["redacted"] = True
        if metadata or (fields and self.index is not None):
            self._draft.say(self._kind, "", self.place, metadata, **fields)


def annotation_of(annotation: Wire, issuer: str) -> Wire:
    """Return a source of the vendor's as ours."""
    kind = text_in(annotation.get("type")) or "citation"
    said: Wire = {"kind": kind}
    rest = {name: value for name, value in annotation.items() if name != "type"}
    for ours, theirs in cited_fields(kind).items():
        if text_in(rest.get(theirs)):
            said[ours] = rest.pop(theirs)
    start, end = rest.get("start_index"), rest.get("end_index")
    if kind in _PLACED and type(start) is int and type(end) is int and 0 <= start < end:
        said["start"], said["end"] = rest.pop("start_index"), rest.pop("end_index")
    if rest:
        said["provider_metadata"] = {issuer: rest}
    return said


def cited_fields(kind: str) -> dict[str, str]:
    """Return our fields of an annotation and the vendor's, for a kind of source."""
    return {"url": "url", "title": "title"} if kind == "url_citation" else {"title": "filename"}


class Call:
    """A call as it comes, and what the server's own tool gave back."""

    def __init__(self, draft: Draft, item: Wire, ids: set[str]) -> None:
        self._draft = draft
        self._index = draft.next()
        given = id_of(item)
        self._id = given if given and given not in ids else f"~{self._index}"
        ids.add(self._id)
        self._name = name_of(item)
        self._raw: list[str] = []
        self._is_open = False
        self.is_served = is_served(item)
        self._say_name(self._name)

    def _say_name(self, chunk: str, metadata: Wire | None = None) -> None:
        served = {"server_executed": True} if self.is_served else {}
        self._draft.say("tool_call_name", chunk, self._index, metadata, tool_call_id=self._id, **served)

    def say(self, field: str, chunk: str) -> None:
        """Add a chunk of the arguments, that stand in a field of the item."""
        if not chunk:
            return
        self._raw.append(chunk)
        if field in BARE:
            chunk = _escaped(chunk)
            if not self._is_open:
                self._is_open, chunk = True, '{"' + field + '":"' + chunk
        self._draft.say("tool_call_args", chunk, self._index, tool_call_id=self._id)

    def settle(self, field: str, whole: str) -> None:
        """Take the whole arguments, as they stand in a field, if they are told."""
        said = "".join(self._raw)
        if whole.startswith(said):
            self.say(field, whole[len(said) :])
        elif whole:
            self._raw = [whole]
            self._replace(dumps({field: _mended(whole)}).decode() if field in BARE else _mended(whole))

    def _replace(self, text: str) -> None:
        self._is_open = False
        part = {"type": "tool_call", "name": self._name, **parse_arguments(text), "tool_call_id": self._id}
        part |= {"server_executed": True} if self.is_served else {}
        self._draft.add({"type": "part", "part_index": self._index, "part": part})

    def close(self) -> None:
        """End a free text."""
        if self._is_open:
            self._is_open = False
            self._draft.say("tool_call_args", '"}', self._index, tool_call_id=self._id)

    def end(self, item: Wire) -> None:
        """Take the whole item."""
        field = field_of(item)
        value = item.get(field)
        if isinstance(value, str):
            self.settle(field, value)
        elif not self._raw:
            self.settle("", arguments_in(item))
        self.close()
        served = is_served(item)
        name = name_of(item) if not self._name else ""
        metadata = rest_of(item, self._id)
        if metadata or name or served is not self.is_served:
            self.is_served = served
            self._say_name(name, metadata)
        self._name = self._name or name
        output, exception = output_in(item), exception_in(item)
        if self.is_served and (output or exception):
            failed = {"exception": exception} if exception else {}
            named = {"tool_call_id": self._id, "tool_name": self._name, "server_executed": True}
            of = {"of": text_in(item.get("id")) or self._id}
            self._draft.say("tool_result", output, self._draft.next(), of, **named, **failed)


def _escaped(text: str) -> str:
    """Return a text as it stands between the quotes of a JSON string; half a character stays."""
    try:
        return dumps(text).decode()[1:-1]
    except InputError:
        import json

        return json.dumps(text, ensure_ascii=False)[1:-1]


def _bytes_of(content: str) -> bytes:
    """Return what base64 says, nothing for what is none."""
    from binascii import Error, a2b_base64

    try:
        return a2b_base64(content)
    except Error:
        return b""


def image_of(item: Wire, content: str) -> Wire | None:
    """Return an image that the model made as an attachment, None for what is no image."""
    data = _bytes_of(content)
    told = f"image/{text_in(item.get('output_format')) or 'png'}"
    kind = next((kind for magic, kind in _IMAGES if data.startswith(magic)), told)
    return {"type": kind, "content": content} if data else None


def sound_type(content: str) -> str:
    """Return the type of a sound by its first piece, "" for what is no base64."""
    data = _bytes_of(content)
    return next((kind for magic, kind in _SOUNDS if data.startswith(magic)), "audio/pcm") if data else ""
