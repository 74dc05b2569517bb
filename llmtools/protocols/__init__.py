"""The protocols of the vendors, a folder each. Pure: nothing here does I/O.

Each folder exports four names: `SPEC` (its data, a `spec.Spec`), `encode` (conversation and
request to HTTP request), `Decoder` (bytes of the response to records) and `error_of` (error
response to exception). Its files are request, messages, decoder, reply and spec; usage, calls,
content, media, results, schemas, sources, thinking, parts and end if it needs them. No folder imports another.

To add a protocol, write its folder and add its name to `PROTOCOLS`.
"""

from __future__ import annotations

from ..errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    from ..errors import LlmToolsError
    from ..http.request import HttpRequest
    from ..records.conversation import Conversation
    from ..records.types import Record
    from .request import Request
    from .spec import Spec

    class Decoding(Protocol):
        """Turns the bytes of one response, cut anywhere, into records (see `event_decoder`)."""

        seen: int
        failure: LlmToolsError | None

        def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None: ...

        def feed(self, data: bytes) -> list[Record]:
            """Take the next bytes; return the records that they complete."""

        def eof(self) -> list[Record]:
            """Take the end of the bytes; return the last records."""

        def body(self, data: bytes) -> list[Record]:
            """Return the records of the whole body of a response that is not a stream."""

        def known_end(self) -> dict[str, Any]:
            """Return the fields of `end` that are known so far."""

    class BackgroundDecoding(Decoding, Protocol):
        """A decoder of replies that the server may write in the background."""

        background_id: str
        sequence: int | None

        def reopen(self) -> None:
            """Take the next bytes from another response, which goes on with the same reply."""

    class VendorProtocol(Protocol):
        """What the folder of a protocol exports."""

        SPEC: Spec
        Decoder: type[Decoding]

        def encode(self, conversation: Conversation, request: Request) -> tuple[HttpRequest, list[Record]]:
            """Return the HTTP request, and a notice for each thing that cannot be sent."""

        def error_of(self, status: int, headers: Mapping[str, str], body: bytes) -> LlmToolsError:
            """Return the failure that an error response describes. Names of headers are in lower case."""


PROTOCOLS = ("openai-chat", "openai-responses", "anthropic", "gemini", "gemini-interactions", "ollama")
"""The names of the protocols. The folder of one has the same name, with _ for -."""

DEFAULT_PROTOCOL = "openai-chat"


def load(name: str) -> VendorProtocol:
    """Return the protocol of that name. Raises UsageError for a name that is not in PROTOCOLS."""
    if name not in PROTOCOLS:
        raise UsageError(f"{name!r} is not a protocol: there are {', '.join(PROTOCOLS)}")
    from importlib import import_module

    module: Any = import_module(f".{name.replace('-', '_')}", __name__)
    protocol: VendorProtocol = module
    return protocol
