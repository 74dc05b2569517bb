"""A request to a model and the responses to it, as the records of a stream.

The player is the source of a reply: `Tries` over HTTP, or a built-in model. Another response
continues a reply that the model pauses, at most Limits.pauses times.
"""

from __future__ import annotations

import time
from dataclasses import replace

from ..errors import InternalError, NoModelError, UsageError, setting_name
from ..http.request import Limits
from ..protocols.request import BUILT_IN
from .drive import adrive, drive, dry_run, send
from .response_records import ResponseRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator
    from typing import Any, Protocol

    from ..errors import LlmToolsError
    from ..http.endpoint import Endpoint
    from ..http.request import Open, Want
    from ..protocols.request import Request
    from ..records.conversation import Conversation
    from ..records.types import Message, Record
    from .response_records import Player

    Play = Callable[[Conversation, Request], Iterator[Want]]

    class Keeper(Protocol):
        """Stores the replies of an exchange, such as an entry of the log."""

        def begin(self, model: str) -> None:
            """Take the model of the next response, before its request."""

        def finish(self, message: Message | None, failure: LlmToolsError | None) -> None:
            """Take the reply, complete or not, and the failure. It is called before the last records
            are yielded; a second call changes nothing."""


class BuiltIn:
    """A built-in model."""

    def __init__(self, provider: str, reply: Play) -> None:
        self.provider = provider
        self._reply = reply
        self.background_id = ""

    def stop(self) -> Open:
        """Raise InternalError: a built-in model does not go on."""
        raise InternalError("a built-in model writes no reply in the background")

    def play(self, conversation: Conversation, request: Request) -> Iterator[Want]:
        """Yield wants. Messages without parts are empty, and left out."""
        messages = [message for message in conversation.messages if message["parts"]]
        return self._reply(conversation.with_messages(messages), request)

    def known_end(self) -> dict[str, Any]:
        """Return an empty dict: a built-in model always writes an `end`, or fails."""
        return {}


def player_of(model: str, endpoint: Endpoint | None, limits: Limits) -> Player:
    """Return the player of a model at an endpoint, or of a built-in model.

    Raises NoModelError for a name that is not a built-in model's.
    """
    if endpoint is not None:
        from ..http.watch import active_time
        from .tries import Tries

        return Tries(endpoint, limits, monotonic=active_time)
    kind, slash, path = model.partition("/")
    if model == "echo":
        from . import echo

        return BuiltIn("echo", echo.reply)
    if kind == "replay" and slash:
        from . import replay

        return BuiltIn("replay", lambda conversation, request: replay.reply(path, conversation, request))
    names = " and ".join(BUILT_IN.values())
    raise NoModelError(
        f"no built-in model is named {model!r}: there are {names}. A provider's model needs its endpoint"
    )


class Exchange:
    """A request and the responses to it, as the records of a stream.

    `batches` (or `abatches`) yields them. Then `failure` is the failure (None: success), `messages`
    are the replies, several if the model paused, and `message` is the last one (None: without one).
    `play` is the reply of a model in Python: it takes the conversation and the request, and yields wants.

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
        play: Play | None = None,
    ) -> None:
        self.request = request
        self._play = play
        self.messages: list[Message] = []
        self._conversation = conversation
        self._endpoint = endpoint
        self._limits = limits or Limits()
        self._keepers = keepers
        self._is_cancelled = False
        self._is_begun = False
        self._start_response()

    def _start_response(self) -> None:
        """Start the next response. Its first want sends the request."""
        model = self.request.model
        player = BuiltIn(model, self._play) if self._play else player_of(model, self._endpoint, self._limits)
        self.provider: str = player.provider
        self._player = player
        may_pause = self._limits.pauses > 0
        self._response = ResponseRecords(player, self._conversation, self.request, may_pause=may_pause)
        self._is_begun = False

    @property
    def failure(self) -> LlmToolsError | None:
        """The failure of the exchange; None for success, and before the end."""
        return self._response.failure

    @property
    def message(self) -> Message | None:
        """The last reply; None without one."""
        return self.messages[-1] if self.messages else None

    @property
    def background_id(self) -> str:
        """The id of a reply that the server goes on with after the end of the exchange, "" if it does not."""
        return self._player.background_id

    def stop(self) -> LlmToolsError | None:
        """Ask the server to stop the reply that it goes on with; return the failure, None for success."""
        return send(self._player.stop())

    def batches(self, sleep: Callable[[float], object] = time.sleep) -> Generator[list[Record], None, None]:
        """Yield the records, in batches: those that are ready at the same moment.

        A LlmToolsError that `sleep` or the handler of a signal raises ends the response with that
        error; the last records still follow.
        """
        return drive(self, sleep)

    def abatches(self) -> AsyncGenerator[list[Record], None]:
        """As `batches`, for asyncio. Cancelling the task closes the connection."""
        return adrive(self)

    def dry_run(self) -> tuple[bytes, list[Record]]:
        """Return the HTTP request that would be sent, as a JSON object of method, url, headers
        and body, the key masked; and the notices of what the protocol cannot express.

        Raises UsageError for a model that is not asked over HTTP.
        """
        if self._endpoint is None:
            raise UsageError(f"{setting_name('--dry-run', 'dry_run')}: {self.request.model} is not asked over HTTP")
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
        """Take an error that a want ended with; the last records still follow.

        conversation = llmtools.Conversation([llmtools.user("hi")])
        exchange = llmtools.Exchange(conversation, llmtools.Request("echo"))
        exchange.fail(llmtools.errors.CancelledError("enough"))
        exchange.next_want(None).records[0]["type"]  # "error"
        """
        self._response.failure = self._response.failure or error

    def cancel(self, error: LlmToolsError) -> list[Record]:
        """Cancel the exchange with an error; return its last records, an empty list if it is over. A reply
        with an `end` is complete, and does not fail.

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
        """Give the response to the keepers. A second call changes nothing."""
        message = self._response.message
        if message is not None and not any(each is message for each in self.messages):
            self.messages.append(message)
        for keeper in self._keepers:
            keeper.finish(message, self._response.failure)

    def _continue(self) -> bool:
        """Start another response if the model paused; return whether it did."""
        response, limits = self._response, self._limits
        if self._is_cancelled or not response.is_paused:
            return False
        messages = [*self._conversation.messages]
        paused = response.message
        if paused is not None and (paused["parts"] or paused.get("provider_metadata")):
            messages.append(paused)
        self._conversation = self._conversation.with_messages(messages)
        left = None if limits.total is None else max(limits.total - response.age(), 0.001)
        self._limits = replace(limits, pauses=limits.pauses - 1, total=left)
        self._start_response()
        return True
