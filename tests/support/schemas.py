"""Schemas in few words."""

from __future__ import annotations

from typing import Any


def described(**properties: Any) -> dict[str, Any]:
    """The schema of an object with some properties, all of them required."""
    fields = {name: {"type": value} if isinstance(value, str) else value for name, value in properties.items()}
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
