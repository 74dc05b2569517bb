"""OpenAI Responses, the parts of a reply as they grow: texts with their sources, calls, images.

Rules:
* The vendor sends a text in chunks and then whole. The whole is compared with the chunks: if
  these are its beginning, the rest is added; if not, the whole replaces the part.
* A free text that is an argument (a custom tool's input, code) becomes the JSON text of an object
  with that one member.
* A source that comes with an event and again with the item is added once.
"""

from __future__ import annotations

from ...records.fold import parse_arguments
from ...records.mending import join_halves
from ..json_fields import inside_of_string, object_in_chunks, string_of, string_or_empty
from ..media_types import bytes_of_base64, image_type
from .calls import (
    APPROVAL,
    BARE_FIELDS,
    arguments_in,
    call_metadata,
    exception_in,
    field_of,
    id_of,
    is_served,
    name_of,
    output_in,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..json_fields import JsonObject
    from ..reply_writer import ReplyWriter

_RANGED_KINDS = ("url_citation", "container_file_citation")


class Slot:
    """The part_index that an item has announced; its first part takes it. None if there is none."""

    def __init__(self) -> None:
        self.index: int | None = None

    def take(self, writer: ReplyWriter) -> int:
        """Return the part_index of the next part."""
        index, self.index = self.index, None
        return writer.new_index() if index is None else index


class Text:
    """A text, a refusal or a reasoning.

    index: its part_index, None until it has one. chunks: those that have come.
    """

    def __init__(self, writer: ReplyWriter, kind: str, slot: Slot, phase: str = "") -> None:
        self.index: int | None = None
        self.chunks: list[str] = []
        self._writer = writer
        self._kind = kind
        self._slot = slot
        self._fields = {"phase": phase} if phase else {}
        self._citations: list[JsonObject] = []
        self._annotations: list[JsonObject] = []

    def _take_index(self) -> int:
        if self.index is None:
            self.index = self._slot.take(self._writer)
        return self.index

    def add(self, chunk: str) -> None:
        """Add a chunk."""
        if chunk:
            fields: dict[str, Any] = self._fields if self.index is None else {}
            self.chunks.append(chunk)
            self._writer.add_chunk(self._kind, chunk, self._take_index(), **fields)

    def complete(self, whole: str) -> None:
        """Take the whole text, "" if it is not known."""
        so_far = "".join(self.chunks)
        if not whole or whole == so_far or join_halves(whole) == join_halves(so_far):
            return
        if whole.startswith(so_far):
            self.add(whole[len(so_far) :])
            return
        self.chunks = [whole]
        part: JsonObject = {"type": self._kind, "text": join_halves(whole), **self._fields}
        if self._annotations:
            part["annotations"] = self._annotations
        self._writer.add({"type": "part", "part_index": self._take_index(), "part": part})

    def cite(self, citation: JsonObject) -> None:
        """Add a source. Refusals and reasoning have none."""
        if self._kind != "text":
            return
        self._citations.append(citation)
        annotation = annotation_of(citation, self._writer.issuer)
        self._annotations.append(annotation)
        self._writer.add({"type": "annotation", "part_index": self._take_index(), "annotation": annotation})

    def complete_sources(self, citations: list[JsonObject]) -> None:
        """Take all sources; add those that have not come yet."""
        earlier = list(self._citations)
        for citation in citations:
            if citation in earlier:
                earlier.remove(citation)
            else:
                self.cite(citation)

    def end(self, metadata: JsonObject, phase: str = "") -> None:
        """Add the metadata. A part without text may have nothing else."""
        fields: JsonObject = dict(self._fields) if self.index is None else {}
        if phase and phase != self._fields.get("phase"):
            fields["phase"] = phase
        if self._kind == "reasoning" and not self.chunks and "block" not in metadata:
            fields["redacted"] = True
        if metadata or (fields and self.index is not None):
            self._writer.add_chunk(self._kind, "", self._take_index(), metadata, **fields)


def annotation_of(citation: JsonObject, issuer: str) -> JsonObject:
    """Return a source of the vendor's as an annotation."""
    kind = string_or_empty(citation.get("type")) or "citation"
    annotation: JsonObject = {"kind": kind}
    rest = {name: value for name, value in citation.items() if name != "type"}
    for ours, theirs in annotation_fields(kind).items():
        if string_or_empty(rest.get(theirs)):
            annotation[ours] = rest.pop(theirs)
    start, end = rest.get("start_index"), rest.get("end_index")
    if kind in _RANGED_KINDS and type(start) is int and type(end) is int and 0 <= start < end:
        annotation["start"], annotation["end"] = rest.pop("start_index"), rest.pop("end_index")
    if rest:
        annotation["provider_metadata"] = {issuer: rest}
    return annotation


def annotation_fields(kind: str) -> dict[str, str]:
    """Return the names of an annotation's fields -> the vendor's names in a source of that type."""
    return {"url": "url", "title": "title"} if kind == "url_citation" else {"title": "filename"}


class CallPart:
    """A call that is coming in, and the result of the server's own tool.

    is_served: whether the server runs it. are_custom_served: whether it runs custom calls too.
    """

    def __init__(
        self, writer: ReplyWriter, item: JsonObject, ids: set[str], *, are_custom_served: bool = False
    ) -> None:
        self._writer = writer
        self._index = writer.new_index()
        call_id = id_of(item)
        self._id = call_id if call_id and call_id not in ids else f"~{self._index}"
        ids.add(self._id)
        self._ids = ids
        self._name = name_of(item)
        self._raw: list[str] = []
        self._is_open = False
        self._are_custom_served = are_custom_served
        self.is_served = self._is_served(item)
        self._needs_approval = item.get("type") == APPROVAL
        self._add_name(self._name)

    def _is_served(self, item: JsonObject) -> bool:
        return is_served(item) or (self._are_custom_served and item.get("type") == "custom_tool_call")

    def _flags(self) -> JsonObject:
        approval = {"needs_approval": True} if self._needs_approval else {}
        return {"server_executed": True} if self.is_served else approval

    def _add_name(self, chunk: str, metadata: JsonObject | None = None) -> None:
        flags = self._flags()
        self._writer.add_chunk("tool_call_name", chunk, self._index, metadata, tool_call_id=self._id, **flags)

    def add(self, field: str, chunk: str) -> None:
        """Add a chunk of the arguments; `field` is the field of the item that has them."""
        if not chunk:
            return
        self._raw.append(chunk)
        if field in BARE_FIELDS:
            chunk = inside_of_string(chunk)
            if not self._is_open:
                self._is_open, chunk = True, '{"' + field + '":"' + chunk
        self._writer.add_chunk("tool_call_args", chunk, self._index, tool_call_id=self._id)

    def complete(self, field: str, whole: str) -> None:
        """Take the whole arguments, "" if they are not known."""
        so_far = "".join(self._raw)
        if whole.startswith(so_far):
            self.add(field, whole[len(so_far) :])
        elif whole:
            self._raw = [whole]
            whole = join_halves(whole)
            self._replace(string_of({field: whole}) if field in BARE_FIELDS else whole)

    def _replace(self, arguments: str) -> None:
        self._is_open = False
        part = {"type": "tool_call", "name": self._name, **parse_arguments(arguments), "tool_call_id": self._id}
        part |= self._flags()
        self._writer.add({"type": "part", "part_index": self._index, "part": part})

    def _close(self) -> None:
        """End a free text, which is a JSON string."""
        if self._is_open:
            self._is_open = False
            self._writer.add_chunk("tool_call_args", '"}', self._index, tool_call_id=self._id)

    def end(self, item: JsonObject) -> None:
        """Take the whole item."""
        field = field_of(item)
        value = item.get(field)
        if isinstance(value, str):
            self.complete(field, value)
        elif not self._raw:
            self.complete("", arguments_in(item))
        text = None if self._is_open or item.get("status") == "incomplete" else object_in_chunks(["".join(self._raw)])
        if text is not None:
            self._replace(join_halves(text))
        self._close()
        served = self._is_served(item)
        name = name_of(item) if not self._name else ""
        final_id = id_of(item)
        is_renamed = final_id not in ("", self._id) and not self._id.startswith("~") and final_id not in self._ids
        if is_renamed:  # the client's tool search
            self._id = final_id
            self._ids.add(final_id)
        metadata = call_metadata(item, self._id)
        if metadata or name or is_renamed or served is not self.is_served:
            self.is_served = served
            self._add_name(name, metadata)
        self._name = self._name or name
        if self.is_served:
            self._add_result(item)
        elif self._needs_approval:
            server = string_or_empty(item.get("server_label")) or "its server"
            message = f"the provider asks whether to run {self._name} of {server} (llm-tools run --ask answers)"
            self._writer.notice("approval", message)

    def _add_result(self, item: JsonObject) -> None:
        output, exception = output_in(item), exception_in(item)
        if not output and not exception:
            return
        fields: dict[str, Any] = {"tool_call_id": self._id, "tool_name": self._name, "server_executed": True}
        if exception:
            fields["exception"] = exception
        metadata = {"of": string_or_empty(item.get("id")) or self._id}
        self._writer.add_chunk("tool_result", output, self._writer.new_index(), metadata, **fields)


def image_of(item: JsonObject, content: str) -> JsonObject | None:
    """Return an image that the model made as an attachment, None if `content` is not base64."""
    data = bytes_of_base64(content)
    default = f"image/{string_or_empty(item.get('output_format')) or 'png'}"
    return {"type": image_type(data, default), "content": content} if data else None
