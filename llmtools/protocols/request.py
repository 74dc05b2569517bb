"""What is asked of a model beside the conversation."""

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
    name; reasoning: none, minimal, low, medium, high, xhigh or max; cache_prompt: have the
    provider keep the conversation for the next turn; drop_unsupported: leave out what it does
    not take; longest: the most tokens that the model writes, where that is known; quirks: what is
    known of the server and the model, by name.

        request = llmtools.Request("echo", reasoning="low")
        request.record()  # {"reasoning": "low"}
    """

    model: str
    served_name: str = ""
    issuer: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    tool_choice: str | None = None
    reasoning: str | None = None
    cache_prompt: bool = False
    drop_unsupported: bool = False
    stream: bool = True
    longest: int | None = None
    quirks: frozenset[str] = frozenset()

    def record(self) -> dict[str, Any]:
        """Return what `start` says of the request: the fields that were given."""
        names = ("options", "schema", "tool_choice", "reasoning")
        return {name: value for name in names if (value := getattr(self, name))}
