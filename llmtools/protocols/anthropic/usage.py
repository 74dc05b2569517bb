"""Anthropic Messages, the usage: the vendor's counts in ours.

Rules:
* input_tokens leaves out what the cache read and wrote; input is all three.
* message_delta repeats the counts of message_start, cumulated: the later count wins, one
  that is missing or null leaves the earlier one.
* Where the vendor lists its iterations (compaction, an advisor, a fallback), the counts on
  top are those of some of them only: ours are the sum of all.

Recorded: top 181 in, 8 out; iterations 100 + 55096 cached in, 83 out, and 181 in, 8 out.
Facts: wire-protocols.md section 3.
"""

from __future__ import annotations

from ..reply_writer import objects_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Usage

_CACHED = "cache_read_input_tokens"
_CACHE_WRITE = "cache_creation_input_tokens"


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int and value > 0 else 0


def _sum(usages: list[dict[str, Any]]) -> dict[str, int]:
    names = ("input_tokens", _CACHED, _CACHE_WRITE, "output_tokens")
    return {name: sum(_count(usage, name) for usage in usages) for name in names}


def usage_of(usage: dict[str, Any]) -> Usage:
    """Return the vendor's usage object as ours."""
    counts, inside = _sum([usage]), _sum(objects_in(usage.get("iterations")))
    if sum(inside.values()) > sum(counts.values()):
        counts = inside
    said = usage.get("output_tokens_details")
    details = {
        "cached": counts[_CACHED],
        "cache_write": counts[_CACHE_WRITE],
        "reasoning": _count(said, "thinking_tokens") if isinstance(said, dict) else 0,
    }
    details = {name: count for name, count in details.items() if count}
    read = counts["input_tokens"] + counts[_CACHED] + counts[_CACHE_WRITE]
    wrote = counts["output_tokens"]
    return {"input": read, "output": wrote, "details": details} if details else {"input": read, "output": wrote}
