"""Gemini: its data."""

from __future__ import annotations

from ..options import Places
from ..spec import Spec, google_next_page

_FILTERED = (
    *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "ESCALATION", "PUP_LIMITED_DISABLED"),
)
_FAILED = (
    *("OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
    *("MISSING_THOUGHT_SIGNATURE", "IMAGE_OTHER", "NO_IMAGE"),
)

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
            "modelArmorConfig",
            "continuationToken",
            "systemInstruction",
            "outputConfig",
        ),
    ),
    key_header=("x-goog-api-key", ""),
    finish_reasons={
        "STOP": "stop",
        "MAX_TOKENS": "length",
        "CONTINUATION": "pause",
        **dict.fromkeys(_FILTERED, "content_filter"),
        **dict.fromkeys(_FAILED, "error"),
    },
    server_tools={
        "web_search": {"googleSearch": {}},
        "url_fetch": {"urlContext": {}},
        "code_execution": {"codeExecution": {}},
        "file_search": {"fileSearch": {}},
        "maps": {"googleMaps": {}},
        "mcp": {"mcpServers": []},
        "enterprise_web_search": {"enterpriseWebSearch": {}},
        "image_generation": {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}},
    },
    image_types=("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "image/gif", "image/avif"),
    url_types=("",),
    next_page=google_next_page,
)
