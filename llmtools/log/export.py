"""The log as conversation records, and back: what is exported here is imported here.

Rules:
* One record for each head and each name, its messages with their newest responses; where a
  message has older ones too, records that end with it come first. So nothing is left behind.
* `meta.log.names` are the names; `error` is how the last request failed, where no reply came.
* What is imported changes nothing that is there: imported again, it adds nothing.
"""

from __future__ import annotations

from ..errors import NoInputError, UsageError
from ..records.jsonl import Decoder, dumps, loads
from . import database
from .llm_logs import Logs
from .node import stored_response
from .recorder import Recorder
from .store import Store, check_name, milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from ..records.jsonl import Line
    from ..records.types import Record

DATABASE = b"SQLite format 3\0"
SIZE = 500
"""Conversations that are imported in one transaction."""


def exported(store: Store, refs: tuple[str, ...] = ()) -> Iterator[bytes]:
    """Yield conversation records, as lines: those of some references, else all."""
    with database.sqlite_errors(store.path):
        run = store.connection.execute
        ends = [store.resolve(ref)[0] for ref in refs]
        if not refs:
            # an older response first, and a conversation before one that goes on from it
            statement = (
                "SELECT node FROM (SELECT node FROM head UNION SELECT node FROM name) ORDER BY (SELECT"
                " ifnull((SELECT seen FROM head WHERE head.node = node.id), 0) FROM node WHERE id = node)"
            )
            ends = [row[0] for row in run(statement)]
            for node, response in run(
                "SELECT node, body FROM response AS older WHERE node IS NOT NULL AND EXISTS"
                " (SELECT 1 FROM response AS newer WHERE newer.node = older.node AND newer.id > older.id) ORDER BY id"
            ).fetchall():
                yield dumps(_record(store, node, stored_response(response)))
        for node in ends:
            yield dumps(_record(store, node))


def _record(store: Store, node: int, response: dict[str, Any] | None = None) -> Record:
    """Return the conversation that ends with a message, as a record."""
    run = store.connection.execute
    said = [loads(line) for line in store.history(node)]
    messages = [{name: value for name, value in record.items() if name != "type"} for record in said if _is(record)]
    tools = [{name: value for name, value in tool.items() if name != "type"} for tool in said if not _is(tool)]
    record: Record = {"type": "conversation", "messages": messages}
    if tools:
        record["tools"] = tools
    if response is not None:
        messages[-1]["response"] = response
        return record
    head = run("SELECT rest FROM head WHERE node = ?", (node,)).fetchone()
    record.update(loads(head[0]) if head and head[0] else {})
    names = [row[0] for row in run("SELECT name FROM name WHERE node = ? ORDER BY name", (node,))]
    meta = {key: value for key, value in record.pop("meta", {}).items() if key != "log"}  # the names that it had
    if meta or names:
        record["meta"] = {**meta, **({"log": {"names": names}} if names else {})}
    statement = "SELECT body FROM response WHERE node IS NULL AND key IS NOT NULL AND asked = ? ORDER BY id DESC"
    failed = run(statement, (node,)).fetchone()
    if failed:
        response = stored_response(failed[0])
        record["error"] = {**response.get("error", {}), "exit_status": response.get("exit_status", 1)}
    return record


def _is(record: Record) -> bool:
    return bool(record["type"] == "message")


def names_of(record: Record) -> list[str]:
    """Return the names that an exported record gives its conversation."""
    told = record.get("meta", {}).get("log", {})
    names = told.get("names", []) if isinstance(told, dict) else []
    return [name for name in names if _can_be(name)] if isinstance(names, list) else []


def _can_be(name: Any) -> bool:
    try:
        return isinstance(name, str) and check_name(name) == name
    except UsageError:
        return False


class Importer:
    """Takes streams into a log; `added` counts what was not there before."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._before = self._counts()

    def _counts(self) -> tuple[int, int, int]:
        with database.sqlite_errors(self.store.path):
            statement = (
                "SELECT (SELECT count(*) FROM node), (SELECT count(*) FROM response), (SELECT count(*) FROM attachment)"
            )
            found = self.store.connection.execute(statement).fetchone()
        return found[0], found[1], found[2]

    @property
    def added(self) -> tuple[int, int, int]:
        """How many messages, responses and attachments came."""
        before, after = self._before, self._counts()
        return after[0] - before[0], after[1] - before[1], after[2] - before[2]

    def records(self, records: Iterable[Record]) -> None:
        """Take the records of one stream."""
        recorder, waiting = Recorder(), 0
        names: list[tuple[str, bytes]] = []
        for record in records:
            recorder.feed(record)
            if record["type"] != "conversation":
                continue
            names += [(name, recorder.last.hash) for name in names_of(record)]
            waiting += 1
            if waiting == SIZE:
                self._write(recorder, names)
                waiting, names = 0, []
        recorder.eof()
        self._write(recorder, names)

    def _write(self, recorder: Recorder, names: list[tuple[str, bytes]]) -> None:
        chains = recorder.changed()
        for chain in chains:  # what was asked is as old as its reply
            told = [milliseconds((node.response or {}).get("created")) for node in chain.nodes]
            chain.created = min((moment for moment in told if moment), default=None)
        self.store.write(chains, imports=True)
        with database.sqlite_errors(self.store.path), database.changing(self.store.connection):
            statement = "INSERT OR IGNORE INTO name SELECT ?, id FROM node WHERE hash = ?"
            self.store.connection.executemany(statement, names)

    def file(self, path: Path) -> None:
        """Take what a file holds: a saved stream, an export, a log of `llm`, or another log.

        Raises NoInputError where it cannot be read, InputError and OutputError for what is wrong in it.
        """
        try:
            with open(path, "rb") as opened:
                if opened.read(len(DATABASE)) != DATABASE:
                    opened.seek(0)
                    return self.lines(iter(lambda: opened.read(1 << 18), b""), str(path))
        except OSError as error:
            raise NoInputError(f"{path}: {error.strerror}") from None
        logs = Logs(path)
        if logs.is_of_llm:
            return self.records(logs.records())
        other = Store(path, writes=False)
        try:
            self.lines((line + b"\n" for line in exported(other)), str(path))
        finally:
            other.close()

    def lines(self, chunks: Iterable[bytes], source: str) -> None:
        """Take a saved stream, or an export, from its bytes. Raises InputError, after what
        comes before the wrong line has been stored."""
        decoder = Decoder(source)

        def lines() -> Iterator[Line]:
            for chunk in chunks:
                yield from decoder.feed(chunk)
            yield from decoder.eof()

        self.records(record for record, _ in lines())
        if decoder.error:
            raise decoder.error
