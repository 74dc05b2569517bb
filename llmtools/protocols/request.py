"""What is asked of a model beside the conversation, and where and how it is asked."""

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


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A POST, mostly: `path` goes behind the endpoint's base URL; headers carry no key."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"


class Secret:
    """A key. Nothing shows it but `reveal`: not repr, not a traceback, not JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds, and how often they are tried.

    total: the whole response with all its tries (None: no limit); connect: one connection;
    idle: without an event; progress: without content, though events come; retries: further
    tries; retry_stream: also after the first event, which is taken back by a `reset`;
    pauses: how often a reply that the model pauses is continued.

        llmtools.get_model("echo").prompt("hi", limits=llmtools.Limits(total=60, retries=0)).text()  # "hi"
    """

    total: float | None = None
    connect: float = 10.0
    idle: float = 300.0
    progress: float = 600.0
    retries: int = 2
    retry_stream: bool = False
    pauses: int = 10


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is asked. `name` is the issuer of what it signs: the provider's name in
    the catalogue, or the origin of a bare base URL; `protocol` is one of `PROTOCOLS`.

    query goes behind every path; auth is the header of the key and what stands before it,
    where the protocol's own are not meant; the values of headers are shown nowhere.
    """

    name: str
    base_url: str
    protocol: str
    key: Secret | None = None
    headers: dict[str, str] = field(default_factory=dict)
    quirks: frozenset[str] = frozenset()
    query: str = ""
    auth: tuple[str, str] = ("", "")

    def url(self, path: str) -> str:
        """Return the URL of a path of the protocol's."""
        joined = f"{'&' if '?' in path else '?'}{self.query}" if self.query else ""
        return self.base_url + path + joined

    def masked(self, text: str) -> str:
        """Return a text without the secrets of this endpoint, which a server may repeat."""
        secrets = [value for value in self.headers.values() if len(value) > 7]
        for secret in [*secrets, *([self.key.reveal()] if self.key else [])]:
            text = text.replace(secret, "***")
        return text


@dataclass(frozen=True, slots=True)
class Target:
    """What a model's name means. `name` is the one that resolves again, `served_name` what the
    provider calls it; endpoint is None for what is built in; options are the configured ones."""

    name: str
    served_name: str
    endpoint: Endpoint | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def request(self, options: dict[str, Any], **asked: Any) -> Request:
        """Return the request that asks it, `options` laid over the configured ones."""
        said, endpoint, model = {**self.options, **options}, self.endpoint, self.served_name
        if endpoint is None:
            return Request(self.name, model, "", said, **asked)
        from ..providers.catalogue import longest_of, quirks_of

        quirks = quirks_of(endpoint.name, endpoint.protocol, endpoint.quirks, model)
        longest = longest_of(endpoint.protocol, model)
        return Request(self.name, model, endpoint.name, said, quirks=quirks, longest=longest, **asked)


@dataclass(frozen=True, slots=True)
class Fetch:
    """What a provider yields to have what a URL holds: bytes or a LlmToolsError are sent back
    to it. With `is_public` the URL must not lead to this machine or a private network."""

    url: str
    is_public: bool


READ = object()
"""What a provider that speaks HTTP yields to have the next bytes of the answer: bytes, b"" at
its end, or a LlmToolsError are sent back to it (see `attempt`)."""
