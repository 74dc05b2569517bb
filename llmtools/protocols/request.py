"""A request to a model: what goes beside the conversation, and where the model is."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import UsageError, setting_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..http.endpoint import Endpoint

BUILT_IN = {"echo": "echo", "replay": "replay/FILE"}
"""The beginning of a built-in model's name -> its whole form. These models need no network."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask of which model.

    model: the name that resolves to this model again. served_name: the provider's name of the
    model. issuer: the key of the provider_metadata that may be sent. options: by their common
    or the vendor's own names. schema: the JSON Schema of the answer. tool_choice: auto, none,
    required or the name of a tool. reasoning: none, minimal, low, medium, high, xhigh or max; if None,
    that is the option reasoning_effort.
    cache_prompt: ask the provider to keep the conversation for the next turn. drop_unsupported:
    leave out attachments that the provider does not take. longest: the most tokens that the
    model writes, None if not known. reply_id: a reply that the server writes in the background, which
    is read in the place of asking. quirks: names of what is known of the server and the model.

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
    reply_id: str = ""
    quirks: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Take the option reasoning_effort as `reasoning`.

        Raises UsageError if it is not a word, and for a model's name on several lines.
        """
        if self.issuer and not self.served_name.isprintable():
            raise UsageError(f"{self.served_name!r} cannot be the name of a model")
        if "reasoning_effort" not in self.options:
            return
        effort = self.options["reasoning_effort"]
        if not isinstance(effort, str | None):
            raise UsageError(
                f"{setting_name('-o', 'option')} reasoning_effort {effort}: not a word such as low or high"
            )
        rest = {name: value for name, value in self.options.items() if name != "reasoning_effort"}
        object.__setattr__(self, "options", rest)
        if self.reasoning is None:
            object.__setattr__(self, "reasoning", effort)

    def record(self) -> dict[str, Any]:
        """Return the field `request` of `start`: options, schema, tool_choice and reasoning, if given."""
        names = ("options", "schema", "tool_choice", "reasoning")
        return {name: value for name in names if (value := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class Target:
    """A model and the server that it is on.

    name: the name that resolves to this model again. served_name: the provider's name of the
    model. endpoint: None for a built-in model. options: those of the configuration. quirks and
    longest: see `Request`.
    """

    name: str
    served_name: str
    endpoint: Endpoint | None = None
    options: dict[str, Any] = field(default_factory=dict)
    quirks: frozenset[str] = frozenset()
    longest: int | None = None

    def request(self, options: dict[str, Any], **answer: Any) -> Request:
        """Return a request to the model. `options` are laid over those of the configuration;
        `answer` are other fields of `Request`."""
        issuer = self.endpoint.name if self.endpoint is not None else ""
        facts: dict[str, Any] = {"quirks": self.quirks, "longest": self.longest}
        return Request(self.name, self.served_name, issuer, {**self.options, **options}, **facts, **answer)


def is_built_in(model: str) -> bool:
    """Return whether a name is that of a built-in model."""
    return model.partition("/")[0] in BUILT_IN
