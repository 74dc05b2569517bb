"""Names of models and providers: which are reserved, and which were perhaps meant."""

from __future__ import annotations

from ..protocols.request import BUILT_IN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVED = (*BUILT_IN, "gguf", "llm", "http", "https")
"""Names that no alias and no provider of the user's may have: they have their own meaning."""


def near(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that are spelled almost like `name`, or else those that contain it."""
    from difflib import get_close_matches

    every = list(dict.fromkeys(names))
    found = get_close_matches(name.lower(), every, n=3, cutoff=0.6)
    return found or [other for other in every if len(name) > 2 and name.lower() in other.lower()][:3]


def did_you_mean(name: str, names: Iterable[str], before: str = "") -> str:
    """Return `perhaps a, b` for the names near `name`, with `before` in front; "" where none is near."""
    return perhaps(near(name, names), before)


def perhaps(names: list[str], before: str = "") -> str:
    """Return `perhaps a, b`, with `before` in front; "" for no names."""
    return f"{before}perhaps {', '.join(names)}" if names else ""
