"""OpenAI Responses: its data."""

from __future__ import annotations

from ..options import Places
from ..spec import Spec

SPEC = Spec(
    name="openai-responses",
    options=Places(
        {
            "temperature": "temperature",
            "top_p": "top_p",
            "max_tokens": "max_output_tokens",
            "parallel_tool_calls": "parallel_tool_calls",
            "service_tier": "service_tier",
            "verbosity": "text.verbosity",
        },
    ),
    finish_reasons={"incomplete": "length"},
    server_tools={
        "web_search": {"type": "web_search"},
        "code_execution": {"type": "code_interpreter", "container": {"type": "auto"}},
        "image_generation": {"type": "image_generation"},
        "file_search": {"type": "file_search"},
        "mcp": {"type": "mcp"},
        "tool_search": {"type": "tool_search"},
        "shell": {"type": "shell", "environment": {"type": "container_auto"}},
    },
    url_types=("image/", "application/pdf"),
    background_path="/responses/{id}",
    background_events="?stream=true&starting_after={after}",
)
