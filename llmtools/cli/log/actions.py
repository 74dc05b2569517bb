"""The actions of llm-log on what is stored."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError, NoInputError
from ...records.jsonl import dumps
from ...terminal import wants_colour
from .place import log_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ...log.store import Store
    from ..process import Process


class Reader:
    """The actions on what is stored."""

    def __init__(self, process: Process, options: dict[str, Any]) -> None:
        self.process = process
        self.options = options
        self._opened: list[Store] = []

    def _store(self, *, writes: bool = False, creates: bool = False) -> Store:
        from ...log.database import default_path
        from ...log.store import Store

        path = log_path(self.options) or default_path()
        store = Store(path, writes=creates or (writes and path.exists()))
        self._opened.append(store)
        if store.notice and not self.process.quiet:
            self.process.say(store.notice)
        return store

    def close(self) -> None:
        """Close every log, so that only its one file is left."""
        for store in self._opened:
            store.close()

    def _write(self, lines: Iterable[bytes]) -> None:
        """Write lines as they are ready, up to a thousand in one write."""
        ready: list[bytes] = []
        for line in lines:
            ready.append(line)
            if len(ready) >= 1000 or len(line) > 1 << 18:
                self.process.write_lines(ready)
                ready = []
        self.process.write_lines(ready)

    def get(self, ref: str = "last") -> None:
        """Write the records of a conversation."""
        self._write(self._store().lines(ref))

    def list(self) -> None:
        """Write the conversations, the newest first."""
        from ...log.search import conversation_line, list_conversations

        options = self.options
        rows = list_conversations(self._store(), options["limit"], since=self._since(), model=options["model"])
        self._write(dumps(row) if options["json"] else self.process.visible(conversation_line(row)) for row in rows)

    def _since(self) -> int | None:
        from ...log.search import parse_since

        return parse_since(self.options["since"]) if self.options["since"] else None

    def search(self, *words: str) -> None:
        """Write the messages that hold the words, the best match first."""
        from ...log.search import MATCH_MARKS, match_line, search

        options, store = self.options, self._store()
        filters = {name: options[name] for name in ("model", "role", "tool", "name")}
        rows = search(store, " ".join(words), options["limit"], since=self._since(), **filters)
        if not rows:
            raise NoInputError("nothing found")
        if options["json"]:
            return self._write(store.message(row["node"]) for row in rows)
        has_colour = wants_colour(options["color"], self.process.is_terminal(1))
        marks = ("\x1b[1m", "\x1b[0m") if has_colour else ("", "")
        for row in rows:
            line = self.process.visible(match_line(row))
            for mark, shown in zip(MATCH_MARKS, marks, strict=True):
                line = line.replace(mark.encode(), shown.encode())
            self.process.write_lines([line])

    def tree(self, ref: str = "last") -> None:
        """Draw the graph of a message."""
        from ...log import tree

        rows = tree.tree_rows(self._store(), None if self.options["all"] else ref)
        self._write(map(self.process.visible, tree.dot_lines(rows) if self.options["dot"] else tree.draw_lines(rows)))

    def fork(self, ref: str, name: str) -> None:
        """Name a message, so that a conversation can continue from there."""
        self._write([self._store(writes=True).fork(ref, name).encode()])

    def rm(self, *refs: str) -> None:
        """Forget conversations."""
        from ...log.upkeep import remove_references

        count = remove_references(self._store(writes=True), refs)
        if not self.process.quiet:
            self.process.say(f"removed {_several(count, 'reference')} (llm-log gc deletes what has no reference)")

    def gc(self) -> None:
        """Delete everything without a reference."""
        from ...log.upkeep import collect_garbage

        gone = collect_garbage(self._store(writes=True))
        if not self.process.quiet:
            counts = f"{_several(gone['messages'], 'message')} and {_several(gone['attachments'], 'attachment')}"
            self.process.say(f"deleted {counts}, {max(gone['bytes'], 0)} bytes freed")

    def usage(self) -> None:
        """Write what was spent."""
        from ...log import usage

        options = self.options
        by = options["by"]
        rows = usage.usage(self._store(), by, since=self._since(), model=options["model"], name=options["name"])
        if options["json"]:
            return self._write(map(dumps, rows))
        lines = usage.bar_lines(rows, by) if options["plot"] else usage.table_lines(rows, by)
        self._write(map(self.process.visible, lines))

    def export(self, *refs: str) -> None:
        """Write conversations as records."""
        from ...log.export import export_records

        self._write(export_records(self._store(), refs))

    def import_(self, *files: str) -> None:
        """Import files."""
        from ...log.export import Importer

        importer = Importer(self._store(creates=True))
        try:
            for file in files:
                if file == "-":
                    importer.import_lines(self.process.chunks(self.options["wait"]), "stdin")
                else:
                    importer.import_file(Path(file))
        finally:
            messages, responses, attachments = importer.added_counts
            if not self.process.quiet:
                counts = (messages, "message"), (responses, "response"), (attachments, "attachment")
                self.process.say("imported " + ", ".join(_several(*count) for count in counts))

    def verify(self) -> None:
        """Derive every hash again."""
        from ...log.upkeep import verify

        counts, wrong = verify(self._store())
        if wrong:
            for line in wrong[:-1]:
                self.process.say(line)
            raise InputError(wrong[-1])
        self._write([", ".join(_several(count, name[:-1]) for name, count in counts.items()).encode()])

    def path(self) -> None:
        """Write where the log is."""
        from ...log.database import default_path

        self._write([bytes(log_path(self.options) or default_path())])

    def backup(self, file: str) -> None:
        """Write a copy of the log."""
        from ...log.upkeep import backup

        backup(self._store(), Path(file))


def _several(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
