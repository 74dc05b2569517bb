"""The store: writes conversations to the log, each in one transaction, and reads them back unchanged.

Rules:
* A message that is in the log is not written again, nor is its response if that is the same. So an
  extended, replayed or forked conversation adds only what is new.
* A head is where a stored stream ended. A stream that continues a conversation moves its head, as
  a commit moves a branch of git. A name stays where it is until it is given again.
* Of several responses for one message, the newest is read back.
"""

from __future__ import annotations

import os
import re
import time

from ..errors import (
    InputError,
    NoInputError,
    OutputError,
    UsageError,
)
from ..records.build import rfc3339
from ..records.canonical import ROOT, node_hash
from ..records.jsonl import dumps, loads
from . import database
from .chain import UNFINISHED
from .node import face_of, load_message, restore_message, search_text_of, sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from ..records.types import Message
    from .chain import PendingConversation
    from .node import Node

UP = """
WITH RECURSIVE up (id, parent, depth) AS (
    SELECT id, parent, depth FROM node WHERE id = ?
    UNION ALL SELECT node.id, node.parent, node.depth FROM node JOIN up ON node.id = up.parent AND node.depth < up.depth
)
"""
"""The ids of the messages from the first to a given one. The depth falls at each step, so that a walk in a
damaged log ends."""
_BROKEN = """
SELECT node.hash FROM up JOIN node USING (id) LEFT JOIN node AS above ON above.id = up.parent
WHERE up.parent IS NOT NULL AND (above.depth < up.depth) IS NOT TRUE
"""
"""The message at which a walk ended too early."""
_LATEST = 1 << 62
"""A time in ns (the year 2116) from which a head is damaged. It counts as the oldest."""
_REF = re.compile(r"(.+?)(?:~(\d*))?", re.DOTALL)
_VALID_NAME = re.compile(r"[^\s~\x00-\x1f\x7f-]\S*")
LAST = "last"
"""The reference to the conversation that was stored last."""


def check_name(name: str) -> str:
    """Return a name that a conversation may have. Raises UsageError for an invalid name."""
    if name == LAST or "~" in name or not _VALID_NAME.fullmatch(name) or not name.isprintable():
        raise UsageError(f"{name!r} cannot be a name: `last`, white space, ~ and a - at the start are not for names")
    return name


class Store:
    """The log in one file.

    path: of the file, None for the default one. writes: whether to open it for writing, and create
    it if needed. notice: a text about the log for the user, or None. Raises OutputError if it cannot
    be opened, or written to; NoInputError if it is opened for reading and is missing or empty.
    """

    def __init__(self, path: Path | None = None, *, writes: bool = True) -> None:
        self.path = path or database.default_path()
        self.notice: str | None = None
        if writes:
            self.connection = database.open_to_write(self.path)
        else:
            self.connection, self.notice = database.open_to_read(self.path)

    def close(self) -> None:
        """Close the database."""
        with database.sqlite_errors(self.path):
            self.connection.close()

    # Writing

    def check(self) -> None:
        """Test with a real transaction that the log can be written. Raises OutputError if not."""
        with database.sqlite_errors(self.path), database.transaction(self.connection):
            disk = os.statvfs(self.path.parent)
            if disk.f_bavail * disk.f_frsize < database.MIN_FREE_BYTES:
                raise OutputError(f"{self.path}: the disk is full")
            self.connection.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION}")

    def write(
        self, conversations: Iterable[PendingConversation], name: str | None = None, *, imports: bool = False
    ) -> None:
        """Store what is new in some conversations, in one transaction, and give each the name.

        imports: change nothing that is in the log, and date each conversation by its last message,
        not by now. Raises OutputError.
        """
        changed = [pending for pending in conversations if pending.is_changed or name]
        if not changed:
            return
        with database.sqlite_errors(self.path):
            for pending in changed:
                self._prepare(pending)
            with database.transaction(self.connection):
                for pending in changed:
                    self._write(pending, name, imports)
        for pending in changed:
            pending.mark_stored()

    def begin(self, pending: PendingConversation, model: str, name: str | None = None) -> int:
        """Store a request that is about to be sent; return the id of its response, for `finish`.
        Raises OutputError."""
        with database.sqlite_errors(self.path), database.transaction(self.connection):
            self._write(pending, name, False)
            tip, created = self._node_id(pending.hash), rfc3339()
            body = dumps({"model": model, "created": created}).decode()
            row = (tip, UNFINISHED, model, created, body)
            cursor = self.connection.execute(
                "INSERT INTO response (asked, status, model, created, body) VALUES (?, ?, ?, ?, ?)", row
            )
        pending.mark_stored()
        return int(cursor.lastrowid or 0)

    def finish(self, response_id: int, pending: PendingConversation, name: str | None = None) -> None:
        """Replace an unfinished response by the reply, or the failure, that `pending` has. Raises OutputError."""
        with database.sqlite_errors(self.path), database.transaction(self.connection):
            self.connection.execute("DELETE FROM response WHERE id = ? AND key IS NULL", (response_id,))
            self._write(pending, name, False)
        pending.mark_stored()

    def _node_id(self, digest: bytes) -> int | None:
        row = self.connection.execute("SELECT id FROM node WHERE hash = ?", (digest,)).fetchone()
        return row[0] if row else None

    def _prepare(self, pending: PendingConversation) -> None:
        """Compute the slow parts of new messages before the transaction, so that other processes do not wait."""
        for node in reversed(pending.nodes):
            if self._node_id(node.hash) is not None:
                return
            _ = node.body, node.search_text

    def _write(self, pending: PendingConversation, name: str | None, imports: bool) -> None:
        if pending.depth == 0:
            return  # only tools so far
        toolset = self._insert_toolset(pending)
        tip, is_new = self._write_nodes(pending, toolset, imports)
        if is_new or not imports:
            declare = "UPDATE node SET toolset = ? WHERE id = ? AND toolset IS NOT ?"
            self.connection.execute(declare, (toolset, tip, toolset))
        for digest, failure in pending.failures:
            self._insert_response(failure, digest, None, self._node_id(digest))
        if not imports or is_new:
            self._move_head(pending, tip, imports)
        if name:
            self.connection.execute("INSERT OR REPLACE INTO name VALUES (?, ?)", (name, tip))

    def _write_nodes(self, pending: PendingConversation, toolset: int | None, imports: bool) -> tuple[int, bool]:
        """Store the new messages; return the id of the last message, and whether it is new."""
        new, parent = len(pending.nodes), None
        while new and parent is None:
            parent = self._node_id(pending.nodes[new - 1].hash)
            new -= parent is None
        if not new:
            parent = self._node_id(pending.base)
            if parent is None and pending.base != ROOT:
                raise OutputError(f"{self.path}: the earlier messages have been removed")
        for node in pending.nodes[:new]:
            self._update(node, imports)
        face = ROOT
        if parent is not None and new < len(pending.nodes):
            face = self.connection.execute("SELECT face FROM node WHERE id = ?", (parent,)).fetchone()[0]
        for node in pending.nodes[new:]:
            face = node.face(face)
            parent = self._insert(node, face, parent, toolset, pending.created)
        assert parent is not None  # noqa: S101 - depth > 0, so there is a message
        return parent, new < len(pending.nodes)

    def _update(self, node: Node, imports: bool) -> None:
        """Store what may be new in a message that is in the log: its response, and its body."""
        if node.response is None and not node.may_differ:
            return
        identity = self._node_id(node.hash)
        if identity is None:
            return
        if node.may_differ and not imports:
            self._replace_body(node, identity)
        if node.response is not None:
            self._insert_response(node.response, node.hash, identity, None)

    def _replace_body(self, node: Node, identity: int) -> None:
        """Replace the body of a message if the fields that the hash does not cover have changed."""
        (before,) = self.connection.execute("SELECT body FROM node WHERE id = ?", (identity,)).fetchone()
        if before != node.body:
            self.connection.execute("UPDATE node SET body = ? WHERE id = ?", (node.body, identity))
            self.unindex(identity, before)
            self._index(node, identity)
        self._attach(node, identity)

    def _index(self, node: Node, identity: int) -> None:
        if node.search_text:
            self.connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (identity, node.search_text))

    def unindex(self, identity: int, body: str) -> None:
        """Remove a message from the full-text index, which needs the same text again."""
        text = search_text_of(load_message(body))
        if text:
            statement = "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)"
            self.connection.execute(statement, (identity, text))

    def _insert(self, node: Node, face: bytes, parent: int | None, toolset: int | None, created: int | None) -> int:
        response = node.response or {}
        moment = database.unix_milliseconds(response.get("created")) or created or time.time_ns() // 1_000_000
        cursor = self.connection.execute(
            "INSERT INTO node (hash, parent, depth, face, role, created, toolset, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (node.hash, parent, node.depth, face, node.message["role"], moment, toolset, node.body),
        )
        identity = int(cursor.lastrowid or 0)
        self._index(node, identity)
        self.connection.executemany("INSERT INTO called VALUES (?, ?)", [(name, identity) for name in node.tool_names])
        self._attach(node, identity)
        if node.response is not None:
            self._insert_response(node.response, node.hash, identity, parent)
        return identity

    def _attach(self, node: Node, identity: int) -> None:
        for digest, content in node.contents.items():
            run = self.connection.execute
            if not run("SELECT 1 FROM attachment WHERE sha256 = ?", (digest,)).fetchone():
                run("INSERT INTO attachment (sha256, content) VALUES (?, ?)", (digest, content))
            run("INSERT OR IGNORE INTO attached SELECT ?, id FROM attachment WHERE sha256 = ?", (identity, digest))

    def _insert_response(self, response: dict[str, Any], digest: bytes, node: int | None, question: int | None) -> None:
        body = dumps(response)
        key = sha256((b"reply " if node else b"failure ") + digest + body)[:16]
        if node is not None and question is None:
            question = self.connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()[0]
        status = response.get("status", "error" if "error" in response else "ok")
        created = rfc3339(database.unix_milliseconds(response.get("created")))
        self.connection.execute(
            "INSERT OR IGNORE INTO response (node, asked, key, status, model, created, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (node, question, key, status, response.get("model"), created, body.decode()),
        )

    def _insert_toolset(self, pending: PendingConversation) -> int | None:
        """Store the tools of a conversation; return the id of its toolset, None if it has no tools."""
        if not pending.tools:
            return None
        tools = [[depth, self._insert_once("tool", body)] for depth, body in pending.tools]
        return self._insert_once("toolset", dumps(tools).decode())

    def _insert_once(self, table: str, body: str) -> int:
        """Insert a body into a table of distinct bodies, unless it is there; return its id."""
        digest = sha256(body.encode())
        row = self.connection.execute(f"SELECT id FROM {table} WHERE hash = ?", (digest,)).fetchone()
        if row:
            return int(row[0])
        insert = f"INSERT INTO {table} (hash, body) VALUES (?, ?)"
        return int(self.connection.execute(insert, (digest, body)).lastrowid or 0)

    def _move_head(self, pending: PendingConversation, tip: int, imports: bool) -> None:
        if imports and self.connection.execute("SELECT 1 FROM node WHERE parent = ?", (tip,)).fetchone():
            return
        last = self.connection.execute("SELECT max(seen) FROM head WHERE seen < ?", (_LATEST,)).fetchone()[0] or 0
        seen = max(time.time_ns(), last + 1)
        if imports:
            created = self.connection.execute("SELECT created FROM node WHERE id = ?", (tip,)).fetchone()[0]
            seen = min(seen, created * 1_000_000)
        delete = "DELETE FROM head WHERE node IN (SELECT id FROM up WHERE id != ?)"
        self.connection.execute(UP + delete, (tip, tip))
        self.connection.execute(
            "INSERT INTO head VALUES (?1, ?2, ?3) ON CONFLICT (node) DO UPDATE SET seen = ?2, rest = ifnull(?3, rest)",
            (tip, seen, pending.rest),
        )

    # References

    def resolve(self, ref: str) -> tuple[int, int]:
        """Return the ids of two messages: the one that a reference names, and the one that it names
        without ~N, whose toolset applies to both.

        A reference is a name, `last`, or the beginning of a hash; ~N is the Nth message before it.
        Raises NoInputError if there is no such message, UsageError if there are several, OutputError if the
        messages before it are damaged.
        """
        with database.sqlite_errors(self.path):
            base, steps = ref, 0
            if "~" in ref and (match := _REF.fullmatch(ref)):
                base, steps = match[1], int(match[2] or 1)
            tip = self._find_node(base)
            self._check_line(tip)
            node = tip
            for _ in range(steps):
                node = self.connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()[0]
                if node is None:
                    raise NoInputError(f"{ref}: there are not so many messages before it")
            return node, tip

    def _find_node(self, ref: str) -> int:
        row = self.connection.execute("SELECT node FROM name WHERE name = ?", (ref,)).fetchone()
        if not row and ref == LAST:
            newest = "SELECT node FROM head WHERE seen < ? ORDER BY seen DESC LIMIT 1"
            row = self.connection.execute(newest, (_LATEST,)).fetchone()
            row = row or self.connection.execute("SELECT node FROM head LIMIT 1").fetchone()
            if not row:
                raise NoInputError(f"nothing has been stored yet ({self.path})")
        if row:
            return int(row[0])
        if re.fullmatch(r"[0-9a-fA-F]{4,64}", ref):
            ends = [bytes.fromhex(ref.ljust(64, digit)) for digit in "0f"]
            rows = self.connection.execute("SELECT id, hash FROM node WHERE hash BETWEEN ? AND ? LIMIT 4", ends)
            nodes = rows.fetchall()
            if len(nodes) > 1:
                these = ", ".join(digest.hex()[: len(ref) + 4] for _, digest in nodes)
                raise UsageError(f"{ref} is the beginning of several: {these}")
            if nodes:
                return int(nodes[0][0])
        raise NoInputError(f"{ref}: the log has no such name or hash (llm-log list shows what there is)")

    def _check_line(self, node: int) -> None:
        """Raise InputError if the messages up to a message do not begin with a first one."""
        row = self.connection.execute(UP + _BROKEN, (node,)).fetchone()
        if row is not None:
            raise InputError(f"message {row[0].hex()}: the message before it is gone, or comes after it")

    def fork(self, ref: str, name: str) -> str:
        """Give a name to the message of a reference; return its hash. Raises UsageError for an invalid
        name, and as `resolve` does."""
        check_name(name)
        with database.sqlite_errors(self.path), database.transaction(self.connection):
            node, _ = self.resolve(ref)
            self.connection.execute("INSERT OR REPLACE INTO name VALUES (?, ?)", (name, node))
            return self.hash_of(node)

    def hash_of(self, node: int) -> str:
        """Return the hash of a message, in hexadecimal."""
        return str(self.connection.execute("SELECT hash FROM node WHERE id = ?", (node,)).fetchone()[0].hex())

    def names_by_node(self) -> dict[int, list[str]]:
        """Return the names of each named message, by its id."""
        names: dict[int, list[str]] = {}
        for name, node in self.connection.execute("SELECT name, node FROM name ORDER BY name"):
            names.setdefault(node, []).append(name)
        return names

    # Reading

    def lines(self, ref: str) -> Iterator[bytes]:
        """Yield the records of the conversation that ends at the message of a reference, as lines.
        Raises as `resolve` does."""
        node, tip = self.resolve(ref)
        with database.sqlite_errors(self.path):
            yield from self.history(node, tip)

    def history(self, node: int, tip: int | None = None) -> Iterator[bytes]:
        """Yield the records from the first message to `node` as lines, with the toolset of `tip`."""
        self._check_line(node)
        tools = self._tools(tip or node)
        statement = (
            "SELECT node.depth, CAST(node.body AS BLOB), (SELECT CAST(response.body AS BLOB) FROM response"
            " WHERE response.node = node.id ORDER BY response.id DESC LIMIT 1)"
            " FROM up JOIN node USING (id) ORDER BY node.depth"
        )
        for depth, body, response in self.connection.execute(UP + statement, (node,)).fetchall():
            while tools and tools[0][0] < depth:
                yield tools.pop(0)[1]
            yield self.line(body, response)
        if tip in (None, node):
            yield from [body for _, body in tools]

    def message(self, node: int) -> bytes:
        """Return one message as a line, with its hash as another field."""
        with database.sqlite_errors(self.path):
            statement = "SELECT CAST(body AS BLOB), hash FROM node WHERE id = ?"
            body, digest = self.connection.execute(statement, (node,)).fetchone()
            statement = "SELECT CAST(body AS BLOB) FROM response WHERE node = ? ORDER BY id DESC LIMIT 1"
            response = self.connection.execute(statement, (node,)).fetchone()
            line = self.line(body, response[0] if response else None)
        return b'%b,"hash":"%b"}' % (line[:-1], digest.hex().encode())

    def line(self, body: bytes, response: bytes | None) -> bytes:
        """Return a message as a line, from its body and the body of its response."""
        if b'"sha256"' in body:
            body = dumps(restore_message(body.decode(), self._content))
        return body if response is None else b'%b,"response":%b}' % (body[:-1], response)

    def _content(self, digest: bytes) -> bytes | None:
        row = self.connection.execute("SELECT content FROM attachment WHERE sha256 = ?", (digest,)).fetchone()
        return row[0] if row else None

    def _tools(self, tip: int) -> list[tuple[int, bytes]]:
        row = self.connection.execute(
            "SELECT toolset.body FROM toolset JOIN node ON node.toolset = toolset.id WHERE node.id = ?", (tip,)
        ).fetchone()
        statement = "SELECT CAST(body AS BLOB) FROM tool WHERE id = ?"
        declared = loads(row[0]) if row else []
        return [(depth, self.connection.execute(statement, (tool,)).fetchone()[0]) for depth, tool in declared]

    def recognise(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages of a client that keeps only text, with the stored ones in their place.

        The longest beginning whose face is in the log is replaced by the stored messages, complete
        with signatures. The rest stays as it is.
        """
        faces, face = [], ROOT
        try:
            for message in messages:
                face = node_hash(face_of(message), face)
                faces.append(face)
        except InputError:
            pass  # a message without a canonical form cannot be in the log
        with database.sqlite_errors(self.path):
            for count in range(len(faces), 0, -1):
                row = self.connection.execute(
                    "SELECT id FROM node WHERE face = ? ORDER BY id DESC LIMIT 1", (faces[count - 1],)
                ).fetchone()
                if row:
                    records = [loads(line) for line in self.history(row[0])]
                    stored = [record for record in records if record["type"] == "message"]
                    return [*stored, *messages[count:]]
        return list(messages)
