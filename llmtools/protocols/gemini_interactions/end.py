"""Gemini Interactions, the end of a reply: its finish_reason, usage and details.

Rules:
* The status of the interaction is the vendor's word for why the reply ended. A completed reply
  with calls that are ours to run has finish_reason `tool_calls`.
* Our input is the prompt and what tools gave the model to read; our output is the answer and the
  thoughts, which total_output_tokens does not include.
* The fields of an interaction that repeat its request are skipped. All others are kept in details.
"""

from __future__ import annotations

from ...http.failure import error_message, failure_from_body
from ..json_fields import count_of, count_or_none, objects_of, unhandled_fields
from ..spec import failure_of_finish
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...errors import LlmToolsError
    from ...records.types import Usage
    from ..json_fields import JsonObject

OPEN_STATUSES = ("queued", "in_progress", "idle")
"""The statuses of an interaction that is not over."""

FAILED_STATUSES = ("failed", "cancelled")
"""The statuses of an interaction that failed."""

_REPEATED_FIELDS = frozenset(
    (
        *("id", "object", "model", "status", "created", "updated", "steps", "usage", "continuation_token"),
        *("agent_config", "background", "cached_content", "environment", "generation_config", "input", "labels"),
        *("output_audio", "output_image", "output_text", "output_video", "previous_interaction_id"),
        *("response_format", "response_mime_type", "response_modalities", "safety_settings", "store"),
        *("system_instruction", "tools", "webhook_config", "role"),
    )
)
"""Fields of an interaction that repeat the request, or have a place of their own here."""

_COUNTS = ("total_input_tokens", "total_output_tokens", "total_thought_tokens")


def usage_of(usage: JsonObject) -> Usage | None:
    """Return the vendor's usage object as ours, None if it counts nothing."""
    if not any(count_or_none(usage.get(name)) is not None for name in _COUNTS):
        return None
    tokens_in = count_of(usage, "total_input_tokens") + count_of(usage, "total_tool_use_tokens")
    thoughts = count_of(usage, "total_thought_tokens")
    details = {"cached": count_of(usage, "total_cached_tokens"), "reasoning": thoughts}
    details = {name: count for name, count in details.items() if count}
    tokens_out = count_of(usage, "total_output_tokens") + thoughts
    return {"input": tokens_in, "output": tokens_out, **({"details": details} if details else {})}


def outcome_of_status(status: str, has_calls: bool) -> JsonObject:
    """Return finish_reason, and finish_reason_raw if it differs."""
    reason = SPEC.finish_reason(status)
    reason = "tool_calls" if reason == "stop" and has_calls else reason
    return {"finish_reason": reason, **({"finish_reason_raw": status} if status != reason else {})}


def details_of_interaction(interaction: JsonObject) -> JsonObject:
    """Return the fields of an interaction that are kept in details."""
    return unhandled_fields(interaction, _REPEATED_FIELDS)


def failure_of(status: str, interaction: JsonObject, step_error: JsonObject) -> LlmToolsError:
    """Return the failure of an interaction that failed. `step_error`: that of one of its steps."""
    errors = [interaction.get("error"), *objects_of(interaction.get("errors")), step_error]
    body = next(({"error": error} for error in errors if error_message({"error": error})), None)
    return failure_of_finish(status) if body is None else failure_from_body(body)
