"""OpenAI Responses, the usage: the vendor's counts in ours.

Rules:
* input_tokens counts what was cached too, output_tokens the reasoning: both are ours.
* Where a total says that the reasoning was left out of the output, it is added.

Facts: wire-protocols.md section 2.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..types import Usage

_DETAILS = (
    ("cached", "input_tokens_details", "cached_tokens"),
    ("cache_write", "input_tokens_details", "cache_write_tokens"),
    ("reasoning", "output_tokens_details", "reasoning_tokens"),
)


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and value > 0 else 0


def usage_of(usage: dict[str, Any]) -> Usage:
    """Return the vendor's usage object as ours."""
    read, wrote, total = (_count(usage, name) for name in ("input_tokens", "output_tokens", "total_tokens"))
    details = {ours: count for ours, group, name in _DETAILS if (count := _count(usage.get(group), name))}
    if total - read - wrote == details.get("reasoning", 0):
        wrote = total - read
    return {"input": read, "output": wrote, "details": details} if details else {"input": read, "output": wrote}
