"""Anthropic Messages, the usage: the vendor's counts as ours.

Rules:
* input_tokens does not include what the cache read and wrote. Our input is the sum of the three.
* message_delta repeats the counts of message_start, cumulated. The later count wins; a count
  that is missing or null keeps the earlier one.
* If the vendor lists its iterations (compaction, an advisor, a fallback), the counts at the top
  cover only some of them. Ours are the sum of all.

Recorded: 181 in and 8 out at the top; iterations of 100 + 55096 cached in, 83 out, and of 181
in, 8 out.
"""

from __future__ import annotations

from ..json_fields import count_of, objects_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Usage
    from ..json_fields import JsonObject

_CACHED = "cache_read_input_tokens"
_CACHE_WRITE = "cache_creation_input_tokens"


def _sum(usages: list[JsonObject]) -> dict[str, int]:
    names = ("input_tokens", _CACHED, _CACHE_WRITE, "output_tokens")
    return {name: sum(count_of(usage, name) for usage in usages) for name in names}


def usage_of(usage: JsonObject) -> Usage:
    """Return the vendor's usage object as ours."""
    counts, iterations = _sum([usage]), _sum(objects_of(usage.get("iterations")))
    if sum(iterations.values()) > sum(counts.values()):
        counts = iterations
    details = {
        "cached": counts[_CACHED],
        "cache_write": counts[_CACHE_WRITE],
        "reasoning": count_of(usage.get("output_tokens_details"), "thinking_tokens"),
    }
    details = {name: count for name, count in details.items() if count}
    tokens_in = counts["input_tokens"] + counts[_CACHED] + counts[_CACHE_WRITE]
    tokens_out = counts["output_tokens"]
    return {"input": tokens_in, "output": tokens_out, **({"details": details} if details else {})}
