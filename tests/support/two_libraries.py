"""Models of one's own for llm and for llmtools alike, so that one test can run with both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"


class Fakes:
    """Two models, one for each colour, that say what the test wants next. `library` is llm or llmtools.

    replies: a text, a list of calls (name, arguments, id), or a list of events. prompts: what was asked.
    """

    def __init__(self, name: str, model_id: str = "fake") -> None:
        self.library: Any = import_module(name)
        self.replies: list[Any] = []
        self.prompts: list[Any] = []
        self.keys: list[str | None] = []
        self.sync, self.asynchronous = make_models(self, model_id)

    def says(self, *replies: Any) -> Any:
        """Note the next replies; return the model."""
        self.replies[:] = replies
        return self.sync

    def asays(self, *replies: Any) -> Any:
        """As `says`, for asyncio."""
        self.replies[:] = replies
        return self.asynchronous

    def pieces(self, prompt: Any, response: Any) -> Iterator[Any]:
        """Yield the next reply, as `execute` does, in two pieces if it is a text."""
        self.prompts.append(prompt)
        reply = self.replies.pop(0)
        response.set_usage(input=3, output=2, details={"deep": {"is": [1]}})
        response.response_json = {"raw": True}
        if isinstance(reply, str):
            yield reply[: len(reply) // 2]
            yield reply[len(reply) // 2 :]
            return
        for each in reply:
            if isinstance(each, tuple):
                response.add_tool_call(self.library.ToolCall(*each))
            else:
                yield each


def make_models(fakes: Fakes, name: str) -> tuple[Any, Any]:
    library = fakes.library

    class Settings:
        model_id = name
        can_stream = supports_tools = supports_schema = True
        attachment_types = frozenset(["image/png"])
        needs_key = "fake"
        key_env_var = "FAKE_KEY"

        class Options(library.Options):  # type: ignore[misc, name-defined]
            temperature: float | None = None
            words: int = 10

    class Fake(Settings, library.KeyModel):  # type: ignore[misc, name-defined]
        def execute(
            self, prompt: Any, stream: bool, response: Any, conversation: Any, key: str | None = None
        ) -> Iterator[Any]:
            fakes.keys.append(key)
            yield from fakes.pieces(prompt, response)

    class AsyncFake(Settings, library.AsyncKeyModel):  # type: ignore[misc, name-defined]
        async def execute(
            self, prompt: Any, stream: bool, response: Any, conversation: Any, key: str | None = None
        ) -> AsyncIterator[Any]:
            fakes.keys.append(key)
            for piece in fakes.pieces(prompt, response):
                yield piece

    return Fake(), AsyncFake()


def register(fakes: Fakes, *aliases: str) -> Callable[[], object]:
    """Give the models their names; return what takes the names away."""
    library: Any = fakes.library
    if library.__name__ == "llmtools":
        library.register(fakes.sync, fakes.asynchronous, aliases=aliases)
        registered = import_module("llmtools.library.model_ref")._registered
        return lambda: [registered.pop(name) for name in (fakes.sync.model_id, *aliases)]

    class Plugin:
        @library.hookimpl  # type: ignore[untyped-decorator]
        def register_models(self, register: Any) -> None:
            register(fakes.sync, fakes.asynchronous, aliases=aliases)

    plugin, plugins = Plugin(), import_module("llm.plugins").pm
    plugins.register(plugin, name="fakes")
    return lambda: plugins.unregister(plugin)
