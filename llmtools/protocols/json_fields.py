"""Fields of JSON objects that others wrote: any field may be absent, or of any type."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    JsonObject: TypeAlias = "dict[str, Any]"


def string_or_empty(value: Any) -> str:
    """Return a string as it is, "" for any other value."""
    return value if isinstance(value, str) else ""


def objects_of(value: Any) -> list[JsonObject]:
    """Return the objects of a list, [] for any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def count_of(holder: Any, name: str) -> int:
    """Return a field of an object that counts something, 0 if it is not a positive whole number."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if type(value) is int and value > 0 else 0


def unhandled_fields(value: JsonObject, handled: frozenset[str] = frozenset()) -> JsonObject:
    """Return the fields of an object that are neither `handled` nor empty (null, "", [], {})."""
    return {name: item for name, item in value.items() if name not in handled and item not in (None, "", [], {})}
