"""Exports the log as conversation records, and imports such records and other logs.

Rules:
* There is one record for each head and each name, its messages with their newest responses. If a
  message has older responses, records that end with it come first, so that nothing is lost.
* `meta.log.names` has the names. If the last request got no reply, `error` says why.
* An import changes nothing that is in the log. A second import of the same file adds nothing.
"""

from __future__ import annotations

from ..errors import LlmToolsError, NoInputError, UsageError
from ..records.jsonl import Decoder, dumps, loads
from . import database
from .llm_logs import LlmLogs
from .node import load_response
from .recorder import Recorder
from .store import Store, check_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from ..records.jsonl import Line
    from ..records.types import Record

SQLITE_MAGIC = b"SQLite format 3\0"
BATCH_SIZE = 500
"""The number of conversations that are imported in one transaction."""


def export_records(store: Store, refs: tuple[str, ...] = ()) -> Iterator[bytes]:
    """Yield conversation records as lines: those that `refs` name, or all without them.

    Raises NoInputError, UsageError and OutputError.
    """
    with database.sqlite_errors(store.path):
        run = store.connection.execute
        ends = [store.resolve(ref)[0] for ref in refs]
        if not refs:
            # older responses first, and a conversation before one that continues it
            statement = (
                "SELECT node FROM (SELECT node FROM head UNION SELECT node FROM name) ORDER BY (SELECT"
                " ifnull((SELECT seen FROM head WHERE head.node = node.id), 0) FROM node WHERE id = node)"
            )
            ends = [row[0] for row in run(statement)]
            for node, response in run(
                "SELECT node, body FROM response AS older WHERE node IS NOT NULL AND EXISTS"
                " (SELECT 1 FROM response AS newer WHERE newer.node = older.node AND newer.id > older.id) ORDER BY id"
            ).fetchall():
                yield dumps(_conversation_record(store, node, load_response(response)))
        for node in ends:
            yield dumps(_conversation_record(store, node))


def _conversation_record(store: Store, node: int, response: dict[str, Any] | None = None) -> Record:
    """Return the conversation that ends with the message `node`, as a record. `response`: replaces
    the newest response of that message."""
    run = store.connection.execute
    history = [loads(line) for line in store.history(node)]
    messages, tools = _without_type(history, "message"), _without_type(history, "tool")
    record: Record = {"type": "conversation", "messages": messages}
    if tools:
        record["tools"] = tools
    if response is not None:
        messages[-1]["response"] = response
        return record
    head = run("SELECT rest FROM head WHERE node = ?", (node,)).fetchone()
    record.update(loads(head[0]) if head and head[0] else {})
    names = [row[0] for row in run("SELECT name FROM name WHERE node = ? ORDER BY name", (node,))]
    meta = {key: value for key, value in record.pop("meta", {}).items() if key != "log"}  # its names at an import
    if meta or names:
        record["meta"] = {**meta, **({"log": {"names": names}} if names else {})}
    statement = "SELECT body FROM response WHERE node IS NULL AND key IS NOT NULL AND asked = ? ORDER BY id DESC"
    failure = run(statement, (node,)).fetchone()
    if failure:
        response = load_response(failure[0])
        exit_status = response.get("exit_status", LlmToolsError.exit_status)
        record["error"] = {**response.get("error", {}), "exit_status": exit_status}
    return record


def _without_type(records: list[Record], kind: str) -> list[Record]:
    """Return the records of one type, each without its `type`."""
    wanted = [record for record in records if record["type"] == kind]
    return [{name: value for name, value in record.items() if name != "type"} for record in wanted]


def names_of(record: Record) -> list[str]:
    """Return the valid names of a conversation in `meta.log.names`."""
    log = record.get("meta", {}).get("log", {})
    names = log.get("names", []) if isinstance(log, dict) else []
    return [name for name in names if _is_valid_name(name)] if isinstance(names, list) else []


def _is_valid_name(name: Any) -> bool:
    try:
        return isinstance(name, str) and check_name(name) == name
    except UsageError:
        return False


class Importer:
    """Imports streams into a log; `added_counts` counts what was new."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._before = self._count_rows()

    def _count_rows(self) -> tuple[int, int, int]:
        with database.sqlite_errors(self.store.path):
            statement = (
                "SELECT (SELECT count(*) FROM node), (SELECT count(*) FROM response), (SELECT count(*) FROM attachment)"
            )
            row = self.store.connection.execute(statement).fetchone()
        return row[0], row[1], row[2]

    @property
    def added_counts(self) -> tuple[int, int, int]:
        """The numbers of new messages, responses and attachments."""
        before, after = self._before, self._count_rows()
        return after[0] - before[0], after[1] - before[1], after[2] - before[2]

    def import_records(self, records: Iterable[Record]) -> None:
        """Import the records of one stream."""
        recorder, waiting = Recorder(), 0
        names: list[tuple[str, bytes]] = []
        for record in records:
            recorder.feed(record)
            if record["type"] != "conversation":
                continue
            names += [(name, recorder.last_conversation.hash) for name in names_of(record)]
            waiting += 1
            if waiting == BATCH_SIZE:
                self._write(recorder, names)
                waiting, names = 0, []
        recorder.eof()
        self._write(recorder, names)

    def _write(self, recorder: Recorder, names: list[tuple[str, bytes]]) -> None:
        conversations = recorder.unsaved_conversations()
        for pending in conversations:  # messages without a time are as old as the first reply
            times = [database.unix_milliseconds((node.response or {}).get("created")) for node in pending.nodes]
            pending.created = min((moment for moment in times if moment), default=None)
        self.store.write(conversations, imports=True)
        with database.sqlite_errors(self.store.path), database.transaction(self.store.connection):
            statement = "INSERT OR IGNORE INTO name SELECT ?, id FROM node WHERE hash = ?"
            self.store.connection.executemany(statement, names)

    def import_file(self, path: Path) -> None:
        """Import a file: a saved stream, an export, a log of `llm`, or another log.

        Raises NoInputError if it cannot be read, InputError and OutputError if its content is invalid.
        """
        try:
            with open(path, "rb") as file:
                if file.read(len(SQLITE_MAGIC)) != SQLITE_MAGIC:
                    file.seek(0)
                    return self.import_lines(iter(lambda: file.read(1 << 18), b""), str(path))
        except OSError as error:
            raise NoInputError(f"{path}: {error.strerror}") from None
        logs = LlmLogs(path)
        if logs.is_of_llm:
            return self.import_records(logs.records())
        other = Store(path, writes=False)
        try:
            self.import_lines((line + b"\n" for line in export_records(other)), str(path))
        finally:
            other.close()

    def import_lines(self, chunks: Iterable[bytes], source: str) -> None:
        """Import a saved stream, or an export, from its bytes. `source`: its name in messages.

        Raises InputError for an invalid line, after the lines before it were stored.
        """
        decoder = Decoder(source)

        def decode_lines() -> Iterator[Line]:
            for chunk in chunks:
                yield from decoder.feed(chunk)
            yield from decoder.eof()

        self.import_records(record for record, _ in decode_lines())
        if decoder.error:
            raise decoder.error
