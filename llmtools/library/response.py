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

import inspect
from typing import Any

from .messages import (
    Attachment,
    Event,
    Message,
    ToolCall,
    ToolResult,
    Usage,
)
from .state import AsyncBatches, Outcome, batches
from .toolbox import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from ..errors import LlmToolsError
    from .prompt import Asked, Prompt
    from .sync import AsyncModel, Model
    from .toolbox import After, Before, Given


class Reading:
    """A response, be it waited for in this way or that."""

    _outcome: Outcome
    is_opening: bool
    """Whether its prompt is known from the start: it goes on from no other response."""

    @property
    def prompt(self) -> Prompt:
        """What was asked; `prompt.messages` is the whole conversation, as the model sees it."""
        return self._outcome.prompt

    @property
    def error(self) -> LlmToolsError | None:
        """What the response failed with; None where it did not, or not yet."""
        return self._outcome.error

    @property
    def is_done(self) -> bool:
        """Whether all of it came, or it failed."""
        return self._outcome.is_done

    def __repr__(self) -> str:
        state = repr(self._outcome.text()) if self.is_done else "not read yet"
        return f"<{type(self).__name__} of {self.prompt.model.model_id}: {state}>"

    def _hidden(self, event: Event) -> bool:
        return event.type == "reasoning" and self.prompt.hide_reasoning


def _is_text(event: Event) -> bool:
    return event.type == "text" and event.get("phase") != "commentary" and bool(event.chunk)


class Response(Reading):
    """The response to a prompt. Iterating gives its text as it comes; nothing is sent before.

        for chunk in llmtools.get_model("echo").prompt("hi"):
            print(chunk, end="")

    `str(response)` and `.text()` are the whole text. Whatever reads the text, its events or its
    JSON raises the LlmToolsError that the response failed with (`llmtools.errors` has the tree);
    the other methods tell of what came all the same.
    """

    def __init__(self, prompt: Prompt, later: Callable[[], Prompt] | None = None) -> None:
        from threading import RLock

        self._outcome = Outcome(prompt)
        self.is_opening: bool = later is None
        self._source = batches(self._outcome, later)
        self._lock = RLock()
        self._callbacks: list[Callable[[Response], object]] = []

    @property
    def model(self) -> Model:
        """The model that was asked."""
        return self.prompt.model  # type: ignore[return-value]

    def _pull(self, seen: int) -> bool:
        """Wait until there are more than `seen` events; return whether there are."""
        outcome = self._outcome
        while len(outcome.events) <= seen and not outcome.is_done:
            with self._lock:  # another thread may have waited for the same
                if len(outcome.events) <= seen and not outcome.is_done:
                    outcome.is_done = next(self._source, self) is self
        if outcome.is_done:
            while self._callbacks:
                self._callbacks.pop(0)(self)
        return len(outcome.events) > seen

    def wait(self) -> None:
        """Wait for the end of the response; what it failed with is in `error`."""
        while self._pull(len(self._outcome.events)):
            pass

    def close(self) -> None:
        """Give the response up, and close its connection: from then on it has failed."""
        with self._lock:  # not while another thread waits for more
            self._source.close()
        if not self.is_done:
            self._outcome.give_up(None)

    def on_done(self, callback: Callable[[Response], object]) -> None:
        """Have `callback` called with the response when all of it came.

        response = llmtools.get_model("echo").prompt("hi")
        response.on_done(lambda response: print(response.usage()))
        """
        self._callbacks.append(callback)
        if self.is_done:
            self._pull(0)

    def stream_events(self) -> Iterator[Event]:
        """Yield the events of the response, as they come or again: `start`, the events of its
        parts, notices, `end`. Raises the error with which it failed, after the last.

            for event in llmtools.get_model("echo").prompt("hi").stream_events():
                print(event.type, event.chunk)
        """
        place = 0
        while self._pull(place):
            event = self._outcome.events[place]
            place += 1
            if not self._hidden(event):
                yield event
        self._outcome.check()

    def __iter__(self) -> Iterator[str]:
        return (event.chunk for event in self.stream_events() if _is_text(event))

    def text(self) -> str:
        """Return the whole text; of a model that tells commentary from answer, the answer.

        Raises the error with which the response failed.

            llmtools.get_model("echo").prompt("hi").text()  # "hi"
        """
        self.wait()
        self._outcome.check()
        return self._outcome.text()

    def __str__(self) -> str:
        return self.text()

    def messages(self) -> list[Message]:
        """Return the messages that the response made, to keep: one, and more where the model paused.

        llmtools.get_model("echo").prompt("hi").messages()[0].role  # "assistant"
        """
        self.wait()
        return self._outcome.copies()

    def reasoning(self) -> str:
        """Return what the model told of its reasoning.

        llmtools.get_model("echo").prompt('{"reasoning": "hm"}').reasoning()  # "hm"
        """
        self.wait()
        return "".join([part.text for part in self._outcome.parts("reasoning")])

    def tool_calls(self) -> list[ToolCall]:
        """Return the calls that wait for their results.

        asked = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
        llmtools.get_model("echo").prompt(asked).tool_calls()[0].name  # "upper"
        """
        self.wait()
        return self._outcome.calls()

    def attachments(self) -> list[Attachment]:
        """Return the images, sounds and files that the model made."""
        self.wait()
        return self._outcome.attachments()

    def usage(self) -> Usage:
        """Return the tokens that it took: a `Usage` of input, output and details.

        llmtools.get_model("echo").prompt("hi").usage().output  # 1
        """
        self.wait()
        return self._outcome.usage()

    def json(self) -> Any:
        """Return the answer to a schema; where none was asked for, the message with its `response`.
        Raises InputError for an answer that does not fit, and the error with which the response failed.

            llmtools.get_model("echo").prompt('{"text": "{\\\\"age\\\\": 3}"}', schema="age int").json()  # {"age": 3}
        """
        self.wait()
        return self._outcome.json()

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped: stop, length, tool_calls, content_filter, refusal, pause or error."""
        self.wait()
        return self._outcome.response().get("finish_reason")

    def execute_tool_calls(
        self,
        *,
        before_call: Before | None = None,
        after_call: After | None = None,
        tool_calls_list: Sequence[ToolCall] | None = None,
        tools: Iterable[Given] | None = None,
    ) -> list[ToolResult]:
        """Run the calls that wait, or those that are given; return their results in the order of
        the calls. `tools` run them in the place of the prompt's.

        A call that fails, or whose tool is not there, has an `exception` in its result.
        Raises PauseChain where a tool raises it.

            def upper(text: str) -> str:
                return text.upper()

            asked = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
            response = llmtools.get_model("echo").prompt(asked, tools=[upper])
            response.execute_tool_calls()[0].output  # "PANDA"
        """
        calls = self.tool_calls() if tool_calls_list is None else tool_calls_list
        (ready := self._outcome.tools(tools)).prepare()
        return ready.run(calls, Hooks(before_call, after_call))

    def reply(self, prompt: str | None = None, **asked: Unpack[Asked]) -> Response:
        """Return the response to the next turn: this conversation, the results of its calls
        (which are run first, unless `tool_results` gives them), `prompt` as the user's words, and
        `messages`.

        Tools, options, schema, key and the rest are kept, unless `asked` says otherwise; it takes
        what `Model.prompt` takes. Raises the error with which this response failed.

            response = llmtools.get_model("echo").prompt("hi")
            response.reply("and then?").text()  # "and then?"
        """
        self.text()
        given = asked.get("tool_results")
        results = self.execute_tool_calls(tools=asked.get("tools")) if given is None else given
        return Response(self._outcome.next(prompt, results, asked))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it, and `from_dict` makes it of: the model, the conversation,
        what was asked (tools, schema, options), the reply, usage, finish reason, error.

        Functions are kept by name and schema: give them again with `reply(tools=…)`. No key is kept.

            kept = json.dumps(llmtools.get_model("echo").prompt("hi").to_dict())
            llmtools.Response.from_dict(json.loads(kept)).reply("more").text()  # "more"
        """
        self.wait()
        return self._outcome.to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, model: Model | None = None) -> Response:
        """Return the response that `to_dict` told of; `model` answers the next turn in the place
        of the one it names.

        Raises NoModelError where that is not known, InputError for what no `to_dict` gave.

            kept = llmtools.get_model("echo").prompt("hi").to_dict()
            llmtools.Response.from_dict(kept).text()  # "hi"
        """
        from .sync import get_model

        outcome = Outcome.from_dict(data, model, get_model)
        response = cls(outcome.prompt)
        response._outcome = outcome
        return response


class AsyncResponse(Reading):
    """As `Response`, for asyncio.

        async def main() -> None:
            response = llmtools.get_async_model("echo").prompt("hi")
            async for chunk in response:
                print(chunk, end="")
            print(await response.usage())

        asyncio.run(main())

    A task that is cancelled while it reads closes the connection; so does `aclose`.
    """

    def __init__(self, prompt: Prompt, later: Callable[[], Awaitable[Prompt]] | None = None) -> None:
        from asyncio import Lock

        self._outcome = Outcome(prompt)
        self.is_opening: bool = later is None
        self._source = AsyncBatches(self._outcome, later)
        self._lock = Lock()
        self._callbacks: list[Callable[[AsyncResponse], object]] = []

    @property
    def model(self) -> AsyncModel:
        """The model that was asked."""
        return self.prompt.model  # type: ignore[return-value]

    async def _pull(self, seen: int) -> bool:
        outcome = self._outcome
        while len(outcome.events) <= seen and not outcome.is_done:
            async with self._lock:
                if len(outcome.events) <= seen and not outcome.is_done:
                    outcome.is_done = await anext(self._source, self) is self
        while outcome.is_done and self._callbacks:
            done = self._callbacks.pop(0)(self)
            if inspect.isawaitable(done):
                await done
        return len(outcome.events) > seen

    async def wait(self) -> None:
        """Wait for the end of the response; what it failed with is in `error`."""
        while await self._pull(len(self._outcome.events)):
            pass

    async def aclose(self) -> None:
        """Give the response up, and close its connection: from then on it has failed."""
        async with self._lock:  # not while another task waits for more
            await self._source.aclose()

    async def on_done(self, callback: Callable[[AsyncResponse], object]) -> None:
        """Have `callback`, a function or a coroutine function, called as `Response.on_done` does."""
        self._callbacks.append(callback)
        if self.is_done:
            await self._pull(0)

    async def astream_events(self) -> AsyncIterator[Event]:
        """Yield the events of the response, as `Response.stream_events` does.

        async for event in response.astream_events():
            print(event.type, event.chunk)
        """
        place = 0
        while await self._pull(place):
            event = self._outcome.events[place]
            place += 1
            if not self._hidden(event):
                yield event
        self._outcome.check()

    async def __aiter__(self) -> AsyncIterator[str]:
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
        """Return the whole text. Raises the error with which the response failed.

        await llmtools.get_async_model("echo").prompt("hi").text()  # "hi"
        """
        await self.wait()
        self._outcome.check()
        return self._outcome.text()

    async def messages(self) -> list[Message]:
        """Return the messages that the response made."""
        await self.wait()
        return self._outcome.copies()

    async def reasoning(self) -> str:
        """Return what the model told of its reasoning."""
        await self.wait()
        return "".join([part.text for part in self._outcome.parts("reasoning")])

    async def tool_calls(self) -> list[ToolCall]:
        """Return the calls that wait for their results."""
        await self.wait()
        return self._outcome.calls()

    async def attachments(self) -> list[Attachment]:
        """Return the images, sounds and files that the model made."""
        await self.wait()
        return self._outcome.attachments()

    async def usage(self) -> Usage:
        """Return the tokens that it took."""
        await self.wait()
        return self._outcome.usage()

    async def json(self) -> Any:
        """Return the answer to a schema, or the message with its `response`, as `Response.json` does."""
        await self.wait()
        return self._outcome.json()

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped; None before the end was waited for."""
        return self._outcome.response().get("finish_reason")

    async def execute_tool_calls(
        self,
        *,
        before_call: Before | None = None,
        after_call: After | None = None,
        tool_calls_list: Sequence[ToolCall] | None = None,
        tools: Iterable[Given] | None = None,
    ) -> list[ToolResult]:
        """Run the calls that wait, side by side; return their results in the order of the calls.

        As `Response.execute_tool_calls`; the hooks may be coroutine functions.
        """
        calls = await self.tool_calls() if tool_calls_list is None else tool_calls_list
        await (ready := self._outcome.tools(tools)).prepare_async()
        return await ready.arun(calls, Hooks(before_call, after_call))

    async def reply(self, prompt: str | None = None, **asked: Unpack[Asked]) -> AsyncResponse:
        """Return the response to the next turn, as `Response.reply` does.

        reply = await response.reply("and then?")
        print(await reply.text())
        """
        await self.text()
        given = asked.get("tool_results")
        results = await self.execute_tool_calls(tools=asked.get("tools")) if given is None else given
        return AsyncResponse(self._outcome.next(prompt, results, asked))

    async def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it, as `Response.to_dict` does."""
        await self.wait()
        return self._outcome.to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, model: AsyncModel | None = None) -> AsyncResponse:
        """Return the response that `to_dict` told of, as `Response.from_dict` does."""
        from .sync import get_async_model

        outcome = Outcome.from_dict(data, model, get_async_model)
        response = cls(outcome.prompt)
        response._outcome = outcome
        return response
