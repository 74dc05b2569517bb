"""OpenAI Responses, the end: why a response ended, its counts, and what else it told, in ours.

Rules:
* A reply with calls that are ours to run has ended for them, one with a refusal for that,
  whatever the status says; an incomplete one for the reason it gives.
* input_tokens counts what was cached too, output_tokens the reasoning: both are ours.
* Where a total says that the reasoning was left out of the output, it is added.
* What a response repeats of its request says nothing of it; all else is kept in details.

Facts: wire-protocols.md section 2.
"""

from __future__ import annotations

from ..reply_writer import said_in, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Usage

    Wire = dict[str, Any]

FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""Why a response is incomplete, in ours; any other is `length`."""

_ECHOED = frozenset(
    (
        *("id", "object", "model", "status", "created_at", "completed_at", "output", "output_text", "error", "usage"),
        *("background", "conversation", "frequency_penalty", "include", "instructions", "max_output_tokens"),
        *("max_tool_calls", "metadata", "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier"),
        *("store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
        *("context_management", "stream", "stream_options"),
    )
)
"""Fields of a response that tell what was asked, or what stands elsewhere here."""

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


def outcome_of(response: Wire, reason: str) -> Wire:
    """Return what `end` says of why it ended; `reason` is that of a complete one."""
    why = response.get("incomplete_details")
    raw = status = text_in(response.get("status"))
    if status == "incomplete":
        raw = text_in(why.get("reason")) if isinstance(why, dict) else ""
        reason, raw = FINISH_REASONS.get(raw, "length"), raw or status
    outcome: Wire = {"finish_reason": reason}
    if raw and raw != reason:
        outcome["finish_reason_raw"] = raw
    return outcome


def details_of(event: Wire, response: Wire) -> Wire:
    """Return what is kept of a response, beside its usage, and never sent back."""
    return said_in(event, frozenset(("type", "sequence_number", "response"))) | said_in(response, _ECHOED)
