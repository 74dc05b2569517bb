"""OpenAI Chat Completions: its data."""

from __future__ import annotations

from ..options import Places
from ..spec import USUAL_IMAGES, Spec

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""The fields in which servers send reasoning as a string."""

SPEC = Spec(
    name="openai-chat",
    options=Places(
        {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "max_tokens": "max_tokens",
            "stop": "stop",
            "seed": "seed",
            "presence_penalty": "presence_penalty",
            "frequency_penalty": "frequency_penalty",
            "parallel_tool_calls": "parallel_tool_calls",
            "service_tier": "service_tier",
            "verbosity": "verbosity",
        },
        moved={
            "max_completion_tokens": {"max_tokens": "max_completion_tokens"},
            "random_seed": {"seed": "random_seed"},
        },
    ),
    server_tools={"web_search": {"web_search_options": {}}},
    server_tools_by_quirk={
        "openrouter_tools": {
            "web_search": {"type": "openrouter:web_search"},
            "url_fetch": {"type": "openrouter:web_fetch"},
            "image_generation": {"type": "openrouter:image_generation"},
        },
        "groq_tools": {"web_search": {"type": "browser_search"}, "code_execution": {"type": "code_interpreter"}},
        "enable_search": {"web_search": {"enable_search": True}},
    },
    tool_fields=frozenset(("search_parameters", "plugins")),
    image_types=(*USUAL_IMAGES, "image/bmp", "image/tiff"),  # the last two at servers of one's own: llama.cpp, vLLM
    url_types=("image/",),
    url_types_by_quirk={
        "video": ("video/",),
        "file_urls": ("application/pdf",),
        "document_url": ("application/pdf",),
    },
)
