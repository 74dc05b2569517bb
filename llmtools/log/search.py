"""What is found in the log: conversations by when they ended, messages by their words.

Rules:
* Every word must be there, in any order; "words in quotes" must stand together, and `word*` is
  the beginning of one. Case and accents do not count.
* The best match comes first (bm25), of equal ones the newest.
"""

from __future__ import annotations

import re
import sqlite3
import time
from datetime import datetime

from ..errors import UsageError
from ..records.conversation import text_of
from . import database
from .node import BREAK, spaced, stored_message, words_of
from .store import UP, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Row = dict[str, Any]

_PIECE = re.compile(r'"([^"]*)"?|(\S+)')
_AGO = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_JOINED = re.compile(f"{BREAK}+")
LATEST = 9_000_000_000_000
"""Unix time in ms, of which SQLite can still hold the ns: the year 2255."""
WIDTH = 60
CROWD = 20_000
"""Where so many match, a word says nothing: only the newest of them are ranked."""
MARKS = ("\ue000", "\ue001")
"""What stands around a word that was found, in a snippet."""


def since(text: str) -> int:
    """Return a moment as Unix time in ms: a date, a time, or how long ago, as in 7d, 12h, 30m.

    Raises UsageError for anything else.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            found = (time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1000
        else:
            found = datetime.fromisoformat(text).timestamp() * 1000
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time: 2026-11-21, 2026-11-21T10:00, 7d, 12h, 30m") from None
    return int(min(max(found, 0), LATEST))


def query(words: str) -> str:
    """Return words as SQLite asks for them. Raises UsageError where there is none in it."""
    pieces = []
    for phrase, word in _PIECE.findall(words):
        text, star = (word[:-1], "*") if word.endswith("*") else (phrase or word, "")
        if re.search(r"\w", text):
            pieces.append('"' + spaced(text.replace('"', "")) + '"' + star)
    if not pieces:
        raise UsageError("search: which words?")
    return " ".join(pieces)


def _conditions(store: Store, given: Row) -> tuple[list[str], list[Any]]:
    """Return what `given` asks of a message: role, model, tool, since, name."""
    found: list[str] = []
    values: list[Any] = []
    if given.get("role"):
        found.append("node.role = ?")
        values.append(given["role"])
    if given.get("since") is not None:
        found.append("node.created >= ?")
        values.append(given["since"])
    if given.get("tool"):
        found.append("node.id IN (SELECT node FROM called WHERE name = ?)")
        values.append(given["tool"])
    if given.get("model"):
        found.append("node.id IN (SELECT node FROM response WHERE model = ? OR model LIKE '%/' || ?)")
        values += [given["model"]] * 2
    if given.get("name"):
        node, _ = store.resolve(given["name"])
        found.append(f"node.id IN ({UP} SELECT id FROM up)")
        values.append(node)
    return found, values


def search(store: Store, words: str, limit: int, **given: Any) -> list[Row]:
    """Return the messages that hold the words: {node, hash, role, created, depth, snippet}."""
    asked = query(words)
    conditions, values = _conditions(store, given)
    with database.sqlite_errors(store.path):
        # one table alone lets FTS count and rank by itself, without a look at any message
        tables = "words JOIN node ON node.id = words.rowid" if conditions else "words"
        where = " AND ".join(["words MATCH ?", *conditions])
        crowd = f"SELECT words.rowid FROM {tables} WHERE {where} ORDER BY words.rowid DESC LIMIT 1 OFFSET {CROWD}"
        oldest = store.connection.execute(crowd, [asked, *values]).fetchone() or (0,)
        best = (
            f"SELECT words.rowid FROM {tables} WHERE {where} AND words.rowid > ?"
            " ORDER BY words.rank, words.rowid DESC LIMIT ?"
        )
        nodes = [row[0] for row in store.connection.execute(best, [asked, *values, *oldest, limit])]
        return [{**row, "snippet": snippet} for row, snippet in _shown(store, nodes, asked)]


def _shown(store: Store, nodes: list[int], asked: str) -> Iterator[tuple[Row, str]]:
    """Yield each message found, and where in it the words stand."""
    rows = {}
    beside = sqlite3.connect(":memory:")
    beside.execute(database.TABLES[database.TABLES.index("CREATE VIRTUAL") :].replace("content='', ", ""))
    for node in nodes:
        statement = "SELECT hash, role, created, depth, body FROM node WHERE id = ?"
        digest, role, created, depth, body = store.connection.execute(statement, (node,)).fetchone()
        rows[node] = {"node": node, "hash": digest.hex(), "role": role, "created": created, "depth": depth}
        beside.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (node, words_of(stored_message(body))))
    statement = "SELECT rowid, snippet(words, 0, ?, ?, '…', 24) FROM words WHERE words MATCH ?"
    snippets = dict(beside.execute(statement, (*MARKS, asked)).fetchall())
    for node in nodes:
        yield rows[node], " ".join(_JOINED.sub("", snippets.get(node, "")).split())


def conversations(store: Store, limit: int, *, since: int | None = None, model: str | None = None) -> Iterator[Row]:
    """Yield the conversations, the newest first, as a person wants them listed."""
    statement = (
        "SELECT node.id, node.hash, node.depth, head.seen / 1000000, node.role, node.body FROM head"
        " JOIN node ON node.id = head.node WHERE head.seen >= ? ORDER BY head.seen DESC"
    )
    with database.sqlite_errors(store.path):
        names = _names(store)
        for node, digest, depth, seen, role, body in store.connection.execute(statement, ((since or 0) * 1_000_000,)):
            outcome = _outcome(store, node)
            if model and model not in (outcome.get("model"), str(outcome.get("model")).partition("/")[2]):
                continue
            if limit <= 0:
                return
            limit -= 1
            row = {"hash": digest.hex(), "names": names.get(node, []), "messages": depth, "seen": seen, **outcome}
            yield {**row, "text": _question(store, node) if role != "user" else text_of(stored_message(body))}


def _names(store: Store) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, node in store.connection.execute("SELECT name, node FROM name ORDER BY name"):
        found.setdefault(node, []).append(name)
    return found


def _outcome(store: Store, node: int) -> Row:
    """Return the model and the status of what came last: the reply, or that none did."""
    statement = "SELECT model, status FROM response WHERE {} = ? ORDER BY id DESC LIMIT 1"
    for condition in ("node", "node IS NULL AND asked"):
        row = store.connection.execute(statement.format(condition), (node,)).fetchone()
        if row:
            return {"model": row[0], "status": row[1]}
    return {"model": None, "status": None}


def _question(store: Store, node: int) -> str:
    """Return the text of the last message of the user's before a message."""
    statement = (
        "SELECT node.body FROM up JOIN node USING (id) WHERE node.role = 'user' ORDER BY node.depth DESC LIMIT 1"
    )
    row = store.connection.execute(UP + statement, (node,)).fetchone()
    return text_of(stored_message(row[0])) if row else ""


def _moment(milliseconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))


def found(row: Row) -> str:
    """Return a message that was found as columns: hash, time, role, the place."""
    return "\t".join((row["hash"][:12], _moment(row["created"]), row["role"], row["snippet"]))


def listed(row: Row) -> str:
    """Return a conversation as columns: hash, time, model and status, messages, names, text."""
    status = "" if row["status"] in ("ok", None) else f" ({row['status']})"
    text = " ".join(row["text"].split())
    shown = text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
    counts = str(row["messages"]), ",".join(row["names"])
    return "\t".join((row["hash"][:12], _moment(row["seen"]), (row["model"] or "-") + status, *counts, shown))
