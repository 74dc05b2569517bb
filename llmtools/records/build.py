"""Builds messages and notices."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .types import Message, Part, Record, Role


def build_message(role: Role, *content: str | Part) -> Message:
    """Return a message of `role`: a text becomes a text part, a part stays as it is."""
    parts: list[Part] = [{"type": "text", "text": item} if isinstance(item, str) else item for item in content]
    return {"type": "message", "role": role, "parts": parts}


def notice(code: str, message: str) -> Record:
    """Return a `notice` record."""
    return {"type": "notice", "code": code, "message": message}


def deep_copy(value: Any) -> Any:
    """Return a deep copy of plain dicts and lists."""
    if isinstance(value, dict):
        return {name: deep_copy(item) for name, item in value.items()}
    return [deep_copy(item) for item in value] if isinstance(value, list) else value


def rfc3339(milliseconds: int | None = None) -> str:
    """Return a Unix time in ms, or the present time, as RFC 3339 text in UTC, to the millisecond."""
    if milliseconds is None:
        milliseconds = time.time_ns() // 1_000_000
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
