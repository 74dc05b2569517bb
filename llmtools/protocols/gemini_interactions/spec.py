"""Gemini Interactions: its data."""

from __future__ import annotations

from ..options import Places
from ..spec import Spec, google_next_page

SPEC = Spec(
    name="gemini-interactions",
    options=Places(
        {
            "temperature": "temperature",
            "top_p": "top_p",
            "max_tokens": "max_output_tokens",
            "stop": "stop_sequences",
            "seed": "seed",
            "service_tier": "service_tier",
        },
        root="generation_config",
        beside=(
            *("agent", "agent_config", "background", "cached_content", "continuation_token", "environment"),
            *("generation_config", "input", "labels", "model", "previous_interaction_id", "response_format"),
            *("response_mime_type", "response_modalities", "safety_settings", "service_tier", "store"),
            *("system_instruction", "tools", "webhook_config"),
        ),
    ),
    key_header=("x-goog-api-key", ""),
    finish_reasons={
        "completed": "stop",
        "requires_action": "tool_calls",
        "requires_continuation": "pause",
        "incomplete": "length",
        "budget_exceeded": "length",
        "failed": "error",
        "cancelled": "error",
    },
    server_tools={
        "web_search": {"type": "google_search"},
        "url_fetch": {"type": "url_context"},
        "code_execution": {"type": "code_execution"},
        "file_search": {"type": "file_search"},
        "maps": {"type": "google_maps"},
        "mcp": {"type": "mcp_server"},
        "image_generation": {"response_format": [{"type": "text"}, {"type": "image"}]},
    },
    image_types=(
        *("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "image/gif", "image/bmp"),
        "image/tiff",
    ),
    url_types=("",),
    next_page=google_next_page,
)
