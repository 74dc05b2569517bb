"""The log of the program `llm` (its logs.db), read as conversation records.

Rules:
* Both of its schemas are read, even if one file has both: `responses`, a row for each prompt, and
  since 0.32 `messages` and `parts`, with a row of `turns` for each reply.
* The file is only read. Columns that only some versions have are optional.
* A model is named `llm/MODEL`, so that it can run again, through `llm`.
* An attachment that is stored as a path becomes path and sha256: its id in logs.db is the sha256.
"""

from __future__ import annotations

import sqlite3

from ..errors import InputError
from ..records.attachments import encode_base64
from ..records.build import rfc3339
from ..records.check import check_record
from ..records.jsonl import loads
from . import database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from ..records.types import Record
    from .database import Row

LLM_ISSUER = "llm"
"""The issuer under which a response keeps the details that only `llm` has."""


class LlmLogs:
    """A logs.db, opened for reading. Raises OutputError if it cannot be opened."""

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
        """Yield its conversations. Raises InputError for content that `llm` would not write."""
        readers: list[_ResponsesReader | _MessagesReader] = []
        if "responses" in self._tables:
            readers.append(_ResponsesReader(self))
        if {"messages", "parts", "turns"} <= self._tables:
            readers.append(_MessagesReader(self))
        try:
            for reader in readers:
                for record in reader.records():
                    check_record(record)
                    yield record
        except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self._path}: {error}") from None

    def rows(self, statement: str, *values: Any) -> list[Row]:
        """Return rows as dicts; none if the table does not exist."""
        try:
            return [dict(row) for row in self._connection.execute(statement, values)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise

    def attachment(self, row: Row) -> Row:
        """Return a row of `attachments` as an attachment of a part."""
        media_type = {"type": row["type"]} if row["type"] else {}
        if row["content"] is not None:
            return {**media_type, "content": encode_base64(row["content"])}
        if row["path"]:
            return {**media_type, "path": row["path"], "sha256": row["id"]}
        return {**media_type, "url": row["url"]}

    def attachments(self, table: str, column: str, owner: Any) -> list[Row]:
        """Return the attachments of a row of another table, in order."""
        statement = (
            f"SELECT attachments.* FROM {table} JOIN attachments ON attachments.id = {table}.attachment_id"
            f' WHERE {table}.{column} = ? ORDER BY {table}."order"'
        )
        return [self.attachment(row) for row in self.rows(statement, owner)]


def _decode_response(row: Row) -> Row:
    """Return the `response` of a reply, from its row of `responses` or of `turns`."""
    response: Row = {"id": row["id"], "model": f"llm/{row['model']}", "status": "ok"}
    if row.get("resolved_model"):
        response["model_served"] = row["resolved_model"]
    usage = {"input": row.get("input_tokens"), "output": row.get("output_tokens")}
    usage = {name: count for name, count in usage.items() if isinstance(count, int) and count >= 0}
    if usage:
        response["usage"] = usage
    if created := database.unix_milliseconds(row.get("datetime_utc")):
        response["created"] = rfc3339(created)
    if isinstance(row.get("duration_ms"), int):
        response["timing"] = {"total": row["duration_ms"] / 1000}
    request = {"options": _decode_object(row.get("options_json")), "schema": _decode_object(row.get("schema_json"))}
    if any(request.values()):
        response["request"] = {name: value for name, value in request.items() if value}
    if details := _decode_object(row.get("token_details")):
        response["details"] = {LLM_ISSUER: {"token_details": details}}
    return response


def _decode_object(text: Any) -> Row:
    value = loads(text) if isinstance(text, str) and text else None
    return value if isinstance(value, dict) else {}


def _decode_tool(row: Row) -> Row:
    tool: Row = {"name": row["name"]}
    if row["description"]:
        tool["description"] = row["description"]
    tool["input_schema"] = _decode_object(row["input_schema"])
    return tool


def _text_part(text: str) -> Row:
    return {"type": "text", "text": text}


class _ResponsesReader:
    """The schema until 0.31: a row of `responses` has a prompt and its reply."""

    def __init__(self, logs: LlmLogs) -> None:
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
                schemas = self._logs.rows("SELECT content FROM schemas WHERE id = ?", row["schema_id"])
                row["schema_json"] = schemas[0]["content"] if schemas else None
            system = "\n\n".join([*self._fragments("system", row["id"]), *filter(None, [row.get("system")])])
            if system and system != instructions:
                messages.append({"role": "system", "parts": [_text_part(system)]})
                instructions = system
            results = self._tool_results(row["id"], messages)
            if results:
                messages.append({"role": "tool", "parts": results})
            question = self._question_parts(row)
            if question or not results:
                messages.append({"role": "user", "parts": question})
            messages.append({"role": "assistant", "parts": self._reply_parts(row), "response": _decode_response(row)})
            statement = "SELECT tools.* FROM tool_responses JOIN tools ON tools.id = tool_id WHERE response_id = ?"
            tools.update({tool["name"]: _decode_tool(tool) for tool in self._logs.rows(statement, row["id"])})
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

    def _question_parts(self, row: Row) -> list[Row]:
        text = "\n".join([*self._fragments("prompt", row["id"]), *filter(None, [row["prompt"]])])
        parts = [_text_part(text)] if text else []
        attachments = self._logs.attachments("prompt_attachments", "response_id", row["id"])
        return [*parts, *({"type": "attachment", "attachment": attachment} for attachment in attachments)]

    def _tool_results(self, response: str, messages: list[Row]) -> list[Row]:
        parts = []
        calls = [part for part in (messages[-1]["parts"] if messages else ()) if part["type"] == "tool_call"]
        for index, row in enumerate(
            self._logs.rows("SELECT * FROM tool_results WHERE response_id = ? ORDER BY id", response)
        ):
            part = {"type": "tool_result", "name": row["name"], "output": row["output"] or ""}
            by_position = calls[index]["tool_call_id"] if index < len(calls) else f"~{index}"
            part["tool_call_id"] = row["tool_call_id"] or by_position
            if row.get("exception"):
                part["exception"] = row["exception"]
            attachments = self._logs.attachments("tool_results_attachments", "tool_result_id", row["id"])
            if attachments:
                part["attachments"] = attachments
            parts.append(part)
        return parts

    def _reply_parts(self, row: Row) -> list[Row]:
        parts = [{"type": "reasoning", "text": row["reasoning"]}] if row.get("reasoning") else []
        if row["response"]:
            parts.append(_text_part(row["response"]))
        for call in self._logs.rows("SELECT * FROM tool_calls WHERE response_id = ? ORDER BY id", row["id"]):
            part = {"type": "tool_call", "name": call["name"], "arguments": _decode_object(call["arguments"])}
            parts.append({**part, "tool_call_id": call["tool_call_id"] or f"~{len(parts)}"})
        return parts


class _MessagesReader:
    """The schema since 0.32: a tree of messages, like ours, and a row of `turns` for each reply."""

    def __init__(self, logs: LlmLogs) -> None:
        self._logs = logs
        self._turns: dict[str, list[Row]] = {}
        statement = (
            "SELECT turns.*, schemas.content AS schema_json FROM turns LEFT JOIN schemas ON schemas.id = schema_id"
            " ORDER BY datetime_utc, turns.id"
        )
        for turn in logs.rows(statement):
            self._turns.setdefault(turn["tip_message_hash"], []).append(turn)

    def records(self) -> Iterator[Record]:
        for tip, turns in self._turns.items():  # older replies with the same text, before the newest
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
        seen: set[str] = set()
        while digest:
            rows = self._logs.rows("SELECT * FROM messages WHERE hash = ?", digest)
            if not rows or digest in seen:
                raise ValueError(f"the message {digest} is gone, or comes before itself")
            seen.add(digest)
            row = rows[0]
            message: Row = {"role": row["role"], "parts": self._parts(digest)}
            if metadata := _decode_object(row["provider_metadata"]):
                message["provider_metadata"] = metadata
            turn = turns.get(digest) or self._turns.get(digest, [None])[-1]
            if turn:
                identity = identity or turn["thread_id"]
                message["response"] = _decode_response(turn)
                statement = "SELECT tools.* FROM turn_tools JOIN tools ON tools.id = tool_id WHERE turn_id = ?"
                for tool in self._logs.rows(statement, turn["id"]):
                    tools.setdefault(tool["name"], _decode_tool(tool))
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
            part.update(_decode_object(row["payload"]))
            if "text_ref" in part:
                part["text"] = "".join(map(self._resolve_piece, part.pop("text_ref")))
            attachments = self._logs.attachments("part_attachments", "part_id", row["id"])
            if row["type"] == "attachment" and attachments:
                part["attachment"] = attachments[0]
            elif attachments:
                part["attachments"] = attachments
            if row["type"] in ("tool_call", "tool_result"):
                part.setdefault("tool_call_id", f"~{row['position']}")
            parts.append(part)
        return parts

    def _resolve_piece(self, piece: Row) -> str:
        if "literal" in piece:
            return str(piece["literal"])
        fragments = self._logs.rows("SELECT content FROM fragments WHERE id = ?", piece["fragment"])
        return str(fragments[0]["content"]) if fragments else ""
