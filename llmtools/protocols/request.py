"""The request that the user makes: the model and everything that goes beside the conversation."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask of which model.

    model: the name that resolves to this model again. served_name: the provider's name of the
    model. issuer: the key of the provider_metadata that may be sent. options: by their common
    or the vendor's own names. schema: the JSON Schema of the answer. tool_choice: auto, none,
    required or the name of a tool. reasoning: none, minimal, low, medium, high, xhigh or max.
    cache_prompt: ask the provider to keep the conversation for the next turn. drop_unsupported:
    leave out attachments that the provider does not take. longest: the most tokens that the
    model writes, None if not known. quirks: names of what is known of the server and the model.

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
        """Return the field `request` of `start`: options, schema, tool_choice and reasoning, if given."""
        names = ("options", "schema", "tool_choice", "reasoning")
        return {name: value for name in names if (value := getattr(self, name))}
