"""Looking after the log: verify, rm and gc, backup.

Rules:
* `verify` derives every hash again, from what is stored alone, and changes nothing.
* `rm` takes references away: heads and names. What nothing refers to any more stays until
  `gc`, which deletes it for good: the file is written anew, so that no word of it is left.
* A backup is a whole log of its own; it appears when it is complete.
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
from ..records.canonical import ROOT, node_hash
from . import database
from .node import face_of, identified, sha256
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DOWN = """
WITH RECURSIVE down (id) AS (
    SELECT ? UNION ALL SELECT node.id FROM node JOIN down ON node.parent = down.id
)
"""
_KEPT = """
CREATE TEMP TABLE kept AS WITH RECURSIVE up (id) AS (
    SELECT node FROM head UNION SELECT node FROM name
    UNION SELECT node.parent FROM node JOIN up USING (id) WHERE node.parent IS NOT NULL
) SELECT id FROM up;
"""
_GONE = "NOT IN (SELECT id FROM kept)"
_SWEEP = (
    f"DELETE FROM called WHERE node {_GONE}",
    f"DELETE FROM attached WHERE node {_GONE}",
    f"DELETE FROM response WHERE ifnull(node, asked) {_GONE}",
    f"UPDATE response SET asked = NULL WHERE asked {_GONE}",
    f"DELETE FROM node WHERE id {_GONE}",
    "DELETE FROM attachment WHERE id NOT IN (SELECT attachment FROM attached)",
    "DELETE FROM toolset WHERE id NOT IN (SELECT toolset FROM node WHERE toolset IS NOT NULL)",
    "DELETE FROM tool WHERE id NOT IN (SELECT json_extract(value, '$[1]') FROM toolset, json_each(toolset.body))",
)


def verify(store: Store) -> tuple[dict[str, int], list[str]]:
    """Return how much there is of what, and a line for everything that is not as it was stored."""
    run = store.connection.execute
    try:
        wrong = [str(row[0]) for row in run("PRAGMA integrity_check") if row[0] != "ok"]
        if wrong:
            return {}, wrong
        wrong += [f"{row[0]} {row[1]} refers to a {row[2]} that is gone" for row in run("PRAGMA foreign_key_check")]
        wrong += _hashes(store)
        for table, digest, body in _bodies(store):
            if sha256(body) != digest:
                wrong.append(f"{table} {digest.hex()} is not what it was")
        counts = {
            "messages": "SELECT count(*) FROM node",
            "conversations": "SELECT count(*) FROM head",
            "names": "SELECT count(*) FROM name",
            "responses": "SELECT count(*) FROM response",
            "attachments": "SELECT count(*) FROM attachment",
        }
        return {name: run(statement).fetchone()[0] for name, statement in counts.items()}, wrong
    except sqlite3.DatabaseError as error:
        return {}, [str(error)]


def _hashes(store: Store) -> Iterator[str]:
    hashes: dict[int | None, tuple[bytes, bytes, int]] = {None: (ROOT, ROOT, 0)}
    statement = "SELECT id, parent, hash, face, depth, body FROM node ORDER BY depth"
    for node, parent, digest, face, depth, body in store.connection.execute(statement):
        above = hashes.get(parent)
        hashes[node] = (digest, face, depth)
        if above is None:
            yield f"message {digest.hex()}: what it answers is gone"
            continue
        try:
            message = identified(body)
            is_right = (node_hash(message, above[0]), node_hash(face_of(message), above[1]), above[2] + 1)
        except (InputError, KeyError, TypeError, ValueError) as error:
            yield f"message {digest.hex()} cannot be read: {error}"
            continue
        if is_right != (digest, face, depth):
            yield f"message {digest.hex()} is not what it was"


def _bodies(store: Store) -> Iterator[tuple[str, bytes, bytes]]:
    for table, column in (("attachment", "sha256, content"), ("tool", "hash, CAST(body AS BLOB)")):
        for digest, body in store.connection.execute(f"SELECT {column} FROM {table}"):
            yield table, digest, body


def remove(store: Store, refs: tuple[str, ...]) -> int:
    """Forget conversations: a name, with the conversation that ends at it; or a message, with
    every conversation and name that goes through it. Return how many references went."""
    with database.sqlite_errors(store.path), database.changing(store.connection):
        run, count = store.connection.execute, 0
        for ref in refs:
            named = run("SELECT node FROM name WHERE name = ?", (ref,)).fetchone()
            if named:
                count += run("DELETE FROM name WHERE name = ?", (ref,)).rowcount
                count += run("DELETE FROM head WHERE node = ?", named).rowcount
                continue
            node, _ = store.resolve(ref)
            for table in ("head", "name"):
                delete = f"DELETE FROM {table} WHERE node IN ({DOWN} SELECT id FROM down)"
                count += run(delete, (node,)).rowcount
        return count


def collect(store: Store) -> dict[str, int]:
    """Delete what no head and no name refers to; return how many messages and attachments went,
    and by how many bytes the file shrank."""
    before = store.path.stat().st_size
    with database.sqlite_errors(store.path):
        run = store.connection.execute
        run("PRAGMA foreign_keys = OFF")  # all at the end: one by one, each is a search of a whole table
        with database.changing(store.connection):
            run("DROP TABLE IF EXISTS temp.kept")
            run(_KEPT)
            run("CREATE UNIQUE INDEX temp.kept_id ON kept (id)")
            gone = {table: -_count(store, table) for table in ("node", "attachment")}
            for node, body in run(f"SELECT id, body FROM node WHERE id {_GONE}").fetchall():
                store.unindex(node, body)
            for statement in _SWEEP:
                run(statement)
            gone = {table: -count - _count(store, table) for table, count in gone.items()}
            run("INSERT INTO words (words) VALUES ('optimize')")
            if wrong := run("PRAGMA foreign_key_check").fetchone():
                raise InternalError(
                    f"{store.path}: nothing deleted: {wrong[0]} would refer to a {wrong[2]} that is gone"
                )
        run("PRAGMA foreign_keys = ON")
        run("DROP TABLE temp.kept")
        database.patiently(lambda: run("VACUUM"))
        run("PRAGMA wal_checkpoint(TRUNCATE)")
    shrunk = before - store.path.stat().st_size
    return {"messages": gone["node"], "attachments": gone["attachment"], "bytes": shrunk}


def _count(store: Store, table: str) -> int:
    return int(store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def backup(store: Store, target: Path) -> None:
    """Write a copy of the whole log, of one moment, while others go on writing to it.

    Raises UsageError where the file is there already, CreateError where it cannot be made.
    """
    if target.exists():
        raise UsageError(f"{target}: there is a file of this name")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            copy = sqlite3.connect(temporary, isolation_level=None)
            store.connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("PRAGMA journal_mode = WAL")
            copy.close()
            os.link(temporary, target)
        finally:
            for end in ("", "-journal", "-wal", "-shm"):
                Path(f"{temporary}{end}").unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(f"{target}: there is a file of this name") from None
    except (OSError, sqlite3.Error) as error:
        raise CreateError(f"{target}: {getattr(error, 'strerror', None) or error}") from None
