"""Anthropic Messages: its data."""

from __future__ import annotations

import re

from ..options import Places
from ..spec import Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

API_VERSION = "2026-10-21"
OLD_API_VERSION = "2023-06-01"


def _next_page(body: dict[str, Any]) -> dict[str, str]:
    """Return the query of the page behind `body`: https://platform.claude.com/docs/en/api/models/list"""
    last = body.get("last_id")
    return {"after_id": last} if body.get("has_more") is True and isinstance(last, str) else {}


SPEC = Spec(
    name="anthropic",
    options=Places(
        {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "max_tokens": "max_tokens",
            "stop": "stop_sequences",
            "parallel_tool_calls": "!tool_choice.disable_parallel_tool_use",
            "service_tier": "service_tier",
        },
    ),
    key_header=("x-api-key", ""),
    finish_reasons={
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "pause_turn": "pause",
        "compaction": "pause",
        "refusal": "refusal",
    },
    server_tools={
        "web_search": {"type": "web_search_20250305", "name": "web_search"},
        "url_fetch": {"type": "web_fetch_20250910", "name": "web_fetch"},
        "code_execution": {"type": "code_execution_20250825", "name": "code_execution"},
        "tool_search": {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
    },
    server_tools_by_quirk={
        "newest_tools": {
            "web_search": {"type": "web_search_20260318", "name": "web_search"},
            "url_fetch": {"type": "web_fetch_20260318", "name": "web_fetch"},
            "code_execution": {"type": "code_execution_20260521", "name": "code_execution"},
        },
    },
    url_types=("image/", "application/pdf"),
    list_headers={"anthropic-version": OLD_API_VERSION},
    next_page=_next_page,
    rate_limits=re.compile(r"anthropic-ratelimit-(?P<what>[a-z-]+)-(?P<kind>limit|remaining|reset)"),
)
