"""The options of models under common names, and their places in a request.

Rules:
* An option with a common name goes to its place in the protocol. If there is none, the option
  is not sent, and a notice says so.
* Any other name is the vendor's own, which only the user may give, not a stream. It is sent unchanged,
  with its dots as levels: `reasoning.summary` is `summary` in `reasoning`. It wins over a common name.
* Gemini and Ollama nest their options in one object. A name goes there unless the protocol's
  `beside` lists it as a top-level field.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..records.conversation import ANSWER_OPTIONS, NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .json_fields import JsonObject

__all__ = ["ANSWER_OPTIONS", "NAMES", "REFUSED", "Places"]

REFUSED = {
    "no_stop": ("stop",),
    "no_sampling": (
        "temperature",
        "top_p",
        "top_k",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
    ),
}
"""Quirk -> the options that a model with it refuses, in any protocol."""


@dataclass(frozen=True, slots=True)
class Places:
    """The places of the options in the requests of a protocol.

    named: common name -> its place, levels joined by dots; "!PLACE" gets the opposite value. A
    common name that is missing has no place. root: the object that holds all options except those
    in `beside`. moved: quirk -> common name -> its place on servers with that quirk.
    """

    named: dict[str, str]
    root: str = ""
    beside: tuple[str, ...] = ()
    moved: dict[str, dict[str, str]] = field(default_factory=dict)

    def place(self, name: str, quirks: Iterable[str] = ()) -> str:
        """Return the place of an option, "" if it has none."""
        path = self.named.get(name, "") if name in NAMES else name
        for quirk in quirks:
            path = self.moved.get(quirk, {}).get(name, path)
            if name in REFUSED.get(quirk, ()):
                return ""
        is_nested = path and self.root and path.partition(".")[0] not in self.beside
        return f"{self.root}.{path}" if is_nested else path

    def put(self, options: Mapping[str, Any], quirks: Iterable[str] = ()) -> tuple[JsonObject, list[str]]:
        """Return a body with the options at their places, and the names of the options without a place."""
        body: JsonObject = {}
        dropped: list[str] = []
        for name in sorted(options, key=lambda name: name not in NAMES):  # a vendor's own name wins
            path, value = self.place(name, quirks), options[name]
            if not path:
                dropped.append(name)
            elif path.startswith("!"):
                _put(body, path[1:], not value)
            else:
                _put(body, path, [value] if name == "stop" and isinstance(value, str) else value)
        return body, dropped


def _put(body: JsonObject, path: str, value: Any) -> None:
    *levels, last = path.split(".")
    for level in levels:
        if not isinstance(body.get(level), dict):
            body[level] = {}
        body = body[level]
    if isinstance(value, dict):
        below = body.get(last)
        value = {**(below if isinstance(below, dict) else {}), **value}
    body[last] = value
