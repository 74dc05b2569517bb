"""Models by name, and conversations with them.

    model = llmtools.get_model("openai/gpt-5.5")
    print(model.prompt("Capital of France?").text())

Rules:
* A name is looked up, and its key found, when the model is first asked.
* `chain` asks, runs the tools that the model calls, and asks again, until there are no calls.
* A turn of a conversation goes on from the last that did not fail; it waits for it when it is read.
"""

from __future__ import annotations

from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from ..errors import RoundLimitError
from ..protocols.request import Secret, Target
from ..providers.names import is_built_in
from .messages import Event
from .prompt import made
from .response import AsyncResponse, Response
from .state import calls_of
from .toolbox import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from typing import TypeAlias, Unpack

    from .prompt import Asked, Prompt
    from .toolbox import After, Before

    Turn: TypeAlias = Callable[[], Coroutine[Any, Any, Prompt]]

T = TypeVar("T")
ResponseT = TypeVar("ResponseT")
ChainT = TypeVar("ChainT")

CHAIN_LIMIT = 10
"""How often a chain asks again with the results of tools."""


class Named:
    """A model by its name, or what a server at `base_url` calls it; `key` may be set."""

    def __init__(
        self, model_id: str, *, base_url: str | None = None, protocol: str | None = None, key: str | None = None
    ) -> None:
        self.model_id = model_id
        self.key = key
        self._place = (base_url, protocol)

    def target(self, key: Secret | None = None) -> Target:
        """Return where it is asked, as `Model.prompt` does.

        Raises NoModelError, NoKeyError, ConfigError, UsageError.
        """
        base_url, protocol = self._place
        secret = key or (Secret(self.key) if self.key else None)
        if base_url is not None:
            from ..providers.names import at

            return Target(self.model_id, self.model_id, at(base_url, protocol, secret))
        from ..exchange.ask import target_of

        return target_of(self.model_id, secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model_id}>"


class Model(Named):
    """A model to ask. `llmtools.get_model` gives one.

    llmtools.get_model("echo").prompt("hi").text()  # "hi"
    """

    def prompt(self, prompt: str | None = None, **asked: Unpack[Asked]) -> Response:
        """Return the response to a prompt; nothing is sent before it is read.

        messages: a conversation (messages as `user` and its like make them, their dicts, or a
        Conversation); system: a system message before it; attachments: files to go with the
        prompt; fragments, system_fragments: texts before them; tool_results; tools: functions,
        Toolboxes, Tools, tool records; schema: a JSON Schema, a pydantic model, or the short form
        "name, age int"; options: of the model, by name (any other keyword is one too: temperature,
        max_tokens …); reasoning: none, low, medium, high …; hide_reasoning: tell no reasoning in
        the events; tool_choice; stream; key; limits: a `Limits`.

        Raises UsageError where there is nothing to ask, InputError for messages that are none.

            said = [llmtools.user("Capital of France?"), llmtools.assistant("Paris"), llmtools.user("Germany?")]
            llmtools.get_model("echo").prompt(messages=said, system="Be brief").text()  # "Germany?"
        """
        return Response(made(self, prompt, asked))

    def chain(
        self,
        prompt: str | None = None,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **asked: Unpack[Asked],
    ) -> Chain:
        """Return the responses to a prompt and to the results of the tools that it calls.

        It takes what `prompt` takes. chain_limit: how often results are sent, 0 or None without
        limit; before_call(tool, call) and after_call(tool, call, result) are called around each
        call. Calls that `messages` end with are run first.

            def upper(text: str) -> str:
                return text.upper()

            asked = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'
            llmtools.get_model("echo").chain(asked, tools=[upper]).text()  # "PANDA"
        """
        return Chain(self.prompt(prompt, **asked), chain_limit, Hooks(before_call, after_call))

    def conversation(
        self,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **settings: Unpack[Asked],
    ) -> Talk:
        """Return a conversation that remembers its turns; what is given (tools, system …) holds for all.

        talk = llmtools.get_model("echo").conversation(system="Be brief")
        talk.prompt("one").text()  # "one"
        talk.prompt("two").text()  # "two"
        """
        return Talk(self, chain_limit, Hooks(before_call, after_call), settings)


class AsyncModel(Named):
    """A model to ask in asyncio. `llmtools.get_async_model` gives one.

    await llmtools.get_async_model("echo").prompt("hi").text()  # "hi"
    """

    def prompt(self, prompt: str | None = None, **asked: Unpack[Asked]) -> AsyncResponse:
        """Return the response to a prompt, as `Model.prompt` does: it is what is awaited.

        async for chunk in llmtools.get_async_model("echo").prompt("hi"):
            print(chunk, end="")
        """
        return AsyncResponse(made(self, prompt, asked))

    def chain(
        self,
        prompt: str | None = None,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **asked: Unpack[Asked],
    ) -> AsyncChain:
        """Return the responses to a prompt and to the results of the tools, as `Model.chain` does."""
        return AsyncChain(self.prompt(prompt, **asked), chain_limit, Hooks(before_call, after_call))

    def conversation(
        self,
        *,
        chain_limit: int | None = CHAIN_LIMIT,
        before_call: Before | None = None,
        after_call: After | None = None,
        **settings: Unpack[Asked],
    ) -> AsyncTalk:
        """Return a conversation that remembers its turns, as `Model.conversation` does."""
        return AsyncTalk(self, chain_limit, Hooks(before_call, after_call), settings)


async def _got(value: Any) -> Any:
    return await value if isawaitable(value) else value


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine gives in which nothing waits: it goes through to its end."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise RuntimeError("it waits for something")


class _Asking(Generic[ResponseT]):
    """What asks again and again: how a turn follows another, be it waited for in this way or that."""

    def __init__(self, first: ResponseT, limit: int | None, hooks: Hooks, kept: list[ResponseT] | None = None) -> None:
        self._first: Any = first
        self._limit = limit
        self._hooks = hooks
        self._responses: list[Any] = []
        self._kept = [] if kept is None else kept

    async def _follow(self) -> bool:
        """Ask again where the last response made calls; return whether there is one more."""
        if not self._responses:
            return self._keep(await self._opened())
        last = self._responses[-1]
        if not await _got(last.tool_calls()):
            return False
        if self._limit and len(self._responses) > self._limit:
            raise RoundLimitError(f"the model still calls tools after {self._limit} rounds (chain_limit)")
        results = await _got(last.execute_tool_calls(before_call=self._hooks.before, after_call=self._hooks.after))
        return self._keep(await _got(last.reply(tool_results=results)))

    def _keep(self, response: Any) -> bool:
        self._responses.append(response)
        self._kept.append(response)
        return True

    async def _opened(self) -> Any:
        """Return the first response; the calls that its messages end with are run before."""
        first, prompt, hooks = self._first, self._first.prompt, self._hooks
        calls = calls_of(prompt.conversation()) if first.is_opening else []
        if not calls:
            return first
        ran = first.execute_tool_calls(tool_calls_list=calls, before_call=hooks.before, after_call=hooks.after)
        return type(first)(prompt.answered(await _got(ran)))


class Chain(_Asking[Response]):
    """The responses to one prompt, with the results of tools between them.

    Raises RoundLimitError where the model still calls tools when the limit is reached, PauseChain
    where a tool raises it, and the error of a response that failed.

        for response in model.chain("Convert panda to upper", tools=[upper]).responses():
            print(response.prompt.messages[-1], response.text())
    """

    def responses(self) -> Iterator[Response]:
        """Yield the responses, each before it is read."""
        place = 0
        while place < len(self._responses) or _at_once(self._follow()):
            yield self._responses[place]
            place += 1

    def stream_events(self) -> Iterator[Event]:
        """Yield the events of all responses."""
        for response in self.responses():
            yield from response.stream_events()

    def __iter__(self) -> Iterator[str]:
        for response in self.responses():
            yield from response

    def text(self) -> str:
        """Return the texts of all responses, joined."""
        return "".join(self)

    def __str__(self) -> str:
        return self.text()


class AsyncChain(_Asking[AsyncResponse]):
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
        async for response in self.responses():
            async for chunk in response:
                yield chunk

    async def text(self) -> str:
        """Return the texts of all responses, joined."""
        return "".join([chunk async for chunk in self])


async def _after(
    before: list[Any], hooks: Hooks, prompt: str | None, asked: Asked, opening: Callable[[], Prompt]
) -> Prompt:
    """Return what is asked behind the last response that did not fail; `opening` where all did."""
    for response in reversed(before):
        await _got(response.wait())
        if response.error is None:
            turn: Any = dict(asked)
            if turn.get("tool_results") is None:
                turn["tool_results"] = await _got(
                    response.execute_tool_calls(
                        before_call=hooks.before, after_call=hooks.after, tools=turn.get("tools")
                    )
                )
            reply = await _got(response.reply(prompt, **turn))
            return reply.prompt  # type: ignore[no-any-return]
    return opening()


class _Turns(Generic[ResponseT, ChainT]):
    """A conversation, be it waited for in this way or that."""

    model: Named
    _chain: type[Any]

    def __init__(self, model: Named, chain_limit: int | None, hooks: Hooks, settings: Asked) -> None:
        self.model = model
        self.responses: list[ResponseT] = []
        self._chain_limit = chain_limit
        self._hooks = hooks
        self._settings = settings

    def prompt(self, prompt: str | None = None, **asked: Unpack[Asked]) -> ResponseT:
        """Return the response to the next turn, as `Model.prompt` does."""
        response = self._response(prompt, asked)
        self.responses.append(response)
        return response

    def chain(
        self,
        prompt: str | None = None,
        *,
        chain_limit: int | None = None,
        before_call: Before | None = None,
        after_call: After | None = None,
        **asked: Unpack[Asked],
    ) -> ChainT:
        """Return the responses to the next turn, as `Model.chain` does."""
        hooks = Hooks(before_call or self._hooks.before, after_call or self._hooks.after)
        limit = self._chain_limit if chain_limit is None else chain_limit
        chain: ChainT = self._chain(self._response(prompt, asked), limit, hooks, self.responses)
        return chain

    def _response(self, prompt: str | None, asked: Asked) -> ResponseT:
        opening = partial(made, self.model, prompt, {**self._settings, **asked})
        if not self.responses:
            return self._made(opening(), None)
        before: Any = self.responses[-1]
        return self._made(before.prompt, partial(_after, self.responses[:], self._hooks, prompt, asked, opening))

    def _made(self, prompt: Prompt, turn: Turn | None) -> ResponseT:
        """Return the response to a prompt; to the one that `turn` makes when it is read, if there is one."""
        raise NotImplementedError


class Talk(_Turns[Response, Chain]):
    """A conversation with a model, turn by turn; `responses` are those so far.

    A turn goes on from the last one that did not fail, which is read to its end first. Each is
    asked as `Model.prompt` asks, or with the results of tools as `Model.chain` does.

        talk = llmtools.get_model("echo").conversation(tools=[upper])
        talk.prompt("one").text()  # "one"
        talk.chain('{"tool_calls": [{"name": "upper", "arguments": {"text": "two"}}]}').text()  # "TWO"
        len(talk.responses)  # 3
    """

    model: Model
    _chain = Chain

    def _made(self, prompt: Prompt, turn: Turn | None) -> Response:
        return Response(prompt, None if turn is None else lambda: _at_once(turn()))


class AsyncTalk(_Turns[AsyncResponse, AsyncChain]):
    """As `Talk`, for asyncio: `await conversation.prompt("hi").text()`."""

    model: AsyncModel
    _chain = AsyncChain

    def _made(self, prompt: Prompt, turn: Turn | None) -> AsyncResponse:
        return AsyncResponse(prompt, turn)


def _name(name: str | None, base_url: str | None) -> str:
    """Return the name that is given, or the default. Raises NoModelError for one that no one knows."""
    if not name:
        from ..exchange.ask import choose_model
        from ..records.conversation import Conversation

        name = choose_model(None, Conversation(), is_elsewhere=base_url is not None)
    if base_url is None and not is_built_in(name):
        from ..providers.config import read
        from ..providers.resolve import split

        split(name, read())
    return name


def get_model(
    name: str | None = None, *, base_url: str | None = None, protocol: str | None = None, key: str | None = None
) -> Model:
    """Return a model: an alias, "provider/model" or a known name; without one the default.

    With `base_url` it is what the server there calls it, which speaks `protocol` (openai-chat,
    openai-responses, anthropic, gemini, ollama). `key` wins over the key that is configured.

    Raises NoModelError for a name that no one knows, and where there is no default; what else is
    wrong (no key, no such server) is told when the model is first asked.

        model = llmtools.get_model("echo")
        model.prompt("hi").text()  # "hi"
    """
    return Model(_name(name, base_url), base_url=base_url, protocol=protocol, key=key)


def get_async_model(
    name: str | None = None, *, base_url: str | None = None, protocol: str | None = None, key: str | None = None
) -> AsyncModel:
    """Return a model to ask in asyncio, as `get_model` does."""
    return AsyncModel(_name(name, base_url), base_url=base_url, protocol=protocol, key=key)
