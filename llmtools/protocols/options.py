"""Options of a model by one name each, and where each protocol has them. Data, and how it is read.

Rules:
* A name of the table goes where the protocol has it. A protocol that has no place for it does
  without, which a notice tells.
* Any other name is the vendor's own and goes as it is, with its dots as levels:
  `reasoning.summary` is `summary` in `reasoning`. It wins over what a common name says.
* Where most of what a protocol takes stands in one object, names go into that, but for
  those that are known to stand beside it.
* What is known of a server or a model by a quirk is a line of `QUIRKS`.

Facts: wire-protocols.md sections 1 to 5.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Wire = dict[str, Any]

COLUMNS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")
OPTIONS: dict[str, tuple[str, str, str, str, str]] = {
    "temperature": ("temperature", "temperature", "temperature", "temperature", "temperature"),
    "top_p": ("top_p", "top_p", "top_p", "topP", "top_p"),
    "top_k": ("top_k", "", "top_k", "topK", "top_k"),
    "max_tokens": ("max_tokens", "max_output_tokens", "max_tokens", "maxOutputTokens", "num_predict"),
    "stop": ("stop", "", "stop_sequences", "stopSequences", "stop"),
    "seed": ("seed", "", "", "seed", "seed"),
    "presence_penalty": ("presence_penalty", "", "", "presencePenalty", "presence_penalty"),
    "frequency_penalty": ("frequency_penalty", "", "", "frequencyPenalty", "frequency_penalty"),
    "parallel_tool_calls": (
        "parallel_tool_calls",
        "parallel_tool_calls",
        "!tool_choice.disable_parallel_tool_use",
        "",
        "",
    ),
    "service_tier": ("service_tier", "service_tier", "service_tier", "serviceTier", ""),
    "verbosity": ("verbosity", "text.verbosity", "", "", ""),
}
"""Name -> where it stands in the request of each protocol, "" where it has no place there; a
place behind ! takes the opposite."""

QUIRKS: dict[str, dict[str, str]] = {
    "max_completion_tokens": {"max_tokens": "max_completion_tokens"},
    "random_seed": {"seed": "random_seed"},
    "no_stop": {"stop": ""},
    "no_sampling": dict.fromkeys(
        ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"), ""
    ),
}
"""Quirk -> option -> where it stands on such a server that speaks Chat, "" where it is refused
by any protocol."""

ROOTS = {
    "gemini": (
        "generationConfig",
        (
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
    "ollama": (
        "options",
        ("options", "keep_alive", "think", "format", "logprobs", "top_logprobs", "truncate", "shift"),
    ),
}
"""Protocol -> the object that options go into, and those that stand beside it."""


def place(name: str, protocol: str, quirks: Iterable[str] = ()) -> str:
    """Return where an option stands in the body of a request, its levels joined by dots; ""
    where the protocol, or a server with the quirks, has no place for it."""
    path = OPTIONS[name][COLUMNS.index(protocol)] if name in OPTIONS else name
    for quirk in quirks:
        moved = QUIRKS.get(quirk, {}).get(name)
        if moved == "" or (moved and protocol == "openai-chat"):
            path = moved
    root, beside = ROOTS.get(protocol, ("", ()))
    return f"{root}.{path}" if path and root and path.partition(".")[0] not in beside else path


def placed(options: Mapping[str, Any], protocol: str, quirks: Iterable[str] = ()) -> tuple[Wire, list[str]]:
    """Return options as they stand in the body of a request, and the names of those that
    have no place there."""
    body: Wire = {}
    dropped: list[str] = []
    for name in sorted(options, key=lambda name: name not in OPTIONS):  # a vendor's own name wins
        path, value = place(name, protocol, quirks), options[name]
        if not path:
            dropped.append(name)
        elif path.startswith("!"):
            _put(body, path[1:], not value)
        else:
            _put(body, path, [value] if name == "stop" and isinstance(value, str) else value)
    return body, dropped


def _put(body: Wire, path: str, value: Any) -> None:
    *levels, last = path.split(".")
    for level in levels:
        if not isinstance(body.get(level), dict):
            body[level] = {}
        body = body[level]
    if isinstance(value, dict):
        below = body.get(last)
        value = {**(below if isinstance(below, dict) else {}), **value}
    body[last] = value
