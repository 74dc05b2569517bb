"""A request to a model and the responses to it, as the records of a stream.

A player plays the model: the `Tries` over HTTP, or a built-in model. A reply that the model pauses
is continued by a further response, until Limits.pauses are used up.
"""

from __future__ import annotations

import time
from dataclasses import replace

from ..errors import NoModelError, UsageError
from ..http.request import Limits
from ..protocols.request import BUILT_IN
from .drive import adrive, drive, dry_run
from .response_records import ResponseRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator
    from typing import Any, Protocol

    from ..errors import LlmToolsError
    from ..http.endpoint import Endpoint
    from ..http.request import Want
    from ..protocols.request import Request
    from ..records.conversation import Conversation
    from ..records.types import Message, Record
    from .response_records import Player

    Play = Callable[[Conversation, Request], Iterator[Want]]

    class Keeper(Protocol):
        """What keeps the replies of an exchange, such as an entry of the log."""

        def begin(self, model: str) -> None:
            """Take that `model` is about to be asked."""

        def finish(self, message: Message | None, failure: LlmToolsError | None) -> None:
            """Take what came: the reply, whole or not, or why none did. It is called before the
            last records go out; a second call changes nothing."""


class BuiltIn:
    """A model that is built in."""

    def __init__(self, provider: str, reply: Play) -> None:
        self.provider = provider
        self._reply = reply

    def play(self, conversation: Conversation, request: Request) -> Iterator[Want]:
        """Yield wants. Messages without parts say nothing, and are left out."""
        messages = [message for message in conversation.messages if message["parts"]]
        return self._reply(conversation.with_messages(messages), request)

    def known_end(self) -> dict[str, Any]:
        """Return nothing: a built-in model says all it knows in its `end`."""
        return {}


def player_of(model: str, endpoint: Endpoint | None, limits: Limits) -> Player:
    """Return what plays a model: at an endpoint, or a built-in one by its name.

    Raises NoModelError for a name that is not a built-in model's.
    """
    if endpoint is not None:
        from .tries import Tries

        return Tries(endpoint, limits, monotonic=time.monotonic)
    kind, slash, path = model.partition("/")
    if model == "echo":
        from . import echo

        return BuiltIn("echo", echo.reply)
    if kind == "replay" and slash:
        from . import replay

        return BuiltIn("replay", lambda conversation, request: replay.reply(path, conversation, request))
    known = " and ".join(BUILT_IN.values())
    raise NoModelError(
        f"no built-in model is named {model!r}: there are {known}. A provider's model needs its endpoint"
    )


class Exchange:
    """A request and the responses to it, as the records of a stream.

    `batches` (or `abatches`) makes them; then `failure` says how it ended (None: well), `message`
    is the last reply, None where nothing came, and `messages` are all replies: several where the
    model paused.

        conversation = llmtools.Conversation([llmtools.user("hi")])
        exchange = llmtools.Exchange(conversation, llmtools.Request("echo"))
        records = [record for batch in exchange.batches() for record in batch]
        records[-1]["type"]  # "end"
    """

    def __init__(
        self,
        conversation: Conversation,
        request: Request,
        endpoint: Endpoint | None = None,
        limits: Limits | None = None,
        *,
        keepers: tuple[Keeper, ...] = (),
    ) -> None:
        self.request = request
        self.messages: list[Message] = []
        self._conversation = conversation
        self._endpoint = endpoint
        self._limits = limits or Limits()
        self._keepers = keepers
        self._is_cancelled = False
        self._is_begun = False
        self._respond()

    def _respond(self) -> None:
        """Make the next response: it is asked for by its first want."""
        player = player_of(self.request.model, self._endpoint, self._limits)
        self.provider: str = player.provider
        may_pause = self._limits.pauses > 0
        self._response = ResponseRecords(player, self._conversation, self.request, may_pause=may_pause)
        self._is_begun = False

    @property
    def failure(self) -> LlmToolsError | None:
        """How the exchange failed, None where it did not, or not yet."""
        return self._response.failure

    @property
    def message(self) -> Message | None:
        """The last reply, None where nothing came."""
        return self.messages[-1] if self.messages else None

    def batches(self, sleep: Callable[[float], object] = time.sleep) -> Generator[list[Record], None, None]:
        """Yield the records, those that are ready at the same moment together.

        A LlmToolsError raised in here, by `sleep` or by a signal's handler, ends the response with
        that error; the last records still come.
        """
        return drive(self, sleep)

    def abatches(self) -> AsyncGenerator[list[Record], None]:
        """As `batches`, for asyncio; a task that is cancelled closes its connection."""
        return adrive(self)

    def dry_run(self) -> tuple[bytes, list[Record]]:
        """Return the HTTP request that would be sent, as a JSON object of method, url, headers
        and body, the key masked; and the notices of what it cannot say.

        Raises UsageError for a model that is not asked over HTTP.
        """
        if self._endpoint is None:
            raise UsageError(f"--dry-run: {self.request.model} is not asked over HTTP")
        return dry_run(self._response)

    def next_want(self, answer: Any) -> Want | None:
        """Take the answer to the last want; return the next one, None at the end.

        conversation = llmtools.Conversation([llmtools.user("hi")])
        exchange = llmtools.Exchange(conversation, llmtools.Request("echo"))
        exchange.next_want(None).records[0]["type"]  # "start"
        """
        if not self._is_begun:
            self._is_begun = True
            for keeper in self._keepers:
                keeper.begin(self.request.model)
        want = self._response.next_want(answer)
        if want is None:
            return self.next_want(None) if self._continue() else None
        if self._response.is_over:
            self._keep()
        return want

    def fail(self, error: LlmToolsError) -> None:
        """Take an error that came from outside: the last records still come.

        conversation = llmtools.Conversation([llmtools.user("hi")])
        exchange = llmtools.Exchange(conversation, llmtools.Request("echo"))
        exchange.fail(llmtools.errors.CancelledError("enough"))
        exchange.next_want(None).records[0]["type"]  # "error"
        """
        self._response.failure = self._response.failure or error

    def cancel(self, error: LlmToolsError) -> list[Record]:
        """End the exchange here, from outside; return its last records, none where it is over.
        A reply whose end has come is whole.

        conversation = llmtools.Conversation([llmtools.user("hi")])
        exchange = llmtools.Exchange(conversation, llmtools.Request("echo"))
        exchange.cancel(llmtools.errors.CancelledError("enough"))[0]["type"]  # "error"
        """
        self._is_cancelled = True
        records = self._response.cancel(error)
        self._keep()
        return records

    def continuation(self) -> Exchange | None:
        """Return None: `batches` itself continues a reply that the model pauses."""
        return None

    continued = continuation

    def _keep(self) -> None:
        """Hand the response that is over to the keepers, once."""
        message = self._response.message
        if message is not None and not any(each is message for each in self.messages):
            self.messages.append(message)
        for keeper in self._keepers:
            keeper.finish(message, self._response.failure)

    def _continue(self) -> bool:
        """Go on with a reply that the model paused; return whether there is one."""
        response, limits = self._response, self._limits
        if self._is_cancelled or not response.is_paused:
            return False
        messages = [*self._conversation.messages]
        if response.message is not None and response.message["parts"]:
            messages.append(response.message)
        self._conversation = self._conversation.with_messages(messages)
        left = None if limits.total is None else max(limits.total - response.elapsed(), 0.001)
        self._limits = replace(limits, pauses=limits.pauses - 1, total=left)
        self._respond()
        return True
