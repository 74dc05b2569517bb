"""Gemini, the usage: the vendor's counts as ours.

Rules:
* Our input is the prompt and the prompt of tool use; our output is the candidates and the
  thoughts, which candidatesTokenCount does not include.
"""

from __future__ import annotations

from ..json_fields import count_of, count_or_none

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Usage
    from ..json_fields import JsonObject

_COUNTS = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")


def usage_of(usage: JsonObject) -> Usage | None:
    """Return the vendor's usage object as ours, None if it counts nothing."""
    if not any(count_or_none(usage.get(name)) is not None for name in _COUNTS):
        return None
    tokens_in = count_of(usage, "promptTokenCount") + count_of(usage, "toolUsePromptTokenCount")
    thoughts = count_of(usage, "thoughtsTokenCount")
    tokens_out = count_of(usage, "candidatesTokenCount") + thoughts
    details = {"cached": count_of(usage, "cachedContentTokenCount"), "reasoning": thoughts}
    details = {name: count for name, count in details.items() if count}
    return {"input": tokens_in, "output": tokens_out, **({"details": details} if details else {})}
