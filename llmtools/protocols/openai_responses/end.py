"""OpenAI Responses, the end of a reply: its finish_reason, usage and details.

Rules:
* A completed reply with calls that are ours to run has finish_reason `tool_calls`, one with a
  refusal `refusal`. An incomplete reply has the reason that it gives.
* input_tokens includes what was cached, output_tokens the reasoning, as ours do. If the total
  shows that the reasoning was left out of output_tokens, it is added.
* The fields of a response that repeat its request are skipped. All others are kept in details.
"""

from __future__ import annotations

from ..json_fields import count_of, string_or_empty, unhandled_fields
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Usage
    from ..json_fields import JsonObject

_REPEATED_FIELDS = frozenset(
    (
        *("id", "object", "model", "status", "created_at", "completed_at", "output", "output_text", "error", "usage"),
        *("background", "conversation", "frequency_penalty", "include", "instructions", "max_output_tokens"),
        *("max_tool_calls", "metadata", "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier"),
        *("store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
        *("context_management", "stream", "stream_options"),
    )
)
"""Fields of a response that repeat the request, or have a place of their own here."""

_TOKEN_DETAILS = (
    ("cached", "input_tokens_details", "cached_tokens"),
    ("cache_write", "input_tokens_details", "cache_write_tokens"),
    ("reasoning", "output_tokens_details", "reasoning_tokens"),
)


def usage_of(usage: JsonObject) -> Usage:
    """Return the vendor's usage object as ours."""
    tokens_in, tokens_out = count_of(usage, "input_tokens"), count_of(usage, "output_tokens")
    details = {ours: count for ours, group, name in _TOKEN_DETAILS if (count := count_of(usage.get(group), name))}
    total = count_of(usage, "total_tokens")
    if total - tokens_in - tokens_out == details.get("reasoning", 0):
        tokens_out = total - tokens_in
    return {"input": tokens_in, "output": tokens_out, **({"details": details} if details else {})}


def outcome_of(response: JsonObject, reason: str) -> JsonObject:
    """Return finish_reason, and finish_reason_raw if it differs; `reason` is that of a completed response."""
    why = response.get("incomplete_details")
    raw = status = string_or_empty(response.get("status"))
    if status == "incomplete":
        raw = string_or_empty(why.get("reason")) if isinstance(why, dict) else ""
        known = SPEC.finish_reason(raw)
        reason, raw = "length" if known in ("stop", "tool_calls") else known, raw or status
    outcome: JsonObject = {"finish_reason": reason}
    if raw and raw != reason:
        outcome["finish_reason_raw"] = raw
    return outcome


def details_of(event: JsonObject, response: JsonObject) -> JsonObject:
    """Return the fields of a response, and of its last event, that are kept in details."""
    event_fields = unhandled_fields(event, frozenset(("type", "sequence_number", "response")))
    return event_fields | unhandled_fields(response, _REPEATED_FIELDS)
