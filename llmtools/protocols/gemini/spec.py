"""Gemini generateContent: its data."""

from __future__ import annotations

from ..options import Places
from ..spec import Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _next_page(body: dict[str, Any]) -> dict[str, str]:
    """https://ai.google.dev/api/models#method:-models.list"""
    token = body.get("nextPageToken")
    return {"pageToken": token} if isinstance(token, str) and token else {}


SPEC = Spec(
    name="gemini",
    options=Places(
        {
            "temperature": "temperature",
            "top_p": "topP",
            "top_k": "topK",
            "max_tokens": "maxOutputTokens",
            "stop": "stopSequences",
            "seed": "seed",
            "presence_penalty": "presencePenalty",
            "frequency_penalty": "frequencyPenalty",
            "service_tier": "serviceTier",
        },
        root="generationConfig",
        beside=(
            "generationConfig",
            "safetySettings",
            "cachedContent",
            "serviceTier",
            "store",
            "labels",
            "toolConfig",
            "tools",
        ),
    ),
    key_header=("x-goog-api-key", ""),
    server_tools={
        "web_search": {"googleSearch": {}},
        "url_fetch": {"urlContext": {}},
        "code_execution": {"codeExecution": {}},
        "file_search": {"fileSearch": {}},
        "maps": {"googleMaps": {}},
        "image_generation": {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}},
    },
    url_types=("",),
    next_page=_next_page,
)
