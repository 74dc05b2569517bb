"""Maintenance of the log: verify, rm, gc and backup.

Rules:
* `verify` computes every hash again from the stored content, and changes nothing.
* `rm` removes references: heads and names. Messages without references stay until `gc` deletes
  them. `gc` writes the file anew, so that none of their text is left in it.
* A backup is a complete log. The file appears when it is complete.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ..errors import (
    CreateError,
    InputError,
    InternalError,
    UsageError,
)
from ..paths import WholeFile
from ..records.canonical import ROOT, node_hash
from . import database
from .node import face_of, load_hashed_message, sha256
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DOWN = """
WITH RECURSIVE down (id) AS (
    SELECT ? UNION ALL SELECT node.id FROM node JOIN down ON node.parent = down.id
)
"""
_REACHABLE = """
CREATE TEMP TABLE reachable AS WITH RECURSIVE up (id) AS (
    SELECT node FROM head UNION SELECT node FROM name
    UNION SELECT node.parent FROM node JOIN up USING (id) WHERE node.parent IS NOT NULL
) SELECT id FROM up;
"""
_UNREACHABLE = "NOT IN (SELECT id FROM reachable)"
_SWEEP = (
    f"DELETE FROM called WHERE node {_UNREACHABLE}",
    f"DELETE FROM attached WHERE node {_UNREACHABLE}",
    f"DELETE FROM response WHERE ifnull(node, asked) {_UNREACHABLE}",
    f"UPDATE response SET asked = NULL WHERE asked {_UNREACHABLE}",
    f"DELETE FROM node WHERE id {_UNREACHABLE}",
    "DELETE FROM attachment WHERE id NOT IN (SELECT attachment FROM attached)",
    "DELETE FROM toolset WHERE id NOT IN (SELECT toolset FROM node WHERE toolset IS NOT NULL)",
    "DELETE FROM tool WHERE id NOT IN (SELECT json_extract(value, '$[1]') FROM toolset, json_each(toolset.body))",
)


def verify(store: Store) -> tuple[dict[str, int], list[str]]:
    """Return the numbers of messages, conversations, names, responses and attachments, and a line for
    each problem. The numbers are missing if the database itself is damaged."""
    run = store.connection.execute
    try:
        problems = [str(row[0]) for row in run("PRAGMA integrity_check") if row[0] != "ok"]
        if problems:
            return {}, problems
        problems += [f"{row[0]} {row[1]} refers to a {row[2]} that is gone" for row in run("PRAGMA foreign_key_check")]
        problems += _check_hashes(store)
        for table, digest, body in _hashed_bodies(store):
            if sha256(body) != digest:
                problems.append(f"{table} {digest.hex()} has changed")
        counts = {
            "messages": "SELECT count(*) FROM node",
            "conversations": "SELECT count(*) FROM head",
            "names": "SELECT count(*) FROM name",
            "responses": "SELECT count(*) FROM response",
            "attachments": "SELECT count(*) FROM attachment",
        }
        return {name: run(statement).fetchone()[0] for name, statement in counts.items()}, problems
    except sqlite3.DatabaseError as error:
        return {}, [str(error)]


def _check_hashes(store: Store) -> Iterator[str]:
    hashes: dict[int | None, tuple[bytes, bytes, int]] = {None: (ROOT, ROOT, 0)}
    statement = "SELECT id, parent, hash, face, depth, body FROM node ORDER BY depth"
    for node, parent, digest, face, depth, body in store.connection.execute(statement):
        above = hashes.get(parent)
        hashes[node] = (digest, face, depth)
        if above is None:
            yield f"message {digest.hex()}: the message before it is gone"
            continue
        try:
            message = load_hashed_message(body)
            computed = (node_hash(message, above[0]), node_hash(face_of(message), above[1]), above[2] + 1)
        except (InputError, KeyError, TypeError, ValueError) as error:
            yield f"message {digest.hex()} cannot be read: {error}"
            continue
        if computed != (digest, face, depth):
            yield f"message {digest.hex()} has changed"


def _hashed_bodies(store: Store) -> Iterator[tuple[str, bytes, bytes]]:
    for table, column in (("attachment", "sha256, content"), ("tool", "hash, CAST(body AS BLOB)")):
        for digest, body in store.connection.execute(f"SELECT {column} FROM {table}"):
            yield table, digest, body


def remove_references(store: Store, refs: tuple[str, ...]) -> int:
    """Remove conversations: for a name, the name and the conversation that ends there; for another
    reference, every conversation and name at that message or after it. Return the number of heads and
    names that were removed. Raises NoInputError, UsageError and OutputError."""
    with database.sqlite_errors(store.path), database.transaction(store.connection):
        run, count = store.connection.execute, 0
        for ref in refs:
            row = run("SELECT node FROM name WHERE name = ?", (ref,)).fetchone()
            if row:
                count += run("DELETE FROM name WHERE name = ?", (ref,)).rowcount
                count += run("DELETE FROM head WHERE node = ?", row).rowcount
                continue
            node, _ = store.resolve(ref)
            for table in ("head", "name"):
                delete = f"DELETE FROM {table} WHERE node IN ({_DOWN} SELECT id FROM down)"
                count += run(delete, (node,)).rowcount
        return count


def collect_garbage(store: Store) -> dict[str, int]:
    """Delete the messages that no head and no name needs. Return {"messages", "attachments"}: how many
    were deleted, and "bytes": by how much the file shrank. Raises OutputError."""
    size_before = store.path.stat().st_size
    with database.sqlite_errors(store.path):
        run = store.connection.execute
        run("PRAGMA foreign_keys = OFF")  # checked once at the end: each single check searches a whole table
        with database.transaction(store.connection):
            run("DROP TABLE IF EXISTS temp.reachable")
            run(_REACHABLE)
            run("CREATE UNIQUE INDEX temp.reachable_id ON reachable (id)")
            rows_before = {table: _count_rows(store, table) for table in ("node", "attachment")}
            for node, body in run(f"SELECT id, body FROM node WHERE id {_UNREACHABLE}").fetchall():
                store.unindex(node, body)
            for statement in _SWEEP:
                run(statement)
            deleted = {table: count - _count_rows(store, table) for table, count in rows_before.items()}
            run("INSERT INTO words (words) VALUES ('optimize')")
            if problem := run("PRAGMA foreign_key_check").fetchone():
                raise InternalError(
                    f"{store.path}: nothing deleted: {problem[0]} would refer to a {problem[2]} that is gone"
                )
        run("PRAGMA foreign_keys = ON")
        run("DROP TABLE temp.reachable")
        database.retry_while_locked(lambda: run("VACUUM"))
        run("PRAGMA wal_checkpoint(TRUNCATE)")
    freed = size_before - store.path.stat().st_size
    return {"messages": deleted["node"], "attachments": deleted["attachment"], "bytes": freed}


def _count_rows(store: Store, table: str) -> int:
    return int(store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def backup(store: Store, target: Path) -> None:
    """Write a consistent copy of the whole log to a new file, while other processes may write to the log.

    Raises UsageError if the file exists already, CreateError if it cannot be written.
    """
    if target.exists():
        raise UsageError(f"{target}: there is a file of this name")
    try:
        file = WholeFile(target)
        try:
            copy = sqlite3.connect(file.temporary, isolation_level=None)
            store.connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("PRAGMA journal_mode = WAL")
            copy.close()
            os.link(file.temporary, target)  # where `commit` would replace a file that appeared meanwhile
        finally:
            for end in ("-journal", "-wal", "-shm"):
                Path(f"{file.temporary}{end}").unlink(missing_ok=True)
            file.discard()
    except FileExistsError:
        raise UsageError(f"{target}: there is a file of this name") from None
    except (OSError, sqlite3.Error) as error:
        raise CreateError(f"{target}: {getattr(error, 'strerror', None) or error}") from None
