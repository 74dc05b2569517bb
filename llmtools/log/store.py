"""What is in the log: written in one transaction a time, given back as it came.

Rules:
* A message that is there already is not written again; nor is its response, where it is the
  same. So an extended, replayed or forked conversation adds only what is new.
* A head is where a stored stream ended. One that goes on takes the place of the head before
  it, as a branch of git moves; a name stays where it is until it is given again.
* Of several responses to one message, the newest is given back.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime

from ..errors import (
    InputError,
    NoInputError,
    OutputError,
    UsageError,
)
from ..records.canonical import ROOT, node_hash
from ..records.jsonl import dumps, loads
from . import database
from .chain import UNFINISHED
from .node import face_of, restored, sha256, stored_message, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from ..records.types import Message
    from .chain import Chain
    from .node import Node

UP = """
WITH RECURSIVE up (id, parent) AS (
    SELECT id, parent FROM node WHERE id = ?
    UNION ALL SELECT node.id, node.parent FROM node JOIN up ON node.id = up.parent
)
"""
"""The messages from one to the first, by their ids."""
_REF = re.compile(r"(.+?)(?:~(\d*))?", re.DOTALL)
_NAME = re.compile(r"[^\s~\x00-\x1f\x7f-]\S*")
LAST = "last"


def timestamp(created: int | None = None) -> str:
    """Return Unix time in ms, or now, in UTC as RFC 3339 has it."""
    moment = datetime.now(UTC) if created is None else datetime.fromtimestamp(created / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(created: object) -> int | None:
    """Return a time of RFC 3339 as Unix time in ms, None where it is none since 1970."""
    try:
        moment = datetime.fromisoformat(str(created))
    except ValueError:
        return None
    found = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return found if found > 0 else None


def check_name(name: str) -> str:
    """Return a name that a conversation may have. Raises UsageError for another."""
    if name == LAST or "~" in name or not _NAME.fullmatch(name) or not name.isprintable():
        raise UsageError(f"{name!r} cannot be a name: `last`, white space, ~ and a - at the start are not for names")
    return name


class Store:
    """The log in one file. `path` names another than the usual one.

    Raises OutputError where it cannot be opened, or written to; NoInputError where it is only
    to be read and is not there. `said` is what is to be told of it, if anything.
    """

    def __init__(self, path: Path | None = None, *, writes: bool = True) -> None:
        self.path = path or database.default_path()
        self.said: str | None = None
        if writes:
            self.connection = database.open_to_write(self.path)
        else:
            self.connection, self.said = database.open_to_read(self.path)

    def close(self) -> None:
        """Let the file go."""
        with database.sqlite_errors(self.path):
            self.connection.close()

    # Writing

    def check(self) -> None:
        """Write nothing, for real. Raises OutputError where something could not be written."""
        with database.sqlite_errors(self.path), database.changing(self.connection):
            disk = os.statvfs(self.path.parent)
            if disk.f_bavail * disk.f_frsize < database.ROOM:
                raise OutputError(f"{self.path}: the disk is full")
            self.connection.execute(f"PRAGMA user_version = {database.VERSION}")

    def write(self, chains: Iterable[Chain], name: str | None = None, *, imports: bool = False) -> None:
        """Store what is new of some conversations, in one transaction; `name` is given to each.

        What is imported changes nothing that is there, and is no newer than it says it is.
        """
        chains = [chain for chain in chains if chain.is_changed or name]
        if not chains:
            return
        with database.sqlite_errors(self.path):
            for chain in chains:
                self._prepare(chain)
            with database.changing(self.connection):
                for chain in chains:
                    self._write(chain, name, imports)
        for chain in chains:
            chain.stored()

    def begin(self, chain: Chain, model: str, name: str | None = None) -> int:
        """Store a request that is about to be sent; return what `finish` knows it by."""
        with database.sqlite_errors(self.path), database.changing(self.connection):
            self._write(chain, name, False)
            tip, created = self._id(chain.hash), timestamp()
            body = dumps({"model": model, "created": created}).decode()
            row = (tip, UNFINISHED, model, created, body)
            cursor = self.connection.execute(
                "INSERT INTO response (asked, status, model, created, body) VALUES (?, ?, ?, ?, ?)", row
            )
        chain.stored()
        return int(cursor.lastrowid or 0)

    def finish(self, begun: int, chain: Chain, name: str | None = None) -> None:
        """Store how a request ended that was begun: the reply, or the failure, is in the chain."""
        with database.sqlite_errors(self.path), database.changing(self.connection):
            self.connection.execute("DELETE FROM response WHERE id = ? AND key IS NULL", (begun,))
            self._write(chain, name, False)
        chain.stored()

    def _id(self, digest: bytes) -> int | None:
        found = self.connection.execute("SELECT id FROM node WHERE hash = ?", (digest,)).fetchone()
        return found[0] if found else None

    def _prepare(self, chain: Chain) -> None:
        """Make what takes long of the messages that look new, while no one has to wait."""
        for node in reversed(chain.nodes):
            if self._id(node.hash) is not None:
                return
            _ = node.body, node.words

    def _write(self, chain: Chain, name: str | None, imports: bool) -> None:
        if chain.depth == 0:
            return  # nothing but tools: no conversation yet
        toolset = self._toolset(chain)
        tip, is_new = self._nodes(chain, toolset, imports)
        if is_new or not imports:
            declare = "UPDATE node SET toolset = ? WHERE id = ? AND toolset IS NOT ?"
            self.connection.execute(declare, (toolset, tip, toolset))
        for asked, failure in chain.failures:
            self._respond(failure, asked, None, self._id(asked))
        if not imports or is_new:
            self._move_head(chain, tip, imports)
        if name:
            self.connection.execute("INSERT OR REPLACE INTO name VALUES (?, ?)", (name, tip))

    def _nodes(self, chain: Chain, toolset: int | None, imports: bool) -> tuple[int, bool]:
        """Store the messages that are new; return the last one, and whether it was among them."""
        new, parent = len(chain.nodes), None
        while new and parent is None:
            parent = self._id(chain.nodes[new - 1].hash)
            new -= parent is None
        if not new:
            parent = self._id(chain.base)
            if parent is None and chain.base != ROOT:
                raise OutputError(f"{self.path}: what came before has been removed")
        for node in chain.nodes[:new]:
            self._known(node, imports)
        face = ROOT
        if parent is not None and new < len(chain.nodes):
            face = self.connection.execute("SELECT face FROM node WHERE id = ?", (parent,)).fetchone()[0]
        for node in chain.nodes[new:]:
            face = node.face(face)
            parent = self._insert(node, face, parent, toolset, chain.created)
        assert parent is not None  # noqa: S101 - a chain with a depth has a message
        return parent, new < len(chain.nodes)

    def _known(self, node: Node, imports: bool) -> None:
        """Store what may be new of a message that is there: its response, its form."""
        if node.response is None and not node.varies:
            return
        identity = self._id(node.hash)
        if identity is None:
            return
        if node.varies and not imports:
            self._replace(node, identity)
        if node.response is not None:
            self._respond(node.response, node.hash, identity, None)

    def _replace(self, node: Node, identity: int) -> None:
        """Store a message again, in the form in which it came last."""
        (before,) = self.connection.execute("SELECT body FROM node WHERE id = ?", (identity,)).fetchone()
        if before != node.body:
            self.connection.execute("UPDATE node SET body = ? WHERE id = ?", (node.body, identity))
            self.unindex(identity, before)
            self._index(node, identity)
        self._attach(node, identity)

    def _index(self, node: Node, identity: int) -> None:
        if node.words:
            self.connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (identity, node.words))

    def unindex(self, identity: int, body: str) -> None:
        """Take a message out of the full-text index, which has to be told what it was given."""
        words = words_of(stored_message(body))
        if words:
            statement = "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)"
            self.connection.execute(statement, (identity, words))

    def _insert(self, node: Node, face: bytes, parent: int | None, toolset: int | None, created: int | None) -> int:
        response = node.response or {}
        moment = milliseconds(response.get("created")) or created or time.time_ns() // 1_000_000
        cursor = self.connection.execute(
            "INSERT INTO node (hash, parent, depth, face, role, created, toolset, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (node.hash, parent, node.depth, face, node.kept["role"], moment, toolset, node.body),
        )
        identity = int(cursor.lastrowid or 0)
        self._index(node, identity)
        self.connection.executemany("INSERT INTO called VALUES (?, ?)", [(name, identity) for name in node.called])
        self._attach(node, identity)
        if node.response is not None:
            self._respond(node.response, node.hash, identity, parent)
        return identity

    def _attach(self, node: Node, identity: int) -> None:
        for digest, content in node.contents.items():
            run = self.connection.execute
            if not run("SELECT 1 FROM attachment WHERE sha256 = ?", (digest,)).fetchone():
                run("INSERT INTO attachment (sha256, content) VALUES (?, ?)", (digest, content))
            run("INSERT OR IGNORE INTO attached SELECT ?, id FROM attachment WHERE sha256 = ?", (identity, digest))

    def _respond(self, response: dict[str, Any], digest: bytes, node: int | None, asked: int | None) -> None:
        body = dumps(response)
        key = sha256((b"reply " if node else b"failure ") + digest + body)[:16]
        if node is not None and asked is None:
            asked = self.connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()[0]
        status = response.get("status", "error" if "error" in response else "ok")
        created = timestamp(milliseconds(response.get("created")))
        self.connection.execute(
            "INSERT OR IGNORE INTO response (node, asked, key, status, model, created, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (node, asked, key, status, response.get("model"), created, body.decode()),
        )

    def _toolset(self, chain: Chain) -> int | None:
        """Store the tools that a chain declares; return what its messages know them by."""
        if not chain.tools:
            return None
        return self._kept("toolset", dumps([[depth, self._kept("tool", body)] for depth, body in chain.tools]).decode())

    def _kept(self, table: str, body: str) -> int:
        """Return the id of a body that is kept once in a table."""
        digest = sha256(body.encode())
        found = self.connection.execute(f"SELECT id FROM {table} WHERE hash = ?", (digest,)).fetchone()
        if found:
            return int(found[0])
        insert = f"INSERT INTO {table} (hash, body) VALUES (?, ?)"
        return int(self.connection.execute(insert, (digest, body)).lastrowid or 0)

    def _move_head(self, chain: Chain, tip: int, imports: bool) -> None:
        if imports and self.connection.execute("SELECT 1 FROM node WHERE parent = ?", (tip,)).fetchone():
            return
        last = self.connection.execute("SELECT max(seen) FROM head").fetchone()[0] or 0
        seen = max(time.time_ns(), last + 1)
        if imports:
            created = self.connection.execute("SELECT created FROM node WHERE id = ?", (tip,)).fetchone()[0]
            seen = min(seen, created * 1_000_000)
        delete = "DELETE FROM head WHERE node IN (SELECT id FROM up WHERE id != ?)"
        self.connection.execute(UP + delete, (tip, tip))
        self.connection.execute(
            "INSERT INTO head VALUES (?1, ?2, ?3) ON CONFLICT (node) DO UPDATE SET seen = ?2, rest = ifnull(?3, rest)",
            (tip, seen, chain.rest),
        )

    # References

    def resolve(self, ref: str) -> tuple[int, int]:
        """Return the message that a reference names, and the one whose tools hold for it.

        A name, `last`, or the beginning of a hash; ~N is the Nth message before it.
        Raises NoInputError where there is none, UsageError where there are several.
        """
        with database.sqlite_errors(self.path):
            exact = self.connection.execute("SELECT node FROM name WHERE name = ?", (ref,)).fetchone()
            base, steps = ref, 0
            if not exact and (found := _REF.fullmatch(ref)) and "~" in ref:
                base, steps = found[1], int(found[2] or 1)
            tip = exact[0] if exact else self._base(base)
            node = tip
            for _ in range(steps):
                node = self.connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()[0]
                if node is None:
                    raise NoInputError(f"{ref}: there are not so many messages before it")
            return node, tip

    def _base(self, ref: str) -> int:
        found = self.connection.execute("SELECT node FROM name WHERE name = ?", (ref,)).fetchone()
        if not found and ref == LAST:
            found = self.connection.execute("SELECT node FROM head ORDER BY seen DESC LIMIT 1").fetchone()
            if not found:
                raise NoInputError(f"nothing has been stored yet ({self.path})")
        if found:
            return int(found[0])
        if re.fullmatch(r"[0-9a-fA-F]{4,64}", ref):
            ends = [bytes.fromhex(ref.ljust(64, digit)) for digit in "0f"]
            rows = self.connection.execute("SELECT id, hash FROM node WHERE hash BETWEEN ? AND ? LIMIT 4", ends)
            nodes = rows.fetchall()
            if len(nodes) > 1:
                these = ", ".join(digest.hex()[: len(ref) + 4] for _, digest in nodes)
                raise UsageError(f"{ref} is the beginning of several: {these}")
            if nodes:
                return int(nodes[0][0])
        raise NoInputError(f"{ref}: no name and no hash of the log (llm-log list shows what there is)")

    def fork(self, ref: str, name: str) -> str:
        """Give a name to the message that a reference names; return its hash."""
        check_name(name)
        with database.sqlite_errors(self.path), database.changing(self.connection):
            node, _ = self.resolve(ref)
            self.connection.execute("INSERT OR REPLACE INTO name VALUES (?, ?)", (name, node))
            return self.hash_of(node)

    def hash_of(self, node: int) -> str:
        """Return the hash of a message, in hexadecimal."""
        return str(self.connection.execute("SELECT hash FROM node WHERE id = ?", (node,)).fetchone()[0].hex())

    # Reading

    def lines(self, ref: str) -> Iterator[bytes]:
        """Yield the history records, as lines, of the conversation that ends where `ref` says."""
        node, tip = self.resolve(ref)
        with database.sqlite_errors(self.path):
            yield from self.history(node, tip)

    def history(self, node: int, tip: int | None = None) -> Iterator[bytes]:
        """Yield the records from the first message to `node`, with the tools declared at `tip`."""
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
        """Return one message as a line, its hash beside what it says."""
        with database.sqlite_errors(self.path):
            statement = "SELECT CAST(body AS BLOB), hash FROM node WHERE id = ?"
            body, digest = self.connection.execute(statement, (node,)).fetchone()
            statement = "SELECT CAST(body AS BLOB) FROM response WHERE node = ? ORDER BY id DESC LIMIT 1"
            response = self.connection.execute(statement, (node,)).fetchone()
            line = self.line(body, response[0] if response else None)
        return b'%b,"hash":"%b"}' % (line[:-1], digest.hex().encode())

    def line(self, body: bytes, response: bytes | None) -> bytes:
        """Return a message, with its response, as a line."""
        if b'"sha256"' in body:
            body = dumps(restored(body.decode(), self._content))
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
        """Return messages that a client echoed by their text alone as they are stored: as many
        of them, from the first, as the log knows, with their signatures and all; the rest as they are.
        """
        faces, face = [], ROOT
        try:
            for message in messages:
                face = node_hash(face_of(message), face)
                faces.append(face)
        except InputError:
            pass  # what has no canonical form is nothing that was stored
        with database.sqlite_errors(self.path):
            for known in range(len(faces), 0, -1):
                row = self.connection.execute(
                    "SELECT id FROM node WHERE face = ? ORDER BY id DESC LIMIT 1", (faces[known - 1],)
                ).fetchone()
                if row:
                    records = [loads(line) for line in self.history(row[0])]
                    found = [record for record in records if record["type"] == "message"]
                    return [*found, *messages[known:]]
        return list(messages)
