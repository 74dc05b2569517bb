"""Ollama: its data."""

from __future__ import annotations

from ..options import Places
from ..spec import Spec

SPEC = Spec(
    name="ollama",
    options=Places(
        {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "max_tokens": "num_predict",
            "stop": "stop",
            "seed": "seed",
            "presence_penalty": "presence_penalty",
            "frequency_penalty": "frequency_penalty",
        },
        root="options",
        beside=("options", "keep_alive", "think", "format", "logprobs", "top_logprobs", "truncate", "shift"),
    ),
    image_types=("image/png", "image/jpeg", "image/webp"),  # those of its own command, cmd/interactive.go
    finish_reasons={"load": "stop", "unload": "stop"},
)
