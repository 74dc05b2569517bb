"""What came of a prompt so far, and how it is asked for: what a response holds.

Rules:
* What asks the model holds the `Outcome`, never the response: a response that nobody can read any
  more goes at once, and with it the connection.
* One that is given up (closed, its task cancelled) has failed, and holds what came.
* `batches` and `AsyncBatches` differ in how they wait, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from ..errors import (
    CancelledError,
    InputError,
    LlmToolsError,
    from_record,
)
from ..exchange.ask import prepare
from ..exchange.exchange import Exchange
from ..records.check import check_record
from ..records.conversation import Conversation, text_of
from ..records.fold import events_of
from .messages import (
    Attachment,
    Event,
    Message,
    Part,
    ToolCall,
    ToolResult,
    Usage,
    plain,
)
from .toolbox import Tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence

    from ..records.types import ErrorRecord
    from .prompt import Prompt
    from .sync import Named
    from .toolbox import Given


GIVEN_UP = "the response was given up before its end"


class Outcome:
    """What came of a prompt so far: the part that does not wait."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.is_done: bool = False
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self.error: LlmToolsError | None = None

    def exchange(self) -> Exchange:
        """Return what asks the model. Raises what `prepare` and `Prompt.request` raise."""
        prepared, notices = prepare(self.prompt.conversation())
        self.events += [Event(notice) for notice in notices]
        request, endpoint = self.prompt.request()
        return Exchange(prepared, request, endpoint, self.prompt.limits)

    def take(self, records: list[dict[str, Any]]) -> None:
        """Hold what came."""
        self.events += [Event(record) for record in records if record["type"] != "message"]

    def end(self, exchange: Exchange) -> None:
        """Hold how it ended: from outside, where it is not over."""
        self.take(exchange.cancel(CancelledError(GIVEN_UP)))
        self.error = exchange.failure
        if exchange.message is not None:
            self.messages.append(Message(exchange.message))

    def give_up(self, exchange: Exchange | None) -> None:
        """End it here, from outside."""
        self.is_done = True
        if exchange is None:
            self.error = self.error or CancelledError(GIVEN_UP)
        else:
            self.end(exchange)

    def check(self) -> None:
        """Raise what it failed with."""
        if self.error is not None:
            raise self.error

    def copies(self) -> list[Message]:
        """Return the messages: what is done to these changes nothing here."""
        return [Message(plain(message)) for message in self.messages]

    def text(self) -> str:
        """Return the text; of a model that tells commentary from answer, the answer."""
        return "".join([text_of(message) for message in self.messages])  # type: ignore[arg-type]

    def parts(self, kind: str) -> list[Part]:
        """Return the parts of a type."""
        return [part for message in self.messages for part in message.parts if part.type == kind]

    def calls(self) -> list[ToolCall]:
        """Return the calls that wait for their results."""
        return calls_of(Conversation(self.messages))

    def attachments(self) -> list[Attachment]:
        """Return the files that the model made."""
        return [Attachment(part["attachment"]) for part in self.parts("attachment") if "attachment" in part]

    def response(self) -> dict[str, Any]:
        """Return what the last message tells of how it came about."""
        return dict(self.messages[-1].get("response", {})) if self.messages else {}

    def usage(self) -> Usage:
        """Return the tokens of all its messages."""
        total: dict[str, int] = {}
        details: dict[str, int] = {}
        for message in self.messages:
            said = message.get("response", {}).get("usage", {})
            for name in ("input", "output"):
                if name in said:
                    total[name] = total.get(name, 0) + said[name]
            for name, count in said.get("details", {}).items():
                details[name] = details.get(name, 0) + count
        return Usage(total.get("input"), total.get("output"), details)

    def json(self) -> Any:
        """Return the answer held against its schema; where none was asked for, the last message
        with all that is told of it. Raises InputError."""
        from ..schema import parsed

        self.check()
        schema = self.prompt.settled["schema"]
        if schema is not None:
            return parsed(self.text(), schema)
        return self.messages[-1].to_dict() if self.messages else {}

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        said, spent = self.response(), self.usage()
        counts: dict[str, Any] = {"input": spent.input, "output": spent.output, "details": spent.details}
        made = {
            "model": self.prompt.model.model_id,
            "prompt": self.prompt.to_dict(),
            "messages": [message.to_dict() for message in self.messages],
        }
        rest: dict[str, Any] = {
            "id": said.get("id"),
            "usage": {name: value for name, value in counts.items() if value not in (None, {})},
            "datetime_utc": said.get("created"),
            "finish_reason": said.get("finish_reason"),
            "status": said.get("status"),
            "error": None if self.error is None else self.error.to_record(),
        }
        return made | {name: value for name, value in rest.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], model: Named | None, model_of: Callable[[str], Named]) -> Outcome:
        """Return what `to_dict` told of; `model_of` finds the model, where `model` is none. Raises
        NoModelError, InputError."""
        from .prompt import Prompt, checked

        if not isinstance(data, Mapping) or not (model or isinstance(data.get("model"), str)):
            raise InputError("no response that to_dict told of: it names no model")
        outcome = cls(Prompt.from_dict(data.get("prompt", {}), model or model_of(data["model"])))
        outcome.messages = [Message(message) for message in checked(data.get("messages", ()))]
        outcome.events = [Event(event) for message in outcome.messages for event in events_of(message)]  # type: ignore[arg-type]
        if "error" in data:
            outcome.error = from_record(_error(data["error"]))
        outcome.is_done = True
        return outcome

    def next(self, prompt: str | None, results: Sequence[ToolResult], asked: Mapping[str, Any]) -> Prompt:
        """Return the prompt of the next turn: the results, the user's words, the messages of `asked`."""
        answered = self.prompt.answered(results).messages[-1:] if results else ()
        return self.prompt.next([*self.prompt.messages, *plain(self.messages), *answered], prompt, asked)

    def tools(self, given: Iterable[Given] | None) -> Tools:
        """Return the tools that are given, else those of the prompt."""
        return self.prompt.tools if given is None else Tools(given)


def _error(stored: Any) -> ErrorRecord:
    """Return a stored error as the record that it is. Raises InputError."""
    if not isinstance(stored, Mapping):
        raise InputError("error: must be an object")
    record: Any = {**stored, "type": "error"}
    check_record(record)
    return record  # type: ignore[no-any-return]


def calls_of(conversation: Conversation) -> list[ToolCall]:
    """Return the calls of the last assistant message that are not answered; none where the
    conversation has gone on since."""
    if conversation.messages and conversation.messages[-1]["role"] not in ("assistant", "tool"):
        return []
    pending = conversation.pending_calls()
    return [ToolCall(call["name"], call["arguments"], call["tool_call_id"], call.get("exception")) for call in pending]


def batches(outcome: Outcome, later: Callable[[], Prompt] | None) -> Generator[None, None, None]:
    """Ask, and fill the outcome, step by step."""
    exchange: Exchange | None = None
    try:
        if later is not None:
            outcome.prompt = later()
        outcome.prompt.tools.prepare()
        exchange = outcome.exchange()
        while exchange is not None:
            with closing(exchange.batches()) as asked:
                for records in asked:
                    outcome.take(records)
                    yield
            outcome.end(exchange)
            exchange = exchange.continued()
    except LlmToolsError as error:
        outcome.error = outcome.error or error
    except BaseException:
        outcome.give_up(exchange)
        raise


class AsyncBatches:
    """As `batches`, step by step by `anext`; what may wait for a disk or a keyring does so in a thread.

    It is no generator: those that are open when their loop ends are closed all at once, and one
    that closes another then fails.
    """

    def __init__(self, outcome: Outcome, later: Callable[[], Awaitable[Prompt]] | None) -> None:
        self._outcome = outcome
        self._later = later
        self._exchange: Exchange | None = None
        self._asked: AsyncGenerator[list[dict[str, Any]], None] | None = None

    async def __anext__(self) -> None:
        outcome = self._outcome
        try:
            if self._asked is None:
                self._ask(await self._opened())
            while self._exchange is not None and self._asked is not None:
                async for records in self._asked:
                    return outcome.take(records)
                outcome.end(self._exchange)
                self._ask(self._exchange.continued())
        except LlmToolsError as error:
            outcome.error = outcome.error or error
        except BaseException:
            outcome.give_up(self._exchange)
            raise
        raise StopAsyncIteration

    async def _opened(self) -> Exchange:
        from ..http.transport import in_thread

        if self._later is not None:
            self._outcome.prompt = await self._later()
        await self._outcome.prompt.tools.prepare_async()
        exchange: Exchange = await in_thread(Outcome.exchange, self._outcome)
        return exchange

    def _ask(self, exchange: Exchange | None) -> None:
        self._exchange = exchange
        self._asked = None if exchange is None else exchange.abatches()

    async def aclose(self) -> None:
        """Close the connection; end the response, if that is not over."""
        if self._asked is not None:
            await self._asked.aclose()
        if not self._outcome.is_done:
            self._outcome.give_up(self._exchange)
