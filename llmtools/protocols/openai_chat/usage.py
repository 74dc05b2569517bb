"""OpenAI Chat Completions, the usage: the vendors' counts in ours.

Rules:
* input is all the model read, cached or not; output all it wrote, reasoning included.
* Some vendors leave the reasoning out of completion_tokens (xAI, Gemini behind this
  protocol): their total counts it. A total that is the sum of the two counts says that the
  completion includes the reasoning, even where the count of the reasoning is the larger
  one (Qwen at OpenRouter, DeepSeek at Together). The Vercel gateway is the exception: its
  total leaves the reasoning of Gemini out, its cost does not.
* Some leave the sound out of prompt_tokens (Mistral's Voxtral): the total counts it.
* details: cached, cache_write, reasoning, and audio where they are not 0.

Recorded: xAI `68 + 185 reasoning, 470 in, total 723`; Gemini `12 out, 35 in, total 109`;
Qwen `16 out, of these 21 reasoning, 21 in, total 37`; Vercel `14 out, 43 reasoning, 40 in,
total 54`, charged for 57 out; Voxtral `2 out, 16 in, total 393`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Usage

_IN = "prompt_tokens_details"
_OUT = "completion_tokens_details"
_DETAILS: dict[str, tuple[tuple[str, str], ...]] = {
    "cached": (
        (_IN, "cached_tokens"),
        ("", "prompt_cache_hit_tokens"),
        ("", "cache_read_input_tokens"),
        ("", "cached_tokens"),
    ),
    "cache_write": ((_IN, "cache_write_tokens"), ("", "cache_creation_input_tokens")),
    "reasoning": ((_OUT, "reasoning_tokens"), ("", "reasoning_tokens")),
    "audio_input": ((_IN, "audio_tokens"),),
    "audio_output": ((_OUT, "audio_tokens"),),
}


def _count(usage: dict[str, Any], group: str, name: str) -> int:
    """Return a count of the usage object, 0 where it has none."""
    inside = usage.get(group) if group else usage
    value = inside.get(name) if isinstance(inside, dict) else None
    return value if type(value) is int and value > 0 else 0


def usage_of(usage: dict[str, Any]) -> Usage:
    """Return the vendor's usage object as ours."""
    read, wrote, total = (_count(usage, "", name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    details = {}
    for name, places in _DETAILS.items():
        count = next((count for group, field in places if (count := _count(usage, group, field))), 0)
        if count:
            details[name] = count
    reasoning = details.get("reasoning", 0)
    missing = total - read - wrote
    if missing > 0 and ("prompt_audio_seconds" in usage or details.get("audio_input") == missing):
        read += missing
    elif missing > 0 and reasoning in (0, missing):
        wrote += missing
    elif reasoning > wrote and (not total or "market_cost" in usage):  # the latter is Vercel's
        wrote += reasoning
    return {"input": read, "output": wrote, "details": details} if details else {"input": read, "output": wrote}
