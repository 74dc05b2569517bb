"""A response as a protocol drafts it: the records made of what a vendor sends.

Rules:
* `start` comes before the first event of a part; a part's place is told by `place` or `next`.
* Half a surrogate pair at the end of a chunk waits for the other half, which may begin the
  next chunk of its part; one that stays alone is U+FFFD. No chunk has half a character.
* What a vendor calls JSON is read even where it is not quite: half a surrogate pair,
  invalid UTF-8, NaN. Nothing of a reply is lost to one bad character.
"""

from __future__ import annotations

import re

from ..errors import InputError, ProtocolError
from ..records.jsonl import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..records.types import Record

_HALF = re.compile("[\ud800-\udfff]")


def text_in(value: Any) -> str:
    """Return a string as it is, "" for anything else."""
    return value if isinstance(value, str) else ""


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list, none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def said_in(value: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return the fields of an object that are not `known` and not empty."""
    return {name: item for name, item in value.items() if name not in known and item not in (None, "", [], {})}


def _whole(text: str) -> str:
    """Return a text with the halves of surrogate pairs joined, and U+FFFD for the lone ones."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _all_whole(value: Any) -> Any:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, dict):
        return {_whole(name): _all_whole(item) for name, item in value.items()}
    return [_all_whole(item) for item in value] if isinstance(value, list) else value


class Draft:
    """The records of one response, as far as they are made. `records` is emptied by `taken`."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.records: list[Record] = []
        self.places: dict[str, int] = {}
        self.is_open = False
        self.response_id = ""
        self._count = 0
        self._halves: dict[int, tuple[str, str]] = {}
        self._is_odd = False

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value that the vendor sent, no number rounded. Raises ProtocolError."""
        try:
            return loads(payload)
        except InputError as error:
            refusal = error.message
        import json

        try:
            value = json.loads(payload.decode("utf-8", "replace"), parse_constant=lambda _: None)
            _all_whole(value)  # which `taken` will do: what nests too deep fails here
        except (ValueError, RecursionError):
            raise ProtocolError(f"the provider sent what is {refusal}") from None
        self._is_odd = True
        return value

    def taken(self) -> list[Record]:
        """Return the records made since the last call."""
        records, self.records = self.records, []
        return _all_whole(records) if self._is_odd else records

    @property
    def has_half(self) -> bool:
        """Whether half a character waits for the other half."""
        return bool(self._halves)

    def open(self) -> None:
        """Add `start`, unless it is there."""
        if not self.is_open:
            self.is_open = True
            named = {"response_id": self.response_id} if self.response_id else {}
            self.records.append({"type": "start", **named})

    def next(self) -> int:
        """Return the place of a new part."""
        self._count += 1
        return self._count - 1

    def place(self, name: str) -> int:
        """Return the place of the part that the protocol knows by `name`."""
        if name not in self.places:
            self.places[name] = self.next()
        return self.places[name]

    def add(self, record: Record, metadata: dict[str, Any] | None = None) -> None:
        """Add the event of a part, with the issuer's metadata if there is any."""
        self.open()
        if metadata:
            record["provider_metadata"] = {self.issuer: metadata}
        self.records.append(record)

    def say(self, kind: str, chunk: str, index: int, metadata: dict[str, Any] | None = None, **fields: Any) -> None:
        """Add a chunk of a part."""
        if self._halves or _HALF.search(chunk):
            chunk = self._mend(kind, chunk, index)
        self.add({"type": kind, "chunk": chunk, "part_index": index, **fields}, metadata)

    def notice(self, code: str, message: str) -> None:
        """Add a notice."""
        self.records.append({"type": "notice", "code": code, "message": message})

    def known_end(self, usage: Any, model: str, details: dict[str, Any]) -> dict[str, Any]:
        """Return what `end` says of the usage and the model, and what is kept beside them: what is known of it."""
        kept = said_in(details, frozenset())
        said = {"usage": usage, "model_served": model, "details": {self.issuer: kept} if kept else None}
        return {name: value for name, value in said.items() if value}

    def end_halves(self) -> None:
        """Say that no other halves come."""
        for index, (kind, _) in self._halves.items():
            self.add({"type": kind, "chunk": "\ufffd", "part_index": index})
        self._halves = {}

    def _mend(self, kind: str, chunk: str, index: int) -> str:
        chunk = self._halves.pop(index, ("", ""))[1] + chunk
        if "\ud800" <= chunk[-1:] <= "\udbff":
            self._halves[index] = (kind, chunk[-1])
            chunk = chunk[:-1]
        return _whole(chunk)
