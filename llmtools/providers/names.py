"""Names of models and providers: the reserved ones, and suggestions for misspelled ones."""

from __future__ import annotations

from ..protocols.request import BUILT_IN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVED = (*BUILT_IN, "gguf", "llm", "http", "https")
"""Names with a meaning of their own, which aliases and the user's providers cannot have."""


def similar_names(name: str, names: Iterable[str]) -> list[str]:
    """Return at most three names: those spelled almost like `name` or, without any, those that contain it."""
    from difflib import get_close_matches

    candidates = list(dict.fromkeys(names))
    matches = get_close_matches(name.lower(), candidates, n=3, cutoff=0.6)
    return matches or [other for other in candidates if len(name) > 2 and name.lower() in other.lower()][:3]


def did_you_mean(name: str, names: Iterable[str], before: str = "") -> str:
    """Return `perhaps a, b` for the names similar to `name`, with `before` in front; "" if there are none."""
    return suggest(similar_names(name, names), before)


def suggest(names: list[str], before: str = "") -> str:
    """Return `perhaps a, b`, with `before` in front; "" for an empty list."""
    return f"{before}perhaps {', '.join(names)}" if names else ""
