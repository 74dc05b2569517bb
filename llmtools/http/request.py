"""A request over HTTP, its limits, and the wants of a player.

A player (see `exchange.players`) does no I/O. It is a generator that yields wants, one at a time.
Its driver does what each asks for and sends the result back in:

    Emit(records)    pass records on                              None
    Sleep(seconds)   wait                                         None
    Open(…)          send a request, wait for the response head   Opened or a LlmToolsError
    READ             read the next bytes of the body              bytes, b"" at the end, or a LlmToolsError
    Fetch(url, …)    download a file                              Fetched or a LlmToolsError
    Pull(items)      take the next item                           the item, None after the last
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from ..records.types import Record
    from .endpoint import Endpoint

    Want: TypeAlias = "Emit | Sleep | Open | Read | Fetch | Pull"


def path_segment(name: str) -> str:
    """Return a name, such as that of a model, as one segment of a path.

    Raises UsageError for one that is no segment: it would lead to another path of the server.
    """
    from urllib.parse import quote

    if name in (".", "..") or not name.isprintable():
        raise UsageError(f"{name!r} cannot be a name in a URL")
    return quote(name, safe="@")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request. `path` is appended to the endpoint's base URL. `headers` do not have the key."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a response may take, in seconds, and how often it is tried.

    total: the response with all its tries, None for no limit. connect: each connection, and as long again for
    TLS (the system's resolver has its own limit for looking the name up). progress: sending the request,
    beside a second for each 100 kB of it; and the time without content, even if events come. idle: the time
    from then to the whole head of the response, and the time without an event. size: the most bytes of a
    reply. retries: how many further tries. retry_stream: retry also after the first event; a `reset` record
    then discards what came. pauses: how often a reply that the model pauses is continued.

    No limit counts the bytes that come without completing the head, a piece of the body or an event. Time in
    which the process was suspended does not count, but for `total` of a command.

        llmtools.get_model("echo").prompt("hi", limits=llmtools.Limits(total=60, retries=0)).text()  # "hi"
    """

    total: float | None = None
    connect: float = 10.0
    idle: float = 300.0
    progress: float = 600.0
    size: int = 1 << 30
    retries: int = 2
    retry_stream: bool = False
    pauses: int = 10


@dataclass(frozen=True, slots=True)
class Emit:
    """Pass records on."""

    records: list[Record]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request, and wait for the head of the response."""

    request: HttpRequest
    endpoint: Endpoint
    limits: Limits


@dataclass(frozen=True, slots=True)
class Opened:
    """The head of a response. Header names are in lower case."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Read:
    """Read the next bytes of the body."""


READ = Read()


@dataclass(frozen=True, slots=True)
class Fetch:
    """Download a file. With `is_public` the URL must not lead to this machine or a private network."""

    url: str
    is_public: bool


@dataclass(frozen=True, slots=True)
class Pull:
    """Take the next item of an iterator, or of an asynchronous one: the reply of a model in Python."""

    items: Any


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was downloaded. `kind`, `charset`: those of its Content-Type, "" for one that is not told."""

    data: bytes
    kind: str = ""
    charset: str = ""

    def text_data(self) -> bytes:
        """Return the bytes, those of a text in UTF-8 if its charset is told."""
        from ..media_type import decode_text, is_text_type

        is_utf = self.charset.lower().startswith("utf")
        if not self.charset or not is_text_type(self.kind) or (b"\0" in self.data and not is_utf):
            return self.data  # servers tell text of what is not
        text = None if self.charset.lower() == "utf-8" else decode_text(self.data, self.charset)
        return self.data if text is None else text.encode()
