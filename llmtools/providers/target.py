"""What a model's name means: where the model is asked, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..protocols.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..http.endpoint import Endpoint


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
