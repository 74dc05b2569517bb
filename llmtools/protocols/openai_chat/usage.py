"""OpenAI Chat Completions, the usage: the vendors' counts as ours.

Rules:
* Our input is all tokens that the model read, cached or not. Our output is all that it wrote,
  reasoning included.
* Some vendors leave the reasoning out of completion_tokens (xAI, Gemini behind this protocol);
  their total includes it. If the total is the sum of the two counts, the completion includes
  the reasoning, even if the count of the reasoning is the larger one (Qwen at OpenRouter,
  DeepSeek at Together). The Vercel gateway is the exception: its total leaves the reasoning of
  Gemini out, its cost does not.
* Some leave the sound out of prompt_tokens (Mistral's Voxtral); the total includes it.
* details: cached, cache_write, reasoning and audio, if they are not 0.

Recorded: xAI `68 + 185 reasoning, 470 in, total 723`; Gemini `12 out, 35 in, total 109`;
Qwen `16 out, of these 21 reasoning, 21 in, total 37`; Vercel `14 out, 43 reasoning, 40 in,
total 54`, charged for 57 out; Voxtral `2 out, 16 in, total 393`.
"""

from __future__ import annotations

from ..json_fields import count_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Usage
    from ..json_fields import JsonObject

_IN = "prompt_tokens_details"
_OUT = "completion_tokens_details"
_DETAIL_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
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
"""Our detail -> the places where vendors count it: an object inside the usage, or "", and a field."""


def usage_of(usage: JsonObject) -> Usage:
    """Return the vendor's usage object as ours."""
    tokens_in, tokens_out = count_of(usage, "prompt_tokens"), count_of(usage, "completion_tokens")
    total = count_of(usage, "total_tokens")
    details = {}
    for detail, places in _DETAIL_FIELDS.items():
        counts = (count_of(usage.get(group) if group else usage, field) for group, field in places)
        if count := next((count for count in counts if count), 0):
            details[detail] = count
    reasoning = details.get("reasoning", 0)
    missing = total - tokens_in - tokens_out
    if missing > 0 and ("prompt_audio_seconds" in usage or details.get("audio_input") == missing):
        tokens_in += missing
    elif missing > 0 and reasoning in (0, missing):
        tokens_out += missing
    elif reasoning > tokens_out and (not total or "market_cost" in usage):  # only Vercel has a market_cost
        tokens_out += reasoning
    return {"input": tokens_in, "output": tokens_out, **({"details": details} if details else {})}
