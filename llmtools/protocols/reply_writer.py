"""The records of one response, written as the vendor's events come in.

Rules:
* `start` comes before the first event of a part. `index_of` and `new_index` number the parts.
* Half a surrogate pair at the end of a chunk waits for the other half, which may begin the
  next chunk of its part. A half that stays alone becomes U+FFFD. No chunk ends in half a
  character.
* What nests too deep to be written as part of a message is a failure, which shows its beginning.
* JSON that is not quite valid (half a surrogate pair, invalid UTF-8, NaN) is read all the
  same: one bad character does not lose a reply.
"""

from __future__ import annotations

import re

from ..errors import InputError, ProtocolError
from ..http.failure import visible_text
from ..records.fold import NAMELESS, parse_arguments
from ..records.jsonl import exact_float, exact_integer, loads
from ..records.mending import is_writable, join_all_halves, join_halves
from .json_fields import object_in_chunks, objects_of, string_of, string_or_empty, unhandled_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..errors import LlmToolsError
    from ..records.types import Record
    from .json_fields import JsonObject

PART_TYPES = frozenset(("text", "reasoning", "refusal", "tool_call", "tool_result", "attachment", ""))
"""The types of our parts. A vendor's block of such a type, if kept whole, needs another name."""

_HALF = re.compile("[\ud800-\udfff]")


class ReplyWriter:
    """Collects the records of one response until `drain` returns them.

    issuer: the key of the provider_metadata. records: those since the last `drain`.
    indices: part_index by the name that the protocol gives the part. response_id: set it before
    `start` is called. failure: why the reply failed, None if it did not.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.records: list[Record] = []
        self.indices: dict[str, int] = {}
        self.is_started = False
        self.response_id = ""
        self.failure: LlmToolsError | None = None
        self._part_count = 0
        self._halves: dict[int, tuple[str, str]] = {}
        self._is_odd = False

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, with numbers of any size. Raises ProtocolError."""
        try:
            return loads(payload)
        except InputError as error:
            refusal = error.message.removeprefix("not JSON: ")
        import json

        try:
            value = json.loads(
                payload.decode("utf-8", "replace"),
                parse_float=exact_float,
                parse_int=exact_integer,
                parse_constant=lambda _: None,
            )
            join_all_halves(value)  # as `drain` will: a value that nests too deep fails here
        except (ValueError, RecursionError):
            raise ProtocolError(f"the provider sent invalid JSON: {visible_text(payload)} ({refusal})") from None
        self._is_odd = True
        return value

    def drain(self) -> list[Record]:
        """Return the records since the last call."""
        records, self.records = self.records, []
        return join_all_halves(records) if self._is_odd else records

    @property
    def has_half(self) -> bool:
        """Whether half a character waits for the other half."""
        return bool(self._halves)

    def start(self) -> None:
        """Add `start`, if it is not there yet."""
        if not self.is_started:
            self.is_started = True
            identity = {"response_id": self.response_id} if self.response_id else {}
            self.records.append({"type": "start", **identity})

    def new_index(self) -> int:
        """Return the part_index of a new part."""
        self._part_count += 1
        return self._part_count - 1

    def index_of(self, name: str) -> int:
        """Return the part_index of the part that the protocol calls `name`, a new one at the first call."""
        if name not in self.indices:
            self.indices[name] = self.new_index()
        return self.indices[name]

    def add(self, record: Record, metadata: JsonObject | None = None) -> None:
        """Add the event of a part, with the issuer's metadata if there is any."""
        self.start()
        if metadata:
            record["provider_metadata"] = {self.issuer: metadata}
            self._check_depth(record)
        elif record["type"] in ("part", "annotation"):
            self._check_depth(record[record["type"]])
        self.records.append(record)

    def _check_depth(self, holder: Any) -> None:
        """Refuse the metadata of an event, a part or an annotation if it nests too deep to be written."""
        if "provider_metadata" in holder and not is_writable(holder["provider_metadata"]):
            self.refuse("a value that nests too deep", holder.pop("provider_metadata"))

    def add_chunk(self, kind: str, chunk: str, index: int, metadata: JsonObject | None = None, **fields: Any) -> None:
        """Add a chunk of the part at `index`; `kind` is the type of the event."""
        if self._halves or _HALF.search(chunk):
            chunk = self._without_half(kind, chunk, index)
        self.add({"type": kind, "chunk": chunk, "part_index": index, **fields}, metadata)

    def end_call(self, chunks: list[str], index: int, name: str, metadata: JsonObject, **fields: Any) -> None:
        """Replace the call at `index` if its chunks of arguments mean something else than their sum."""
        text = object_in_chunks(chunks)
        if text is not None:
            nameless = {} if name else {"exception": NAMELESS}
            part = {"type": "tool_call", "name": name, **nameless, **parse_arguments(join_halves(text)), **fields}
            self.add({"type": "part", "part_index": index, "part": part}, metadata)

    def refuse_call(self, chunks: list[str], index: int, name: str, metadata: JsonObject, **fields: Any) -> None:
        """Replace the call at `index`, whose chunks do not belong together, by one that must not run."""
        refusal = {"arguments": {}, "exception": "invalid arguments: the pieces do not fit together"}
        raw = join_halves("".join(chunks))
        part = {"type": "tool_call", "name": name, **refusal, "arguments_raw": raw, **fields}
        self.add({"type": "part", "part_index": index, "part": part}, metadata)

    def refuse(self, what: str, value: Any) -> None:
        """Make the reply fail for a value of the provider, which the message shows."""
        shown = visible_text(string_of(value).encode("utf-8", "replace"))
        self.failure = self.failure or ProtocolError(f"the provider sent {what}: {shown}")

    def notice_finish(self, word: str) -> None:
        """Add the notice of a finish reason that is not known."""
        self.notice("unknown_finish", f"the provider ended the reply with a reason that is not known: {word[:200]}")

    def notice(self, code: str, message: str) -> None:
        """Add a notice."""
        self.records.append({"type": "notice", "code": code, "message": message})

    def notice_changed_input(self, changes: Any) -> None:
        """Add a notice for each item of `input_transformations`: reasoning that the model did not get to read."""
        for change in objects_of(changes):
            words = [string_or_empty(change.get(name)) for name in ("type", "action", "path", "reason")]
            description = " ".join([word for word in words if word])
            self.notice("changed_input", f"the provider changed the input: {description}")

    def known_end(self, usage: Any, model: str, details: JsonObject) -> JsonObject:
        """Return the fields of `end` that are known: usage, model_served and details, without empty ones."""
        filled = unhandled_fields(details)
        fields = {"usage": usage, "model_served": model, "details": {self.issuer: filled} if filled else None}
        return {name: value for name, value in fields.items() if value}

    def flush_halves(self) -> None:
        """Add U+FFFD for each half whose other half did not come."""
        for index, (kind, _) in self._halves.items():
            self.add({"type": kind, "chunk": "\ufffd", "part_index": index})
        self._halves = {}

    def _without_half(self, kind: str, chunk: str, index: int) -> str:
        """Return a chunk behind the half that waits for it, without the half that it ends in."""
        chunk = self._halves.pop(index, ("", ""))[1] + chunk
        if "\ud800" <= chunk[-1:] <= "\udbff":
            self._halves[index] = (kind, chunk[-1])
            chunk = chunk[:-1]
        return join_halves(chunk)
