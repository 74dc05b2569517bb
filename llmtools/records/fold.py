"""Folds the events of a response into its message: the only place that accumulates them.

Rules:
* The `part_index` identifies a part. Chunks are appended to it in their order, and
  provider_metadata is merged into the object of the issuer, one level deep.
* The time is linear in the size of the events: chunks are joined once, at the end.
* The fold of the events of a response is exactly its message.
"""

from __future__ import annotations

from ..errors import InputError
from .jsonl import dumps, is_same, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .types import Message, Metadata, Part, Record, ResponseFields

TEXT_KINDS = frozenset(("text", "reasoning", "refusal"))
_PART_TYPE = {"tool_call_name": "tool_call", "tool_call_args": "tool_call", "annotation": "text"}
_CHUNK_FIELD = {"tool_call": "name", "tool_result": "output"}
_PART_FIELDS = ("phase", "redacted", "tool_call_id", "server_executed", "needs_approval", "exception")
_FROM_START = ("model", "provider", "created", "request", "request_id")
_FROM_END = (
    "status",
    "exit_status",
    "finish_reason",
    "finish_reason_raw",
    "usage",
    "model_served",
    "timing",
    "details",
)
_FROM_ERROR = ("code", "message", "http_status", "retryable", "retry_after")


_DEEP = 200
"""How many brackets a text has at least that may nest too deep."""
NAMELESS = "the call has no name"
"""The exception of a call that came without a name."""


def parse_arguments(text: str) -> dict[str, Any]:
    """Return the fields of a tool call with this text of arguments.

    `arguments`; `arguments_raw` if the text is not the compact form of the arguments; `exception` if
    the text is not a JSON object. Empty or null is {}.
    """
    if text.strip() in ("", "null"):
        return {"arguments": {}}
    try:
        arguments = loads(text)
    except InputError as error:
        return {"arguments": {}, "arguments_raw": text, "exception": f"invalid arguments: {error.message}"}
    if type(arguments) is not dict:
        return {"arguments": {}, "arguments_raw": text, "exception": "invalid arguments: not a JSON object"}
    try:
        if text.count("[") + text.count("{") > _DEEP:
            from .mending import make_writable

            make_writable(arguments)
        is_compact = dumps(arguments).decode() == text
    except InputError as error:  # more levels than can be written
        return {"arguments": {}, "arguments_raw": text, "exception": f"invalid arguments: {error.message}"}
    return {"arguments": arguments} if is_compact else {"arguments": arguments, "arguments_raw": text}


def arguments_of(part: Part) -> str:
    """Return the arguments of a call as text: that of the vendor, if it has the same value."""
    compact = dumps(part["arguments"]).decode()
    raw = part.get("arguments_raw")
    if raw is None:
        return compact
    try:
        parsed = parse_arguments(raw)
    except InputError:  # more levels than can be written
        return compact
    is_valid = "exception" not in parsed and is_same(parsed["arguments"], part["arguments"])
    return str(raw) if is_valid else compact


def merge_metadata(into: Metadata, new: Metadata) -> None:
    """Merge `new` into `into`: into the object of each issuer, one level deep."""
    for issuer, values in new.items():
        into[issuer] = {**into.get(issuer, {}), **values}


class _PartBuilder:
    """A part that is not complete: its fields, and the chunks that are not joined to them yet."""

    __slots__ = ("arguments", "chunks", "fields", "is_whole", "type")

    def __init__(self, kind: str) -> None:
        self.type = kind
        self.fields: dict[str, Any] = {}
        self.chunks: list[Any] = []  # bytes of an attachment, text of other parts
        self.arguments: list[str] = []
        self.is_whole = False

    def replace(self, part: Part) -> None:
        self.type = part["type"]
        self.fields = {name: _copy(name, value) for name, value in part.items() if name != "type"}
        self.chunks, self.arguments = [], []
        self.is_whole = True

    def add_fields(self, event: Record) -> None:
        for name in _PART_FIELDS:
            if name in event:
                self.fields[name] = event[name]
        if "tool_name" in event:
            self.fields["name"] = event["tool_name"]
        self.add_metadata(event)

    def add_metadata(self, event: Record) -> None:
        if "provider_metadata" in event:
            merge_metadata(self.fields.setdefault("provider_metadata", {}), event["provider_metadata"])

    def add_arguments(self, chunk: str) -> None:
        if self.is_whole and not self.arguments:
            before = self.fields.pop("arguments_raw", None)
            self.arguments.append(dumps(self.fields["arguments"]).decode() if before is None else before)
        self.arguments.append(chunk)

    def part(self, index: int, is_cut: bool) -> Part:
        fields = {name: _copy(name, value) for name, value in self.fields.items()}
        if self.type == "attachment":
            if self.chunks:
                fields["attachment"] = _with_chunks(fields.get("attachment", {}), self.chunks)
        elif self.chunks or not self.is_whole:
            name = _CHUNK_FIELD.get(self.type, "text")
            fields[name] = fields.get(name, "") + "".join(self.chunks)
        if self.type == "tool_call":
            self._add_call(fields, index, is_cut)
        elif self.type == "tool_result":
            fields.setdefault("name", "")
        return {"type": self.type, **_in_order(fields)}

    def _add_call(self, fields: dict[str, Any], index: int, is_cut: bool) -> None:
        if not fields.get("tool_call_id"):
            fields["tool_call_id"] = f"~{index}"
        if self.is_whole and not self.arguments:
            return
        text = "".join(self.arguments)
        fields.update(parse_arguments(text))
        if is_cut and not text.strip():
            fields["exception"] = "invalid arguments: cut off"
        elif not fields["name"]:
            fields.setdefault("exception", NAMELESS)


def _copy(name: str, value: Any) -> Any:
    """Return the value of a field, copied if later events change it: they must not change the records
    of the caller."""
    return value.copy() if name in ("annotations", "provider_metadata") and type(value) in (list, dict) else value


def _bytes_of(chunk: str) -> bytes:
    from .attachments import decode_base64

    return decode_base64(chunk)


def _with_chunks(attachment: dict[str, Any], chunks: list[bytes]) -> dict[str, Any]:
    from .attachments import decode_base64, encode_base64

    content = b"".join([decode_base64(attachment.get("content", "")), *chunks])
    return {**attachment, "content": encode_base64(content)}


_ORDER = ("name", "text", "output", "arguments", "tool_call_id", "attachment")


def _in_order(fields: dict[str, Any]) -> dict[str, Any]:
    first = {name: fields[name] for name in _ORDER if name in fields}
    return {**first, **fields}


class Fold:
    """Folds the events of one response into its message.

    `feed` takes them in order, `start`, `error` and `end` too; `message` is valid at any time.
    Raises InputError for an event that does not fit its part.

        fold = llmtools.Fold()
        for chunk in ("Hello", " you"):
            fold.feed({"type": "text", "chunk": chunk, "part_index": 0})
        fold.message()["parts"]  # [{"type": "text", "text": "Hello you"}]
    """

    def __init__(self) -> None:
        self._parts: dict[int, _PartBuilder] = {}
        self._metadata: Metadata = {}
        self._start: Record = {}
        self._error: Record = {}
        self._end: Record = {}

    def feed(self, event: Record) -> None:
        """Take the next event."""
        kind = event["type"]
        if kind in TEXT_KINDS:
            part = self._parts.get(event["part_index"])
            if part is None or part.type != kind:
                part = self._part(event, kind)
            part.chunks.append(event["chunk"])
            if len(event) > 3:
                part.add_fields(event)
        elif "part_index" in event:
            self._feed_part(event, kind)
        elif kind in ("start", "end"):
            self._feed_bracket(event, kind)
        elif kind == "error":
            self._error = event
        elif kind == "reset":
            self.__init__()  # type: ignore[misc]

    def _part(self, event: Record, kind: str) -> _PartBuilder:
        index = event["part_index"]
        part = self._parts.get(index)
        if part is None:
            part = self._parts[index] = _PartBuilder(kind)
        elif part.type != kind and event["type"] != "part":
            raise InputError(f"{event['type']}: part {index} is a part of type {part.type}")
        return part

    def _feed_part(self, event: Record, kind: str) -> None:
        part = self._part(event, _PART_TYPE.get(kind, kind))
        if kind in ("annotation", "part"):
            if kind == "part":
                part.replace(event["part"])
            else:
                part.fields.setdefault("annotations", []).append(event["annotation"])
            part.add_metadata(event)
            return
        if kind == "tool_call_args":
            part.add_arguments(event["chunk"])
        elif kind == "attachment" and "attachment" in event:
            part.fields["attachment"] = event["attachment"]
            part.chunks = []
        if kind != "tool_call_args" and "chunk" in event:
            part.chunks.append(_bytes_of(event["chunk"]) if kind == "attachment" else event["chunk"])
        part.add_fields(event)

    def _feed_bracket(self, event: Record, kind: str) -> None:
        if kind == "start":
            self._start = event
        else:
            self._end = event
        merge_metadata(self._metadata, event.get("provider_metadata", {}))

    def message(self) -> Message:
        """Return the message of the events up to the last one."""
        is_cut = self._end.get("status", "ok") != "ok"
        parts = [self._parts[index].part(index, is_cut) for index in sorted(self._parts)]
        message: Message = {"type": "message", "role": self._start.get("role", "assistant"), "parts": parts}
        if self._metadata:
            message["provider_metadata"] = dict(self._metadata)
        if self._start or self._end:
            message["response"] = self._response()
        return message

    def _response(self) -> ResponseFields:
        response: dict[str, Any] = {}
        for source, names in ((self._start, _FROM_START), (self._end, _FROM_END)):
            response.update({name: source[name] for name in names if name in source})
        if self._error:
            response["error"] = {name: self._error[name] for name in _FROM_ERROR if name in self._error}
            if "request_id" in self._error:
                response["request_id"] = self._error["request_id"]
        identity = self._end.get("response_id") or self._start.get("response_id")
        return {"id": identity, **response}  # type: ignore[typeddict-item]


def _events_of_part(part: Part, index: int) -> list[Record]:
    """Return the events of one part: chunks if they can express all fields, else the whole part."""
    kind = part["type"]
    rest = {name: value for name, value in part.items() if name not in _CHUNK_FIELDS.get(kind, ())}
    if kind in TEXT_KINDS and rest.keys() <= _EVENT_FIELDS:
        return [{"type": kind, "chunk": part["text"], "part_index": index, **rest}]
    if kind == "tool_call" and rest.keys() <= _EVENT_FIELDS and "tool_call_id" in rest and part["name"]:
        text = part.get("arguments_raw", dumps(part["arguments"]).decode())
        arguments = {name: part[name] for name in ("arguments", "arguments_raw") if name in part}
        if dumps(parse_arguments(text)) != dumps(arguments):
            return [{"type": "part", "part_index": index, "part": part}]
        name = {"type": "tool_call_name", "chunk": part["name"], "part_index": index, **rest}
        call_id = rest["tool_call_id"]
        return [name, {"type": "tool_call_args", "chunk": text, "part_index": index, "tool_call_id": call_id}]
    return [{"type": "part", "part_index": index, "part": part}]


_CHUNK_FIELDS = {
    **dict.fromkeys(TEXT_KINDS, ("type", "text")),
    "tool_call": ("type", "name", "arguments", "arguments_raw"),
}
_EVENT_FIELDS = frozenset(
    ("phase", "redacted", "tool_call_id", "server_executed", "needs_approval", "provider_metadata")
)


def events_of(message: Message) -> list[Record]:
    """Return the part events of `message`: the inverse of the fold.

    llmtools.events_of(llmtools.assistant("hi"))  # [{"type": "text", "chunk": "hi", "part_index": 0}]
    """
    return [event for index, part in enumerate(message["parts"]) for event in _events_of_part(part, index)]


def message_of(events: Iterable[Record]) -> Message:
    """Return the message of the events of one response. Records of the conversation between them
    are skipped.

        events = llmtools.stream([llmtools.user("hi")], model="echo")
        llmtools.message_of(events)["parts"]  # [{"type": "text", "text": "hi"}]
    """
    folded = Fold()
    for event in events:
        folded.feed(event)
    return folded.message()
