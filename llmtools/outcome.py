"""What came of a prompt so far, and how it is asked for: what a response holds.

Rules:
* What asks the model holds the `Outcome`, never the response: a response that nobody can read any
  more goes at once, and with it the connection.
* One that is given up (closed, its task cancelled) has failed, and holds what came.
* `batches` and `abatches` differ in how they wait, and in nothing else.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import Any

from .conversation import Conversation, text_of
from .errors import CancelledError, LlmToolsError, from_record
from .exchange import Exchange
from .fold import events_of
from .send import prepare
from .toolbox import Tools
from .values import Attachment, Event, Message, Part, ToolCall, ToolResult, Usage, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence

    from .model import AsyncModel, Model
    from .prompt import Prompt
    from .toolbox import Given


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
        """Hold how it ended."""
        self.error = exchange.failure
        if exchange.message is not None:
            self.messages.append(Message(exchange.message))

    def give_up(self, exchange: Exchange | None) -> None:
        """End it here, from outside."""
        self.is_done = True
        error = CancelledError("the response was given up before its end")
        if exchange is None:
            self.error = self.error or error
        else:
            self.take(exchange.cancel(error))
            self.end(exchange)

    def check(self) -> None:
        """Raise what it failed with."""
        if self.error is not None:
            raise self.error

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
        """Return the answer as JSON, held against its schema. Raises InputError."""
        from .jsonl import loads
        from .schema import parsed

        self.check()
        schema = self.prompt.schema
        return loads(self.text().encode()) if schema is None else parsed(self.text(), schema)

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
    def from_dict(cls, data: Mapping[str, Any], model: Model | AsyncModel) -> Outcome:
        """Return what `to_dict` told of. Raises InputError."""
        from .prompt import Prompt, checked

        outcome = cls(Prompt.from_dict(data.get("prompt", {}), model))
        outcome.messages = [Message(message) for message in checked(data.get("messages", ()))]
        outcome.events = [Event(event) for message in outcome.messages for event in events_of(message)]  # type: ignore[arg-type]
        outcome.error = from_record(data["error"]) if "error" in data else None
        outcome.is_done = True
        return outcome

    def next(self, prompt: str | None, results: Sequence[ToolResult], asked: Mapping[str, Any]) -> Prompt:
        """Return the prompt of the next turn: the results, the user's words, the messages of `asked`."""
        answered = self.prompt.answered(results).messages[-1:] if results else ()
        return self.prompt.next([*self.prompt.messages, *plain(self.messages), *answered], prompt, asked)

    def tools(self, given: Iterable[Given] | None) -> Tools:
        """Return the tools that are given, else those of the prompt."""
        return self.prompt.tools if given is None else Tools(given)


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


async def abatches(outcome: Outcome, later: Callable[[], Awaitable[Prompt]] | None) -> AsyncGenerator[None, None]:
    """As `batches`; what may wait for a disk or a keyring does so in a thread."""
    from .transport import in_thread

    exchange: Exchange | None = None
    try:
        if later is not None:
            outcome.prompt = await later()
        await outcome.prompt.tools.prepare_async()
        exchange = await in_thread(Outcome.exchange, outcome)
        while exchange is not None:
            async with aclosing(exchange.abatches()) as asked:
                async for records in asked:
                    outcome.take(records)
                    yield
            outcome.end(exchange)
            exchange = exchange.continued()
    except LlmToolsError as error:
        outcome.error = outcome.error or error
    except BaseException:
        outcome.give_up(exchange)
        raise
