"""The log of the program `llm` (its logs.db), read as conversation records.

Rules:
* Both of its schemas are read, also side by side in one file: `responses`, one row a prompt,
  and since 0.32 `messages` and `parts`, with `turns` that say how a reply came about.
* Nothing is written to that file, and columns that a version does not have are not needed.
* A model is named `llm/MODEL`: what ran there runs again through `llm`.
* An attachment that only a path names comes as path and sha256, which is its id there.
"""

from __future__ import annotations

import sqlite3
from binascii import b2a_base64
from datetime import UTC, datetime

from ..errors import InputError
from ..records.check import check_record
from ..records.jsonl import loads
from . import database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from ..records.types import Record

    Row = dict[str, Any]

KEY = "llm"
"""The issuer of what only `llm` knows of a response."""


class Logs:
    """A logs.db, opened to be read. Raises OutputError where it cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with database.sqlite_errors(path):
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            self._connection.row_factory = sqlite3.Row
            tables = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            self._tables = {row[0] for row in tables}

    @property
    def is_of_llm(self) -> bool:
        """Whether it is a log of `llm`."""
        return "responses" in self._tables or {"messages", "parts", "turns"} <= self._tables

    def records(self) -> Iterator[Record]:
        """Yield its conversations. Raises InputError for what is not as `llm` writes it."""
        readers: list[_Responses | _Messages] = [_Responses(self)] if "responses" in self._tables else []
        if {"messages", "parts", "turns"} <= self._tables:
            readers.append(_Messages(self))
        try:
            for reader in readers:
                for record in reader.records():
                    check_record(record)
                    yield record
        except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self._path}: {error}") from None

    def rows(self, statement: str, *values: Any) -> list[Row]:
        """Return rows as dicts; a table that is not there holds none."""
        try:
            return [dict(row) for row in self._connection.execute(statement, values)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise

    def attachment(self, row: Row) -> Row:
        """Return a row of `attachments` as an attachment of ours."""
        kept = {"type": row["type"]} if row["type"] else {}
        if row["content"] is not None:
            return {**kept, "content": b2a_base64(row["content"], newline=False).decode()}
        if row["path"]:
            return {**kept, "path": row["path"], "sha256": row["id"]}
        return {**kept, "url": row["url"]}

    def attachments(self, table: str, column: str, owner: Any) -> list[Row]:
        """Return the attachments of a row of another table, in order."""
        statement = (
            f"SELECT attachments.* FROM {table} JOIN attachments ON attachments.id = {table}.attachment_id"
            f' WHERE {table}.{column} = ? ORDER BY {table}."order"'
        )
        return [self.attachment(row) for row in self.rows(statement, owner)]


def _response(row: Row) -> Row:
    """Return the `response` of a reply: what a row of `responses` or of `turns` tells."""
    found: Row = {"id": row["id"], "model": f"llm/{row['model']}", "status": "ok"}
    if row.get("resolved_model"):
        found["model_served"] = row["resolved_model"]
    used = {"input": row.get("input_tokens"), "output": row.get("output_tokens")}
    used = {name: count for name, count in used.items() if isinstance(count, int) and count >= 0}
    if used:
        found["usage"] = used
    created = _time(row.get("datetime_utc"))
    if created:
        found["created"] = created
    if isinstance(row.get("duration_ms"), int):
        found["timing"] = {"total": row["duration_ms"] / 1000}
    asked = {"options": _json(row.get("options_json")), "schema": _json(row.get("schema_json"))}
    if any(asked.values()):
        found["request"] = {name: value for name, value in asked.items() if value}
    if details := _json(row.get("token_details")):
        found["details"] = {KEY: {"token_details": details}}
    return found


def _json(text: Any) -> Row:
    value = loads(text) if isinstance(text, str) and text else None
    return value if isinstance(value, dict) else {}


def _time(text: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _tool(row: Row) -> Row:
    tool: Row = {"name": row["name"]}
    if row["description"]:
        tool["description"] = row["description"]
    tool["input_schema"] = _json(row["input_schema"])
    return tool


def _text(text: str) -> Row:
    return {"type": "text", "text": text}


class _Responses:
    """The schema until 0.31: a row of `responses` holds a prompt and its reply."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def records(self) -> Iterator[Record]:
        has_turns = bool(self._logs.rows("SELECT name FROM sqlite_master WHERE name = 'turns'"))
        unless = "WHERE responses.id NOT IN (SELECT id FROM turns)" if has_turns else ""
        conversations: dict[str, list[Row]] = {}
        for row in self._logs.rows(f"SELECT responses.* FROM responses {unless} ORDER BY datetime_utc, id"):
            conversations.setdefault(row.get("conversation_id") or row["id"], []).append(row)
        for identity, rows in conversations.items():
            yield self._record(identity, rows)

    def _record(self, identity: str, rows: list[Row]) -> Record:
        messages: list[Row] = []
        tools: dict[str, Row] = {}
        instructions = ""
        for row in rows:
            if row.get("schema_id"):
                found = self._logs.rows("SELECT content FROM schemas WHERE id = ?", row["schema_id"])
                row["schema_json"] = found[0]["content"] if found else None
            said = "\n\n".join([*self._fragments("system", row["id"]), *filter(None, [row.get("system")])])
            if said and said != instructions:
                messages.append({"role": "system", "parts": [_text(said)]})
                instructions = said
            results = self._results(row["id"], messages)
            if results:
                messages.append({"role": "tool", "parts": results})
            question = self._question(row)
            if question or not results:
                messages.append({"role": "user", "parts": question})
            messages.append({"role": "assistant", "parts": self._reply(row), "response": _response(row)})
            statement = "SELECT tools.* FROM tool_responses JOIN tools ON tools.id = tool_id WHERE response_id = ?"
            tools.update({tool["name"]: _tool(tool) for tool in self._logs.rows(statement, row["id"])})
        record: Record = {"type": "conversation", "id": identity, "messages": messages}
        if tools:
            record["tools"] = list(tools.values())
        return record

    def _fragments(self, kind: str, response: str) -> list[str]:
        statement = (
            f"SELECT content FROM {kind}_fragments AS used JOIN fragments ON fragments.id = fragment_id"
            ' WHERE response_id = ? ORDER BY used."order"'
        )
        return [row["content"] for row in self._logs.rows(statement, response)]

    def _question(self, row: Row) -> list[Row]:
        text = "\n".join([*self._fragments("prompt", row["id"]), *filter(None, [row["prompt"]])])
        parts = [_text(text)] if text else []
        found = self._logs.attachments("prompt_attachments", "response_id", row["id"])
        return [*parts, *({"type": "attachment", "attachment": attachment} for attachment in found)]

    def _results(self, response: str, messages: list[Row]) -> list[Row]:
        parts = []
        asked = [part for part in (messages[-1]["parts"] if messages else ()) if part["type"] == "tool_call"]
        for place, row in enumerate(
            self._logs.rows("SELECT * FROM tool_results WHERE response_id = ? ORDER BY id", response)
        ):
            part = {"type": "tool_result", "name": row["name"], "output": row["output"] or ""}
            by_place = asked[place]["tool_call_id"] if place < len(asked) else f"~{place}"
            part["tool_call_id"] = row["tool_call_id"] or by_place
            if row.get("exception"):
                part["exception"] = row["exception"]
            found = self._logs.attachments("tool_results_attachments", "tool_result_id", row["id"])
            if found:
                part["attachments"] = found
            parts.append(part)
        return parts

    def _reply(self, row: Row) -> list[Row]:
        parts = [{"type": "reasoning", "text": row["reasoning"]}] if row.get("reasoning") else []
        if row["response"]:
            parts.append(_text(row["response"]))
        for call in self._logs.rows("SELECT * FROM tool_calls WHERE response_id = ? ORDER BY id", row["id"]):
            part = {"type": "tool_call", "name": call["name"], "arguments": _json(call["arguments"])}
            parts.append({**part, "tool_call_id": call["tool_call_id"] or f"~{len(parts)}"})
        return parts


class _Messages:
    """The schema since 0.32: a tree of messages, as here, and a row of `turns` for each reply."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._turns: dict[str, list[Row]] = {}
        statement = (
            "SELECT turns.*, schemas.content AS schema_json FROM turns LEFT JOIN schemas ON schemas.id = schema_id"
            " ORDER BY datetime_utc, turns.id"
        )
        for turn in logs.rows(statement):
            self._turns.setdefault(turn["tip_message_hash"], []).append(turn)

    def records(self) -> Iterator[Record]:
        for tip, turns in self._turns.items():  # an older reply of the same words, before the newest
            for turn in turns[:-1]:
                yield self._record(tip, {tip: turn})
        leaves = (
            "SELECT hash FROM messages WHERE hash NOT IN (SELECT parent_hash FROM messages WHERE parent_hash NOTNULL)"
        )
        for row in self._logs.rows(leaves + " ORDER BY rowid"):
            yield self._record(row["hash"], {})

    def _record(self, tip: str, turns: dict[str, Row]) -> Record:
        messages: list[Row] = []
        tools: dict[str, Row] = {}
        identity, digest = None, tip
        while digest:
            row = self._logs.rows("SELECT * FROM messages WHERE hash = ?", digest)[0]
            message: Row = {"role": row["role"], "parts": self._parts(digest)}
            if metadata := _json(row["provider_metadata"]):
                message["provider_metadata"] = metadata
            turn = turns.get(digest) or self._turns.get(digest, [None])[-1]
            if turn:
                identity = identity or turn["thread_id"]
                message["response"] = _response(turn)
                statement = "SELECT tools.* FROM turn_tools JOIN tools ON tools.id = tool_id WHERE turn_id = ?"
                for tool in self._logs.rows(statement, turn["id"]):
                    tools.setdefault(tool["name"], _tool(tool))
            messages.insert(0, message)
            digest = row["parent_hash"]
        record: Record = {"type": "conversation", "messages": messages}
        if identity:
            record["id"] = identity
        if tools:
            record["tools"] = list(tools.values())
        return record

    def _parts(self, digest: str) -> list[Row]:
        parts = []
        for row in self._logs.rows("SELECT * FROM parts WHERE message_hash = ? ORDER BY position", digest):
            part: Row = {"type": row["type"]}
            if row["text"] is not None:
                part["text"] = row["text"]
            part.update(_json(row["payload"]))
            if "text_ref" in part:
                part["text"] = "".join(map(self._piece, part.pop("text_ref")))
            found = self._logs.attachments("part_attachments", "part_id", row["id"])
            if row["type"] == "attachment" and found:
                part["attachment"] = found[0]
            elif found:
                part["attachments"] = found
            if row["type"] in ("tool_call", "tool_result"):
                part.setdefault("tool_call_id", f"~{row['position']}")
            parts.append(part)
        return parts

    def _piece(self, piece: Row) -> str:
        if "literal" in piece:
            return str(piece["literal"])
        found = self._logs.rows("SELECT content FROM fragments WHERE id = ?", piece["fragment"])
        return str(found[0]["content"]) if found else ""
