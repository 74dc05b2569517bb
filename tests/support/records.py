"""Records of a stream in few words."""

from __future__ import annotations

from typing import Any

from llmtools.records.check import check_record
from llmtools.records.conversation import Conversation

Record = dict[str, Any]


def user(text: str) -> Record:
    return {"type": "message", "role": "user", "parts": [{"type": "text", "text": text}]}


def said(text: str, **response: Any) -> Record:
    message: Record = {"type": "message", "role": "assistant", "parts": [{"type": "text", "text": text}]}
    return {**message, "response": response} if response else message


def call(*ids: str | None, **fields: Any) -> Record:
    parts: list[Record] = [{"type": "tool_call", "name": "f", "arguments": {}, **fields} for _ in ids]
    for part, call_id in zip(parts, ids, strict=True):
        if call_id is not None:
            part["tool_call_id"] = call_id
    return {"type": "message", "role": "assistant", "parts": parts}


def results(*ids: str) -> Record:
    parts = [{"type": "tool_result", "name": "f", "output": "ok", "tool_call_id": call_id} for call_id in ids]
    return {"type": "message", "role": "tool", "parts": parts}


def start(**fields: Any) -> Record:
    return {"type": "start", "response_id": "r", "model": "echo", **fields}


def text(chunk: str, index: int = 0, **fields: Any) -> Record:
    return {"type": "text", "chunk": chunk, "part_index": index, **fields}


def end(status: str = "ok", exit_status: int | None = None) -> Record:
    record: Record = {"type": "end", "response_id": "r", "status": status}
    return record if exit_status is None else {**record, "exit_status": exit_status}


def error(exit_status: int = 69, code: str = "unavailable") -> Record:
    return {"type": "error", "code": code, "message": f"it failed: {code}", "exit_status": exit_status}


def response(answer: str) -> list[Record]:
    return [start(), text(answer), said(answer, model="echo", status="ok"), end()]


RESET: Record = {"type": "reset", "reason": "again"}
NOTICE: Record = {"type": "notice", "code": "retry", "message": "again"}
BROKEN = [start(), text("a"), error(75), said("a", status="error", exit_status=75), end("error", 75)]


def conversation(*records: Record) -> Conversation:
    for record in records:
        check_record(record)
    return Conversation(records)


def joined_chunks(items: list[Any]) -> str:
    return "".join(item["chunk"] for item in items if isinstance(item, dict) and "chunk" in item)
