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
* Names may be those of other protocols, in snake or camel case; counts may be floats or strings.
  The cached tokens are part of the input, unless the total or their number tells otherwise.
* details: cached, cache_write, reasoning and audio, if they are not 0.

Recorded: xAI `68 + 185 reasoning, 470 in, total 723`; Gemini `12 out, 35 in, total 109`;
Qwen `16 out, of these 21 reasoning, 21 in, total 37`; Vercel `14 out, 43 reasoning, 40 in,
total 54`, charged for 57 out; Voxtral `2 out, 16 in, total 393`.
"""

from __future__ import annotations

import re

from ..json_fields import count_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Usage
    from ..json_fields import JsonObject

_IN_COUNTS = ("prompt_tokens", "input_tokens", "prompt_token_count", "num_prompt_tokens", "prompt_eval_count")
_OUT_COUNTS = (
    *("completion_tokens", "output_tokens", "completion_token_count", "candidates_token_count"),
    *("generated_tokens", "num_completion_tokens", "eval_count"),
)
_TOTALS = ("total_tokens", "total_token_count", "num_total_tokens")
_IN = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details", "input_token_details")
_OUT = ("completion_tokens_details", "output_tokens_details", "completion_token_details", "output_token_details")
_TOP = ("",)
_DETAIL_FIELDS: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "cached": (
        (_IN, "cached_tokens"),
        (_IN, "cache_read"),
        (_TOP, "prompt_cache_hit_tokens"),
        (_TOP, "cache_read_input_tokens"),
        (_TOP, "cached_tokens"),
        (_TOP, "cached_content_token_count"),
    ),
    "cache_write": ((_IN, "cache_write_tokens"), (_TOP, "cache_creation_input_tokens")),
    "reasoning": (
        (_OUT, "reasoning_tokens"),
        (_OUT, "reasoning"),
        (_TOP, "reasoning_tokens"),
        (_TOP, "thoughts_token_count"),
    ),
    "audio_input": ((_IN, "audio_tokens"),),
    "audio_output": ((_OUT, "audio_tokens"),),
}
"""Our detail -> the places where vendors count it: an object inside the usage, or "", and a field."""

USAGE_PLACES = ("usage", "usageMetadata", "usage_metadata", "token_usage", "tokenUsage")
"""The names of the usage object, OpenAI's first."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _in_snake_case(usage: JsonObject) -> JsonObject:
    """Return an object with names in snake case, and the objects in it too."""
    return {
        _CAMEL.sub("_", name).lower(): _in_snake_case(value) if isinstance(value, dict) else value
        for name, value in usage.items()
    }


def _count(usage: JsonObject, names: tuple[str, ...]) -> int:
    """Return the first count of these names that is not 0."""
    return next((count for name in names if (count := count_of(usage, name))), 0)


def has_counts(usage: JsonObject) -> bool:
    """Return whether a usage object has a field that counts tokens."""
    return not _in_snake_case(usage).keys().isdisjoint((*_IN_COUNTS, *_OUT_COUNTS, *_TOTALS))


def _details(usage: JsonObject) -> dict[str, int]:
    details = {}
    for detail, places in _DETAIL_FIELDS.items():
        counts = (count_of(usage.get(group) if group else usage, field) for groups, field in places for group in groups)
        if count := next((count for count in counts if count), 0):
            details[detail] = count
    return details


def usage_of(usage: JsonObject) -> Usage:
    """Return the vendor's usage object as ours."""
    usage = _in_snake_case(usage)
    tokens_in, tokens_out = _count(usage, _IN_COUNTS), _count(usage, _OUT_COUNTS)
    total, details = _count(usage, _TOTALS), _details(usage)
    reasoning = details.get("reasoning", 0)
    cached = 0 if count_of(usage, "prompt_tokens") else details.get("cached", 0) + details.get("cache_write", 0)
    missing = total - tokens_in - tokens_out
    if missing > 0 and ("prompt_audio_seconds" in usage or details.get("audio_input") == missing):
        tokens_in += missing
    elif cached and (cached > tokens_in or missing == cached != reasoning):  # as Anthropic counts
        tokens_in += cached
    elif missing > 0 and reasoning in (0, missing):
        tokens_out += missing
    elif reasoning > tokens_out and (not total or "market_cost" in usage):  # only Vercel has a market_cost
        tokens_out += reasoning
    return {"input": tokens_in, "output": tokens_out, **({"details": details} if details else {})}
