"""Models by name, and conversations with them.

    model = llmtools.get_model("openai/gpt-5.5")
    print(model.prompt("Capital of France?").text())

Rules:
* A name is looked up, and its key found, when the model is first asked.
* `chain` asks, runs the tools that the model calls, and asks again, until there are no calls.
"""

from __future__ import annotations

from typing import Any

from .errors import LlmToolsError
from .prompt import made
from .providers import is_built_in
from .request import Secret, Target
from .response import AsyncResponse, Response
from .values import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CHAIN_LIMIT = 10
"""How often a chain asks again with the results of tools."""


class Named:
    """A model by its name, or what a server at `base_url` calls it."""

    def __init__(
        self, model_id: str, *, base_url: str | None = None, protocol: str | None = None, key: str | None = None
    ) -> None:
        self.model_id = model_id
        self._place = (base_url, protocol)
        self._key = key

    def target(self, key: str | None = None) -> Target:
        """Return where it is asked. Raises NoModelError, NoKeyError, ConfigError, UsageError."""
        base_url, protocol = self._place
        secret = Secret(key or self._key or "") if key or self._key else None
        if base_url is not None:
            from .providers import at

            return Target(self.model_id, self.model_id, at(base_url, protocol, secret))
        from .send import target_of

        return target_of(self.model_id, secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model_id}>"


class Model(Named):
    """A model to ask. See `get_model`."""

    def prompt(self, prompt: str | None = None, **asked: Any) -> Response:
        """Return the response to a prompt; nothing is sent before it is read.

        messages: a conversation (messages, as `user` and its like make them); system: a system
        message before it; attachments: files to go with the prompt; fragments: texts before it;
        tools: functions, Toolboxes, tool records; tool_results; schema: a JSON Schema, a
        pydantic model, or the short form "name, age int"; options: of the model, by name (any other
        keyword is one too); reasoning: none, low, medium, high …; tool_choice; stream; key;
        limits: a `Limits`.

        Raises UsageError where there is nothing to ask.
        """
        return Response(made(self, prompt, **asked))

    def chain(self, prompt: str | None = None, *, chain_limit: int = CHAIN_LIMIT, **asked: Any) -> Chain:
        """Return the responses to a prompt and to the results of the tools that it calls."""
        return Chain(self.prompt(prompt, **asked), chain_limit)

    def conversation(self, **settings: Any) -> Talk:
        """Return a conversation that remembers its turns; `settings` (tools, system …) hold for all."""
        return Talk(self, settings)


class AsyncModel(Named):
    """A model to ask in asyncio. See `get_async_model`."""

    def prompt(self, prompt: str | None = None, **asked: Any) -> AsyncResponse:
        """Return the response to a prompt, as `Model.prompt` does."""
        return AsyncResponse(made(self, prompt, **asked))

    def chain(self, prompt: str | None = None, *, chain_limit: int = CHAIN_LIMIT, **asked: Any) -> AsyncChain:
        """Return the responses to a prompt and to the results of the tools that it calls."""
        return AsyncChain(self.prompt(prompt, **asked), chain_limit)

    def conversation(self, **settings: Any) -> AsyncTalk:
        """Return a conversation that remembers its turns."""
        return AsyncTalk(self, settings)


class Talk:
    """A conversation with a model, turn by turn; `responses` are those so far."""

    def __init__(self, model: Model, settings: dict[str, Any]) -> None:
        self.model = model
        self.responses: list[Response] = []
        self._settings = settings

    def prompt(self, prompt: str | None = None, **asked: Any) -> Response:
        """Return the response to the next turn. The turn before is read to its end first."""
        if not self.responses:
            response = self.model.prompt(prompt, **{**self._settings, **asked})
        else:
            attachments = asked.pop("attachments", ())
            said = [_user(prompt, attachments)] if attachments else []
            response = self.responses[-1].reply(None if attachments else prompt, messages=said, **asked)
        self.responses.append(response)
        return response


class AsyncTalk:
    """As `Talk`, for asyncio: `await conversation.prompt(…)` gives the response."""

    def __init__(self, model: AsyncModel, settings: dict[str, Any]) -> None:
        self.model = model
        self.responses: list[AsyncResponse] = []
        self._settings = settings

    async def prompt(self, prompt: str | None = None, **asked: Any) -> AsyncResponse:
        """Return the response to the next turn. The turn before is read to its end first."""
        if not self.responses:
            response = self.model.prompt(prompt, **{**self._settings, **asked})
        else:
            attachments = asked.pop("attachments", ())
            said = [_user(prompt, attachments)] if attachments else []
            response = await self.responses[-1].reply(None if attachments else prompt, messages=said, **asked)
        self.responses.append(response)
        return response


def _user(prompt: str | None, attachments: Any) -> dict[str, Any]:
    from .values import user

    return user(*([prompt] if prompt else []), *attachments)


def _end(limit: int) -> LlmToolsError:
    return LlmToolsError(f"the model still calls tools after {limit} rounds (chain_limit)")


class Chain:
    """The responses to one prompt, with the results of tools between them.

    Raises LlmToolsError where the model still calls tools when the limit is reached.
    """

    def __init__(self, first: Response, limit: int) -> None:
        self._first = first
        self._limit = limit
        self._responses: list[Response] = []

    def responses(self) -> Iterator[Response]:
        """Yield the responses, each before it is read."""
        place = 0
        while True:
            if place == len(self._responses) and not self._follow():
                return
            yield self._responses[place]
            place += 1

    def _follow(self) -> bool:
        """Ask again where the last response made calls; return whether there is one more."""
        if not self._responses:
            self._responses.append(self._first)
            return True
        if not self._responses[-1].tool_calls():
            return False
        if len(self._responses) > self._limit:
            raise _end(self._limit)
        self._responses.append(self._responses[-1].reply())
        return True

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


class AsyncChain:
    """As `Chain`, for asyncio."""

    def __init__(self, first: AsyncResponse, limit: int) -> None:
        self._first = first
        self._limit = limit
        self._responses: list[AsyncResponse] = []

    async def responses(self) -> AsyncIterator[AsyncResponse]:
        """Yield the responses, each before it is read."""
        place = 0
        while True:
            if place == len(self._responses) and not await self._follow():
                return
            yield self._responses[place]
            place += 1

    async def _follow(self) -> bool:
        if not self._responses:
            self._responses.append(self._first)
            return True
        if not await self._responses[-1].tool_calls():
            return False
        if len(self._responses) > self._limit:
            raise _end(self._limit)
        self._responses.append(await self._responses[-1].reply())
        return True

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


def _name(name: str | None, base_url: str | None) -> str:
    """Return the name that is given, or the default. Raises NoModelError for one that no one knows."""
    if not name:
        from .conversation import Conversation
        from .send import choose_model

        name = choose_model(None, Conversation(), is_elsewhere=base_url is not None)
    if base_url is None and not is_built_in(name):
        from .config import read
        from .target import split

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
