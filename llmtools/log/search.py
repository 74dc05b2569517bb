"""Search and list: messages by their words, conversations by the time they ended.

Rules:
* A message must have every word, in any order; "words in quotes" must be adjacent, and `word*` is
  a prefix. Case and accents are ignored.
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
from .node import WORD_BREAK, load_message, one_line, search_text_of, separate_words
from .store import UP, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .database import Row

_QUERY_PIECE = re.compile(r'"([^"]*)"?|(\S+)')
_AGO = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_WORD_BREAKS = re.compile(f"{WORD_BREAK}+")
MAX_TIME = 9_000_000_000_000
"""The largest Unix time in ms whose ns fit into an SQLite integer: in the year 2255."""
MAX_RANKED = 20_000
"""If more messages match, the words tell little, and only the newest messages are ranked, for speed."""
MATCH_MARKS = ("\ue000", "\ue001")
"""What a snippet has before and after each matching word."""


def parse_since(text: str) -> int:
    """Return a date, a time, or a time ago (7d, 12h, 30m) as Unix time in ms.

    Raises UsageError for another text.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            milliseconds = (time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1000
        else:
            milliseconds = datetime.fromisoformat(text).timestamp() * 1000
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a time: 2026-11-21, 2026-11-21T10:00, 7d, 12h, 30m") from None
    return int(min(max(milliseconds, 0), MAX_TIME))


def fts_query(words: str) -> str:
    """Return the words of a user as a query of SQLite FTS5. Raises UsageError if there are none."""
    pieces = []
    for phrase, word in _QUERY_PIECE.findall(words):
        text, star = (word[:-1], "*") if word.endswith("*") else (phrase or word, "")
        if re.search(r"\w", text):
            pieces.append('"' + separate_words(text.replace('"', "")) + '"' + star)
    if not pieces:
        raise UsageError("search: a word is missing")
    return " ".join(pieces)


def _conditions(store: Store, filters: Row) -> tuple[list[str], list[Any]]:
    """Return the SQL conditions for the filters of `search`, and their values."""
    conditions: list[str] = []
    values: list[Any] = []
    if filters.get("role"):
        conditions.append("node.role = ?")
        values.append(filters["role"])
    if filters.get("since") is not None:
        conditions.append("node.created >= ?")
        values.append(filters["since"])
    if filters.get("tool"):
        conditions.append("node.id IN (SELECT node FROM called WHERE name = ?)")
        values.append(filters["tool"])
    if filters.get("model"):
        conditions.append("node.id IN (SELECT node FROM response WHERE model = ? OR model LIKE '%/' || ?)")
        values += [filters["model"]] * 2
    if filters.get("name"):
        node, _ = store.resolve(filters["name"])
        conditions.append(f"node.id IN ({UP} SELECT id FROM up)")
        values.append(node)
    return conditions, values


def search(store: Store, words: str, limit: int, **filters: Any) -> list[Row]:
    """Return the messages that have the words: {node, hash, role, created, depth, snippet}.

    filters: role, model, tool, since (Unix time in ms), and name (a reference: only the messages of
    that conversation). Raises UsageError, NoInputError, OutputError.
    """
    query = fts_query(words)
    conditions, values = _conditions(store, filters)
    with database.sqlite_errors(store.path):
        # with one table alone, FTS counts and ranks without reading a message
        tables = "words JOIN node ON node.id = words.rowid" if conditions else "words"
        where = " AND ".join(["words MATCH ?", *conditions])
        first_not_ranked = (
            f"SELECT words.rowid FROM {tables} WHERE {where} ORDER BY words.rowid DESC LIMIT 1 OFFSET {MAX_RANKED}"
        )
        oldest = store.connection.execute(first_not_ranked, [query, *values]).fetchone() or (0,)
        best = (
            f"SELECT words.rowid FROM {tables} WHERE {where} AND words.rowid > ?"
            " ORDER BY words.rank, words.rowid DESC LIMIT ?"
        )
        nodes = [row[0] for row in store.connection.execute(best, [query, *values, *oldest, limit])]
        return list(_with_snippets(store, nodes, query))


def _with_snippets(store: Store, nodes: list[int], query: str) -> Iterator[Row]:
    """Yield a row for each message, its snippet the text around the matching words.

    The index of the log does not store texts, so the snippets come from a small one in memory.
    """
    rows = {}
    index = sqlite3.connect(":memory:")
    index.execute(database.TABLES[database.TABLES.index("CREATE VIRTUAL") :].replace("content='', ", ""))
    for node in nodes:
        statement = "SELECT hash, role, created, depth, body FROM node WHERE id = ?"
        digest, role, created, depth, body = store.connection.execute(statement, (node,)).fetchone()
        rows[node] = {"node": node, "hash": digest.hex(), "role": role, "created": created, "depth": depth}
        index.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (node, search_text_of(load_message(body))))
    statement = "SELECT rowid, snippet(words, 0, ?, ?, '…', 24) FROM words WHERE words MATCH ?"
    snippets = dict(index.execute(statement, (*MATCH_MARKS, query)).fetchall())
    for node in nodes:
        yield {**rows[node], "snippet": " ".join(_WORD_BREAKS.sub("", snippets.get(node, "")).split())}


def list_conversations(
    store: Store, limit: int, *, since: int | None = None, model: str | None = None
) -> Iterator[Row]:
    """Yield the conversations, the newest first: {hash, names, messages, seen, model, status, text}.

    messages: how many. seen: when the conversation ended, Unix time in ms. text: of the user's last
    message. since: Unix time in ms. Raises OutputError.
    """
    statement = (
        "SELECT node.id, node.hash, node.depth, head.seen / 1000000, node.role, node.body FROM head"
        " JOIN node ON node.id = head.node WHERE head.seen >= ? ORDER BY head.seen >= 1 << 62, head.seen DESC"
    )
    with database.sqlite_errors(store.path):
        names = store.names_by_node()
        for node, digest, depth, seen, role, body in store.connection.execute(statement, ((since or 0) * 1_000_000,)):
            response = _last_response(store, node)
            if model and model not in (response.get("model"), str(response.get("model")).partition("/")[2]):
                continue
            if limit <= 0:
                return
            limit -= 1
            row = {"hash": digest.hex(), "names": names.get(node, []), "messages": depth, "seen": seen, **response}
            yield {**row, "text": _last_user_text(store, node) if role != "user" else text_of(load_message(body))}


def _last_response(store: Store, node: int) -> Row:
    """Return the model and the status of the last response at a message: of the reply that it is or,
    if there is none, of the failed request that it ended."""
    statement = "SELECT model, status FROM response WHERE {} = ? ORDER BY id DESC LIMIT 1"
    for condition in ("node", "node IS NULL AND asked"):
        row = store.connection.execute(statement.format(condition), (node,)).fetchone()
        if row:
            return {"model": row[0], "status": row[1]}
    return {"model": None, "status": None}


def _last_user_text(store: Store, node: int) -> str:
    """Return the text of the last user message up to a message."""
    statement = (
        "SELECT node.body FROM up JOIN node USING (id) WHERE node.role = 'user' ORDER BY node.depth DESC LIMIT 1"
    )
    row = store.connection.execute(UP + statement, (node,)).fetchone()
    return text_of(load_message(row[0])) if row else ""


def _local_time(milliseconds: object) -> str:
    """Return a Unix time in ms as text, "-" for a value that is damaged."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(float(str(milliseconds)) / 1000))
    except (ValueError, OverflowError, OSError):
        return "-"


def match_line(row: Row) -> str:
    """Return a row of `search` as columns with tabs: hash, time, role, snippet."""
    return "\t".join((row["hash"][:12], _local_time(row["created"]), row["role"], row["snippet"]))


def conversation_line(row: Row) -> str:
    """Return a row of `list_conversations` as columns with tabs: hash, time, model and status, number of
    messages, names, text."""
    status = "" if row["status"] in ("ok", None) else f" ({row['status']})"
    counts = str(row["messages"]), ",".join(row["names"])
    model = (row["model"] or "-") + status
    return "\t".join((row["hash"][:12], _local_time(row["seen"]), model, *counts, one_line(row["text"])))
