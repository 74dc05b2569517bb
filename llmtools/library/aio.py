"""Models, responses and conversations, for asyncio: `get_async_model`. The same as `sync`, awaited."""

from __future__ import annotations

from typing import Any

from ..tools.function import await_if_needed
from .calls import ToolCall, ToolResult
from .files import Attachment
from .messages import Event, Message, Usage
from .model_ref import ModelRef, known_name, listed_names, own_model, own_models
from .prompt import build_prompt
from .state import ResponseState
from .steps import AsyncSteps
from .toolbox import Hooks
from .turns import CHAIN_LIMIT, Joint, ResponseBase, ToolLoop, Turns, is_text, plain_when_done

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Mapping,
        Sequence,
    )
    from typing import Unpack

    from .prompt import Prompt, PromptArguments
    from .toolbox import After, Before, Given


class AsyncResponse(ResponseBase):
    """As `Response`, for asyncio.

        async def main() -> None:
            response = llmtools.get_async_model("echo").prompt("hi")
            async for chunk in response:
                print(chunk, end="")
            print(await response.usage())

        asyncio.run(main())

    A task that is cancelled while it reads closes the connection; so does `aclose`.
    """

    _not_read = "not yet awaited"

    def __init__(self, prompt: Prompt, later: Callable[[], Awaitable[Prompt]] | None = None) -> None:
        from asyncio import Lock

        self._state = ResponseState(prompt)
        self.is_opening: bool = later is None
        self._steps = AsyncSteps(self._state, later)
        self._lock = Lock()
        self._callbacks: list[Callable[[AsyncResponse], object]] = []
        self._run_own()

    @property
    def model(self) -> AsyncModel:
        """The model that the prompt goes to."""
        return self.prompt.model  # type: ignore[return-value]

    async def _pull(self, seen: int) -> bool:
        state = self._state
        while len(state.events) <= seen and not state.is_done:
            async with self._lock:
                if len(state.events) <= seen and not state.is_done:
                    state.is_done = await anext(self._steps, self) is self
        while state.is_done and self._callbacks:
            await await_if_needed(self._callbacks.pop(0)(self))
        return len(state.events) > seen

    def _require_end(self) -> None:
        if not self.is_done:
            raise RuntimeError("the response is not over: await it first")

    async def wait(self) -> None:
        """Wait for the end of the response. A failure is in `error`."""
        while await self._pull(len(self._state.events)):
            pass

    async def aclose(self) -> None:
        """Give the response up, and close its connection, as `Response.close` does."""
        async with self._lock:  # not while another task waits for more
            await self._steps.aclose()

    async def on_done(self, callback: Callable[[AsyncResponse], object]) -> None:
        """Call `callback`, a function or a coroutine function, as `Response.on_done` does."""
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
            event = self._state.events[place]
            place += 1
            if not self._is_hidden(event):
                yield event
        self._state.check()

    async def __aiter__(self) -> AsyncIterator[str]:
        async for event in self.astream_events():
            if is_text(event):
                yield event.chunk

    def __await__(self) -> Generator[Any, None, AsyncResponse]:
        """Wait for the end of the response, and return it."""

        async def wait_and_return() -> AsyncResponse:
            await self.wait()
            return self

        return wait_and_return().__await__()

    async def text(self) -> str:
        """Return the whole text. Raises the error of a response that failed.

        await llmtools.get_async_model("echo").prompt("hi").text()  # "hi"
        """
        await self.wait()
        self._state.check()
        return self._state.text()

    async def messages(self) -> list[Message]:
        """Return copies of the reply's messages, as `Response.messages` does."""
        await self.wait()
        return self._state.copies()

    async def reasoning(self) -> str:
        """Return the text of the model's reasoning, as far as the provider shows it."""
        await self.wait()
        return "".join([part.text for part in self._state.parts("reasoning")])

    async def tool_calls(self) -> list[ToolCall]:
        """Return the calls that have no result yet."""
        await self.wait()
        return self._state.calls()

    async def attachments(self) -> list[Attachment]:
        """Return the images, sounds and files that the model made."""
        await self.wait()
        return self._state.attachments()

    async def usage(self) -> Usage:
        """Return the tokens of the response."""
        await self.wait()
        return self._state.usage()

    async def json(self) -> Any:
        """Return the answer to a schema, or the message with its `response`, as `Response.json` does."""
        await self.wait()
        return self._state.json()

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped, as `Response.finish_reason`. A property cannot wait: await the response
        first. Raises RuntimeError before its end."""
        self._require_end()
        return self._state.response().get("finish_reason")

    @property
    def id(self) -> str | None:
        """The id of the response. Await the response first, as for `finish_reason`."""
        self._require_end()
        return self._state.identity()

    async def datetime_utc(self) -> str:
        """Return the time at which it began, as `Response.datetime_utc` does."""
        await self.wait()
        return self._state.start_time() or ""

    async def duration_ms(self) -> int:
        """Return how long it took, in milliseconds, as `Response.duration_ms` does."""
        await self.wait()
        return self._state.milliseconds()

    async def execute_tool_calls(
        self,
        *,
        before_call: Before | None = None,
        after_call: After | None = None,
        tool_calls_list: Sequence[ToolCall] | None = None,
        tools: Iterable[Given] | None = None,
    ) -> list[ToolResult]:
        """Run the calls that have no result yet, at the same time; return their results in the order of the calls.

        As `Response.execute_tool_calls`; the hooks may be coroutine functions.
        """
        calls = await self.tool_calls() if tool_calls_list is None else tool_calls_list
        runner = self._state.tools_or(tools)
        await runner.prepare_async()
        return await runner.arun(calls, Hooks(before_call, after_call))

    async def reply(self, prompt: str | None = None, **arguments: Unpack[PromptArguments]) -> AsyncResponse:
        """Return the response to the next turn, as `Response.reply` does.

        reply = await response.reply("and then?")
        print(await reply.text())
        """
        await self.text()
        given = arguments.get("tool_results")
        results = await self.execute_tool_calls(tools=arguments.get("tools")) if given is None else given
        return AsyncResponse(self._state.next_prompt(prompt, results, arguments))

    @plain_when_done
    async def to_dict(self) -> dict[str, Any]:
        """Return the response as JSON can hold it, as `Response.to_dict` does. Of a response that is over
        it is a dict, which may be awaited too."""
        await self.wait()
        return self._state.to_dict()

    def _records(self) -> list[dict[str, Any]]:
        """Return the conversation with the reply, or its failure, as the records of a stream."""
        self._require_end()
        return self._state.records()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, model: AsyncModel | None = None) -> AsyncResponse:
        """Return the response that `to_dict` returned as a dict, as `Response.from_dict` does."""
        state = ResponseState.from_dict(data, model, get_async_model)
        response = cls(state.prompt)
        response._state = state
        return response


class AsyncChain(ToolLoop[AsyncResponse]):
    """As `Chain`, for asyncio: `await chain.text()`, `async for chunk in chain`."""

    async def responses(self) -> AsyncIterator[AsyncResponse]:
        """Yield the responses, each before it is read."""
        place = 0
        while place < len(self._responses) or await self._follow():
            yield self._responses[place]
            place += 1

    async def astream_events(self) -> AsyncIterator[Event]:
        """Yield the events of all responses."""
        async for response in self.responses():
            async for event in response.astream_events():
                yield event

    async def __aiter__(self) -> AsyncIterator[str]:
        joint = Joint()
        async for response in self.responses():
            joint.begin()
            async for chunk in response:
                yield joint.join(chunk)

    async def text(self) -> str:
        """Return the texts of all responses, as `Chain.text` does."""
        return "".join([chunk async for chunk in self])


class AsyncTalk(Turns[AsyncResponse, AsyncChain]):
    """As `Talk`, for asyncio: `await conversation.prompt("hi").text()`."""

    model: AsyncModel
    _chain = AsyncChain

    _response = AsyncResponse


class AsyncModel(ModelRef):
    """A model to ask in asyncio. `llmtools.get_async_model` returns one.

    A subclass with an asynchronous `execute` is a model of one's own, as for `Model`.

        await llmtools.get_async_model("echo").prompt("hi").text()  # "hi"
    """

    is_async = True

    def prompt(self, prompt: str | None = None, **arguments: Unpack[PromptArguments]) -> AsyncResponse:
        """Return the response to a prompt, as `Model.prompt` does. The response is what you await.

        async for chunk in llmtools.get_async_model("echo").prompt("hi"):
            print(chunk, end="")
        """
        return AsyncResponse(build_prompt(self, prompt, arguments))

    def chain(
        self,
        prompt: str | None = None,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **arguments: Unpack[PromptArguments],
    ) -> AsyncChain:
        """Return the responses to a prompt and to the results of the tools, as `Model.chain` does."""
        return AsyncChain(self.prompt(prompt, **arguments), chain_limit, Hooks(before_call, after_call))

    def conversation(
        self,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **settings: Unpack[PromptArguments],
    ) -> AsyncTalk:
        """Return a conversation that remembers its turns, as `Model.conversation` does."""
        return AsyncTalk(self, chain_limit, Hooks(before_call, after_call), settings)


class AsyncKeyModel(AsyncModel):
    """As `KeyModel`, for asyncio."""

    takes_key = True


def get_async_model(
    name: str | None = None, *, base_url: str | None = None, protocol: str | None = None, key: str | None = None
) -> AsyncModel:
    """Return a model to ask in asyncio, as `get_model` does."""
    own = own_model(name, base_url, AsyncModel)
    return own or AsyncModel(known_name(name, base_url), base_url=base_url, protocol=protocol, key=key)


def get_async_models() -> list[AsyncModel]:
    """Return every model that can be asked in asyncio, as `get_models` does."""
    return [*own_models(AsyncModel), *[AsyncModel(name) for name in listed_names()]]
