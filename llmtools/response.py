"""A response of a model as an object: it is asked for when it is first read, folded once, and can
be read as often as one likes.

Rules:
* Nothing is sent before something is read. Several readers see the same events, from the first.
* A reply that the model pauses is continued, and its messages stand one behind the other.
* Reading the text of a response that failed raises its error, after what came; what came is
  held all the same, in `messages`, `usage` and the rest, and `error` says what it was.
* The synchronous and the asynchronous response differ in how they wait, and in nothing else.
"""

from __future__ import annotations

from typing import Any

from .conversation import Conversation, text_of
from .errors import LlmToolsError
from .send import Exchange, prepare
from .values import Attachment, Event, Message, Part, ToolCall, ToolResult, Usage, user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence

    from .model import AsyncModel, Model
    from .prompt import Prompt
    from .toolbox import Tools


class Outcome:
    """What came of a prompt so far: the part that does not wait."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.is_done = False
        self._records: list[Event] = []
        self._messages: list[Message] = []
        self._error: LlmToolsError | None = None

    # What came, without waiting

    @property
    def error(self) -> LlmToolsError | None:
        """What the response failed with; None where it did not, or not yet."""
        return self._error

    def _exchange(self) -> Exchange:
        prepared, notices = prepare(self.prompt.conversation())
        self._records += [Event(notice) for notice in notices]
        request, endpoint = self.prompt.request()
        return Exchange(prepared, request, endpoint, self.prompt.limits)

    def _take(self, records: list[dict[str, Any]]) -> None:
        self._records += [Event(record) for record in records if record["type"] != "message"]

    def _end(self, exchange: Exchange) -> None:
        self._error = exchange.failure
        if exchange.message is not None:
            self._messages.append(Message(exchange.message))

    def _fail(self, error: LlmToolsError) -> None:
        """Hold an error that came before anything was asked."""
        self._error = self._error or error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _text(self) -> str:
        return "".join(text_of(message) for message in self._messages)  # type: ignore[arg-type]

    def _parts(self, kind: str) -> list[Part]:
        return [part for message in self._messages for part in message.parts if part.type == kind]

    def _calls(self) -> list[ToolCall]:
        """Return the calls that are ours to run: those that are whole."""
        conversation = Conversation(self._messages)
        return [
            ToolCall(call["name"], call["arguments"], call["tool_call_id"])
            for call in conversation.pending_calls()
            if "exception" not in call
        ]

    def _attachments(self) -> list[Attachment]:
        return [Attachment(part["attachment"]) for part in self._parts("attachment") if "attachment" in part]

    def _response(self) -> dict[str, Any]:
        return dict(self._messages[-1].get("response", {})) if self._messages else {}

    def _usage(self) -> Usage:
        total: dict[str, int] = {}
        details: dict[str, int] = {}
        for message in self._messages:
            said = message.get("response", {}).get("usage", {})
            for name in ("input", "output"):
                if name in said:
                    total[name] = total.get(name, 0) + said[name]
            for name, count in said.get("details", {}).items():
                details[name] = details.get(name, 0) + count
        return Usage(total.get("input"), total.get("output"), details)

    def _json(self) -> Any:
        from .jsonl import loads
        from .schema import parsed

        self._raise()
        schema = self.prompt.schema
        return loads(self._text().encode()) if schema is None else parsed(self._text(), schema)

    def _to_dict(self) -> dict[str, Any]:
        said = self._response()
        spent = self._usage()
        counts: dict[str, Any] = {"input": spent.input, "output": spent.output, "details": spent.details}
        usage = {name: value for name, value in counts.items() if value not in (None, {})}
        told: dict[str, Any] = {name: said[name] for name in ("finish_reason", "status") if name in said}
        made: dict[str, Any] = {"model": self.prompt.model.model_id, "prompt": self.prompt.to_dict()}
        made["messages"] = [dict(message) for message in self._messages]
        rest: dict[str, Any] = {"id": said.get("id"), "usage": usage, "datetime_utc": said.get("created"), **told}
        return made | {name: value for name, value in rest.items() if value}

    def _load(self, data: dict[str, Any]) -> None:
        self._messages = [Message({"type": "message", **message}) for message in data.get("messages", ())]
        self.is_done = True

    def _replied(
        self, prompt: str | None, messages: Sequence[dict[str, Any]], results: Sequence[ToolResult]
    ) -> list[dict[str, Any]]:
        """Return the messages of the next turn."""
        answered = [{"type": "message", "role": "tool", "parts": [dict(result.part()) for result in results]}]
        said = [dict(user(prompt))] if prompt else []
        return [*self.prompt.messages, *self._messages, *(answered if results else []), *said, *messages]

    def _tools(self, given: Any) -> Tools:
        from .toolbox import Tools

        return self.prompt.tools if given is None else Tools(given)

    def __repr__(self) -> str:
        state = repr(self._text()) if self.is_done else "not read yet"
        return f"<{type(self).__name__} of {self.prompt.model.model_id}: {state}>"


def _is_text(event: Event) -> bool:
    return event.type == "text" and event.get("phase") != "commentary" and bool(event.chunk)


class Response(Outcome):
    """The response to a prompt. Iterating gives its text as it comes.

        for chunk in llmtools.get_model("echo").prompt("hi"):
            print(chunk, end="")

    `str(response)` and `.text()` are the whole text. Whatever reads the text, its events or its
    JSON raises the LlmToolsError that the response failed with.
    """

    def __init__(self, prompt: Prompt) -> None:
        super().__init__(prompt)
        self._source = self._batches()

    @property
    def model(self) -> Model:
        """The model that was asked."""
        model: Any = self.prompt.model
        return model  # type: ignore[no-any-return]

    def _batches(self) -> Generator[None, None, None]:
        try:
            exchange: Exchange | None = self._exchange()
            while exchange is not None:
                try:
                    for records in exchange.batches():
                        self._take(records)
                        yield
                finally:
                    self._end(exchange)
                exchange = exchange.continued()
        except LlmToolsError as error:
            self._fail(error)

    def _pull(self) -> bool:
        """Wait for the next events; return whether there are more to come."""
        if not self.is_done and next(self._source, self) is self:
            self.is_done = True
        return not self.is_done

    def wait(self) -> None:
        """Wait for the end of the response; what it failed with is in `error`."""
        while self._pull():
            pass

    def stream_events(self) -> Iterator[Event]:
        """Yield the events of the response, as they come or again: `start`, the events of its
        parts, notices, `end`. Raises the error with which it failed, after the last."""
        place = 0
        while True:
            while place < len(self._records):
                yield self._records[place]
                place += 1
            if not self._pull() and place == len(self._records):
                break
        self._raise()

    def __iter__(self) -> Iterator[str]:
        """Yield the text, chunk by chunk."""
        if self.is_done and not self._records:  # one that was stored
            self._raise()
            yield from [self._text()] if self._text() else []
            return
        for event in self.stream_events():
            if _is_text(event):
                yield event.chunk

    def text(self) -> str:
        """Return the whole text; of a model that tells commentary from answer, the answer."""
        self.wait()
        self._raise()
        return self._text()

    def __str__(self) -> str:
        return self.text()

    def messages(self) -> list[Message]:
        """Return the messages that the response made: one, and more where the model paused."""
        self.wait()
        return list(self._messages)

    def reasoning(self) -> str:
        """Return what the model told of its reasoning."""
        self.wait()
        return "".join(part.text for part in self._parts("reasoning"))

    def tool_calls(self) -> list[ToolCall]:
        """Return the calls that wait for their results."""
        self.wait()
        return self._calls()

    def attachments(self) -> list[Attachment]:
        """Return the images, sounds and files that the model made."""
        self.wait()
        return self._attachments()

    def usage(self) -> Usage:
        """Return the tokens that it took."""
        self.wait()
        return self._usage()

    def json(self) -> Any:
        """Return the answer as JSON, held against the schema that was asked for.

        Raises InputError for an answer that is none.
        """
        self.wait()
        return self._json()

    @property
    def finish_reason(self) -> str | None:
        """stop, length, tool_calls, content_filter, refusal, pause or error."""
        self.wait()
        return self._response().get("finish_reason")

    def execute_tool_calls(self, *, tools: Any = None) -> list[ToolResult]:
        """Run the calls that wait, side by side; return their results in the order of the calls.

        A call that fails, or whose tool is not there, has an `exception` in its result.
        """
        return self._tools(tools).run(self.tool_calls())

    def reply(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[dict[str, Any]] = (),
        tool_results: Sequence[ToolResult] | None = None,
        **changed: Any,
    ) -> Response:
        """Return the response to the next turn: this conversation, the results of its calls
        (which are run first, unless `tool_results` gives them), and `prompt` as the user's words.

        Tools, options, schema, key and the rest are kept, unless `changed` says otherwise.
        """
        self.text()
        results = self.execute_tool_calls(tools=changed.get("tools")) if tool_results is None else tool_results
        return Response(self.prompt.next(self._replied(prompt, messages, results), changed))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it, and `from_dict` makes it of: the model, the conversation,
        what was asked (tools, schema, options), the reply, usage and finish reason.

        Functions are kept by name and schema: give them again with `reply(tools=…)`.
        """
        self.wait()
        return self._to_dict()

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, model: Model | None = None) -> Response:
        """Return the response that `to_dict` told of; `model` answers the next turn in the place
        of the one it names."""
        from .model import get_model
        from .prompt import Prompt

        response = cls(Prompt.from_dict(data.get("prompt", {}), model or get_model(data["model"])))
        response._load(data)
        return response


class AsyncResponse(Outcome):
    """As `Response`, for asyncio: `async for chunk in response`, `await response.text()`."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__(prompt)
        self._source = self._batches()

    @property
    def model(self) -> AsyncModel:
        """The model that was asked."""
        model: Any = self.prompt.model
        return model  # type: ignore[no-any-return]

    async def _batches(self) -> AsyncGenerator[None, None]:
        try:
            exchange: Exchange | None = self._exchange()
            while exchange is not None:
                batches = exchange.abatches()
                try:
                    async for records in batches:
                        self._take(records)
                        yield
                finally:
                    await batches.aclose()
                    self._end(exchange)
                exchange = exchange.continued()
        except LlmToolsError as error:
            self._fail(error)

    async def _pull(self) -> bool:
        """Wait for the next events; return whether there are more to come."""
        if not self.is_done and await anext(self._source, self) is self:
            self.is_done = True
        return not self.is_done

    async def wait(self) -> None:
        """Wait for the end of the response; what it failed with is in `error`."""
        while await self._pull():
            pass

    async def aclose(self) -> None:
        """Give the response up, and close its connection."""
        await self._source.aclose()
        self.is_done = True

    async def astream_events(self) -> AsyncIterator[Event]:
        """Yield the events of the response, as `Response.stream_events` does."""
        place = 0
        while True:
            while place < len(self._records):
                yield self._records[place]
                place += 1
            if not await self._pull() and place == len(self._records):
                break
        self._raise()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield the text, chunk by chunk."""
        if self.is_done and not self._records:
            self._raise()
            if self._text():
                yield self._text()
            return
        async for event in self.astream_events():
            if _is_text(event):
                yield event.chunk

    def __await__(self) -> Generator[Any, None, AsyncResponse]:
        """Wait for the end of the response; give it back."""

        async def ended() -> AsyncResponse:
            await self.wait()
            return self

        return ended().__await__()

    async def text(self) -> str:
        """Return the whole text. Raises the error with which the response failed."""
        await self.wait()
        self._raise()
        return self._text()

    async def messages(self) -> list[Message]:
        """Return the messages that the response made."""
        await self.wait()
        return list(self._messages)

    async def reasoning(self) -> str:
        """Return what the model told of its reasoning."""
        await self.wait()
        return "".join(part.text for part in self._parts("reasoning"))

    async def tool_calls(self) -> list[ToolCall]:
        """Return the calls that wait for their results."""
        await self.wait()
        return self._calls()

    async def attachments(self) -> list[Attachment]:
        """Return the images, sounds and files that the model made."""
        await self.wait()
        return self._attachments()

    async def usage(self) -> Usage:
        """Return the tokens that it took."""
        await self.wait()
        return self._usage()

    async def json(self) -> Any:
        """Return the answer as JSON, held against the schema that was asked for."""
        await self.wait()
        return self._json()

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped; None before the end was waited for."""
        return self._response().get("finish_reason")

    async def execute_tool_calls(self, *, tools: Any = None) -> list[ToolResult]:
        """Run the calls that wait, side by side; return their results in the order of the calls."""
        return await self._tools(tools).arun(await self.tool_calls())

    async def reply(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[dict[str, Any]] = (),
        tool_results: Sequence[ToolResult] | None = None,
        **changed: Any,
    ) -> AsyncResponse:
        """Return the response to the next turn, as `Response.reply` does."""
        await self.text()
        results = await self.execute_tool_calls(tools=changed.get("tools")) if tool_results is None else tool_results
        return AsyncResponse(self.prompt.next(self._replied(prompt, messages, results), changed))

    async def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it, as `Response.to_dict` does."""
        await self.wait()
        return self._to_dict()

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, model: AsyncModel | None = None) -> AsyncResponse:
        """Return the response that `to_dict` told of."""
        from .model import get_async_model
        from .prompt import Prompt

        response = cls(Prompt.from_dict(data.get("prompt", {}), model or get_async_model(data["model"])))
        response._load(data)
        return response
