"""What is asked of a model beside the conversation, and where the model is."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..http.endpoint import Endpoint

BUILT_IN = {"echo": "echo", "replay": "replay/FILE"}
"""What the name of a built-in model begins with, and its whole form. No network is asked for these."""


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


@dataclass(frozen=True, slots=True)
class Target:
    """A model, ready to be asked.

    name: the name that resolves again. served_name: what the provider calls the model.
    endpoint: None for a built-in model. options: the configured ones. quirks and longest: see
    `Request`.
    """

    name: str
    served_name: str
    endpoint: Endpoint | None = None
    options: dict[str, Any] = field(default_factory=dict)
    quirks: frozenset[str] = frozenset()
    longest: int | None = None

    def request(self, options: dict[str, Any], **answer: Any) -> Request:
        """Return the request that asks the model. `options` are laid over the configured ones;
        `answer` are other fields of `Request`."""
        issuer = self.endpoint.name if self.endpoint is not None else ""
        known: dict[str, Any] = {"quirks": self.quirks, "longest": self.longest}
        return Request(self.name, self.served_name, issuer, {**self.options, **options}, **known, **answer)


def is_built_in(model: str) -> bool:
    """Return whether a model's name means a built-in model."""
    return model.partition("/")[0] in BUILT_IN
