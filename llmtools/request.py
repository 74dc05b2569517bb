"""What is asked of a model beside the conversation, and the HTTP request that asks it."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `model` is the name that resolves again, `served_name` what the
    provider calls it; `issuer` keys the provider_metadata that may be sent to it.

    schema: a JSON Schema for the answer; tool_choice: auto, none, required or a tool's
    name; reasoning: none, minimal, low, medium, high, xhigh or max; quirks: what is known
    of the server, by name (see `providers`).
    """

    model: str
    served_name: str = ""
    issuer: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    tool_choice: str | None = None
    reasoning: str | None = None
    stream: bool = True
    quirks: frozenset[str] = frozenset()

    def record(self) -> dict[str, Any]:
        """Return what `start` says of the request: the fields that were given."""
        names = ("options", "schema", "tool_choice", "reasoning")
        return {name: value for name in names if (value := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A POST: `path` goes behind the provider's base URL; headers carry no key."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
