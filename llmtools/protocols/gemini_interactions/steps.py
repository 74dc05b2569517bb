"""Gemini Interactions, the steps of a reply as they grow.

Rules:
* The contents of a `model_output` and of a `thought` are parts. Pieces of text that follow each
  other are one content, and so are pieces of sound and film.
* provider_metadata: the first part of such a step has the fields of the step, the others have
  {"of": NUMBER OF THE STEP}. `block` holds the fields of a content beside its text or file, or
  the whole content if it is not a part of ours. `thought` marks a file that is part of a thought.
* A thought without a text, which the provider has hidden, is a redacted reasoning.
* The chunks of a function's arguments go on as they come. The call of a server's tool and its
  result come in pieces of any shape: they are gathered until the step is whole.
* A step of another type is kept whole, under the vendor's name.
* An empty content, and a step that has nothing but its type, make no part.
"""

from __future__ import annotations

from ..json_fields import list_of, objects_of, string_of, string_or_empty, unhandled_fields
from ..reply_writer import PART_TYPES
from .calls import RESULTS, SERVER_CALLS, arguments_text, call_fields, readable_result, result_fields, tool_name
from .media import KINDS, attachment_of
from .sources import annotation_of_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..json_fields import JsonObject
    from ..reply_writer import ReplyWriter

_GROWING_KINDS = ("audio", "video")
_ANNOTATION_DELTAS = ("text_annotation_delta", "text_annotation")
_TEXT_FIELDS = frozenset(("type", "text", "annotations"))
_FUNCTION_FIELDS = frozenset(("type", "id", "name", "arguments"))


class Tally:
    """What the steps of a reply know of each other.

    call_ids: the ids of all calls. names: id of a call -> name of its tool. answered: the ids of the
    calls that have results. last: the step of contents that has added the last part of all. error:
    the error that a step has.
    """

    def __init__(self) -> None:
        self.call_ids: set[str] = set()
        self.names: dict[str, str] = {}
        self.answered: set[str] = set()
        self.last: Step | None = None
        self.error: JsonObject = {}

    def new_id(self, step: JsonObject, index: int) -> str:
        """Return the id of a call: that of its step, or a new one if that is empty, or not the first."""
        call_id = string_or_empty(step.get("id"))
        call_id = call_id if call_id and call_id not in self.call_ids else f"~{index}"
        self.call_ids.add(call_id)
        return call_id


class Step:
    """A step that is coming in. This one is kept whole.

    is_done: whether it has ended.
    """

    def __init__(self, writer: ReplyWriter, tally: Tally, number: int, fields: JsonObject) -> None:
        self.is_done = False
        self._kind = string_or_empty(fields.get("type"))
        self._writer = writer
        self._tally = tally
        self._number = number
        self._fields = dict(fields)
        self._begin()

    def _begin(self) -> None:
        """Take the fields with which the step begins."""

    def take(self, delta: JsonObject) -> None:
        """Take the next piece."""
        for name, value in delta.items():
            if name != "type" and value not in (None, ""):
                self._fields[name] = _with_more(self._fields.get(name), value, is_text=name == "result")

    def end(self) -> None:
        """Take the end of the step."""
        self.is_done = True
        self._finish()

    def _finish(self) -> None:
        if unhandled_fields(self._fields, frozenset(("type",))):
            self._add_raw(self._kind, self._fields)

    def _new_index(self) -> int:
        self._tally.last = self
        return self._writer.new_index()

    def _add_raw(self, kind: str, metadata: JsonObject) -> None:
        """Add a part that is kept whole."""
        kind = f"{kind or 'unknown'}_step" if kind in PART_TYPES else kind
        part = {"type": kind, "provider_metadata": {self._writer.issuer: metadata}}
        self._writer.add({"type": "part", "part_index": self._new_index(), "part": part})


def _with_more(before: object, value: object, *, is_text: bool) -> object:
    """Return the value of a field that comes again: texts (of a result), lists and objects grow."""
    if isinstance(before, list) and isinstance(value, list):
        return before + value
    if isinstance(before, dict) and isinstance(value, dict):
        return {**before, **value}
    return before + value if is_text and isinstance(before, str) and isinstance(value, str) else value


class Echo(Step):
    """A step of the input, which only repeats the request."""

    def _finish(self) -> None:
        pass


class FunctionCall(Step):
    """A call that is ours to run. call_id: its id."""

    def _begin(self) -> None:
        self._chunks: list[str] = []
        self._index = self._new_index()
        self.call_id = self._tally.new_id(self._fields, self._index)
        self._name = tool_name(self._fields)
        self._tally.names[self.call_id] = self._name
        self._writer.add_chunk("tool_call_name", self._name, self._index, tool_call_id=self.call_id)

    def take(self, delta: JsonObject) -> None:
        """Take the next piece."""
        if delta.get("type") == "arguments_delta":
            self._add_arguments(string_of(delta.get("arguments")))
            delta = {name: value for name, value in delta.items() if name != "arguments"}
        super().take(delta)

    def _add_arguments(self, chunk: str) -> None:
        if chunk:
            self._chunks.append(chunk)
            self._writer.add_chunk("tool_call_args", chunk, self._index, tool_call_id=self.call_id)

    def _finish(self) -> None:
        if not self._chunks:
            self._add_arguments(arguments_text(self._fields))
        name = tool_name(self._fields) if not self._name else ""
        metadata = unhandled_fields(self._fields, _FUNCTION_FIELDS)
        if name or metadata:
            self._writer.add_chunk("tool_call_name", name, self._index, metadata, tool_call_id=self.call_id)
        self._name = self._name or name
        self._writer.end_call(self._chunks, self._index, self._name, metadata, tool_call_id=self.call_id)


class ServerCall(Step):
    """A call of a tool that the server runs."""

    def _begin(self) -> None:
        self._index = self._new_index()
        self._id = self._tally.new_id(self._fields, self._index)
        self._name = tool_name(self._fields)
        self._add_name(self._name)

    def _add_name(self, chunk: str, metadata: JsonObject | None = None) -> None:
        self._tally.names[self._id] = self._name
        served = {"tool_call_id": self._id, "server_executed": True}
        self._writer.add_chunk("tool_call_name", chunk, self._index, metadata, **served)

    def _finish(self) -> None:
        name = tool_name(self._fields) if not self._name else ""
        self._name = self._name or name
        arguments = arguments_text(self._fields)
        if arguments:
            self._writer.add_chunk("tool_call_args", arguments, self._index, tool_call_id=self._id)
        self._add_name(name, call_fields(self._fields))


class ServerResult(Step):
    """The result of a call that the server ran."""

    def _finish(self) -> None:
        call_id = string_or_empty(self._fields.get("call_id"))
        name = string_or_empty(self._fields.get("name")) or self._tally.names.get(call_id) or tool_name(self._fields)
        self._tally.answered.add(call_id)
        fields: JsonObject = {"tool_name": name, "server_executed": True}
        if call_id:
            fields["tool_call_id"] = call_id
        if self._fields.get("is_error") is True:
            fields["exception"] = "failed"
        metadata = result_fields(self._fields)
        self._writer.add_chunk("tool_result", readable_result(self._fields), self._new_index(), metadata, **fields)


class Contents(Step):
    """A `model_output` or a `thought`: its contents are parts."""

    def _begin(self) -> None:
        self._is_thought = self._kind == "thought"
        self._text_kind = "reasoning" if self._is_thought else "text"
        self._first_text = -1  # part_index of the first text, which takes the fields of the step that come late
        self._has_part = False
        self._open = ("", -1)  # kind and part_index of the content that the next piece may continue
        self._texts: dict[int, list[str]] = {}
        self._has_content = False
        field = "summary" if self._is_thought else "content"
        self._rest = unhandled_fields(self._fields, frozenset(("type", field)))
        for content in list_of(self._fields.get(field)):
            self._add(content if isinstance(content, dict) else {"text": content})
        self._set({})

    def take(self, delta: JsonObject) -> None:
        """Take the next piece."""
        kind = delta.get("type")
        if kind == "thought_signature":
            self._set(unhandled_fields(delta, frozenset(("type",))))
        elif kind in _ANNOTATION_DELTAS:
            self._cite(objects_of(delta.get("annotations")))
        elif kind == "thought_summary" and self._is_thought:
            for content in list_of(delta.get("content")):
                self._add(content if isinstance(content, dict) else {"text": content}, is_piece=True)
        else:
            self._add(delta, is_piece=True)

    def _finish(self) -> None:
        if isinstance(self._fields.get("error"), dict):
            self._tally.error = self._fields["error"]
        if self._rest:
            self._add_text_part("", {})
        if self._is_thought and self._has_part and not self._has_content:
            self._writer.add_chunk("reasoning", "", self._first_text, redacted=True)

    def _set(self, fields: JsonObject) -> None:
        """Take fields of the step. Those of a thought are its signature, which does not wait for a text."""
        self._rest |= fields
        if self._rest and self._first_text >= 0:
            metadata, self._rest = self._rest, {}
            self._writer.add_chunk(self._text_kind, "", self._first_text, metadata)
        elif self._rest and self._is_thought:
            self._add_text_part("", {})

    def _metadata_of_part(self, block: JsonObject) -> JsonObject:
        """Return the metadata of a new part. Only parts behind each other can be told to be of one step."""
        metadata, self._rest = self._rest, {}
        if self._has_part and self._tally.last is self:
            metadata["of"] = str(self._number)
        self._has_part = True
        return {**metadata, **({"block": block} if block else {})}

    def _add(self, content: JsonObject, *, is_piece: bool = False) -> None:
        """Add a content, or the next piece of one."""
        kind = string_or_empty(content.get("type")) or "text"
        file = attachment_of(content) if kind in KINDS else None
        if kind == "text":
            self._add_text(content, is_piece)
        elif file is not None:
            self._add_file(kind, *file, is_piece)
        elif unhandled_fields(content, frozenset(("type",))):
            self._has_content = True
            metadata = self._metadata_of_part(content)
            self._add_raw(kind, {**metadata, **({"thought": True} if self._is_thought else {})})
            self._open = ("", -1)

    # ---- texts

    def _add_text(self, content: JsonObject, is_piece: bool) -> None:
        text, block = string_of(content.get("text")), unhandled_fields(content, _TEXT_FIELDS)
        self._has_content = self._has_content or bool(text)
        if is_piece and not block and self._open[0] == "text" and self._tally.last is self:
            index = self._open[1]
            if text:
                self._texts[index].append(text)
                self._writer.add_chunk(self._text_kind, text, index)
        elif text or block:
            self._add_text_part(text, block)
        self._cite(objects_of(content.get("annotations")))

    def _add_text_part(self, text: str, block: JsonObject) -> None:
        metadata = self._metadata_of_part(block)
        index = self._new_index()
        self._open = ("" if block else "text", index)
        self._texts[index] = [text]
        self._first_text = index if self._first_text < 0 else self._first_text
        self._writer.add_chunk(self._text_kind, text, index, metadata)

    def _cite(self, sources: list[JsonObject]) -> None:
        """Add sources of the last text."""
        if sources and not self._texts:
            self._add_text_part("", {})
        for source in sources:
            index = next(reversed(self._texts))
            if self._is_thought:
                self._writer.add_chunk("reasoning", "", index, {"block": {"annotations": sources}})
                return
            annotation = annotation_of_source(source, "".join(self._texts[index]), self._writer.issuer)
            self._writer.add({"type": "annotation", "part_index": index, "annotation": annotation})

    # ---- files

    def _add_file(self, kind: str, attachment: JsonObject, block: JsonObject, is_piece: bool) -> None:
        self._has_content = True
        growing = f"{kind} {attachment.get('type')}" if kind in _GROWING_KINDS and "content" in attachment else ""
        if is_piece and growing and not block and self._open[0] == growing and self._tally.last is self:
            self._writer.add({"type": "attachment", "part_index": self._open[1], "chunk": attachment["content"]})
            return
        metadata = self._metadata_of_part(block)
        if self._is_thought:
            metadata["thought"] = True
        index = self._new_index()
        self._open = (growing, index)
        self._writer.add({"type": "attachment", "part_index": index, "attachment": attachment}, metadata)


def new_step(writer: ReplyWriter, tally: Tally, number: int, fields: JsonObject) -> Step:
    """Return the step that begins with these fields; `number` is its place in the reply."""
    kind = string_or_empty(fields.get("type"))
    cls = _CLASSES.get(kind, ServerCall if kind in SERVER_CALLS else ServerResult if kind in RESULTS else Step)
    return cls(writer, tally, number, fields)


_CLASSES: dict[str, type[Step]] = {
    "user_input": Echo,
    "model_output": Contents,
    "thought": Contents,
    "function_call": FunctionCall,
}
