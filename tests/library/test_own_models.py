"""Models of one's own: three lines in a test, sync and async, and what they may yield and raise."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import llmtools
from llmtools.errors import NoModelError, RequestError, UsageError
from llmtools.library import model_ref


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_ref, "_registered", {})


class Shout(llmtools.Model):
    model_id = "shout"

    def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[Any]:
        yield prompt.prompt.upper()


class AsyncShout(llmtools.AsyncModel):
    model_id = "shout"

    async def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        yield prompt.prompt.upper()


def test_it_is_asked_as_any_model_is() -> None:
    response = Shout().prompt("hi", system="s")
    assert [event.type for event in response.stream_events()] == ["start", "text", "end"]
    [message] = response.messages()
    told = message["response"]
    assert (message.text, told["model"], told["provider"], told["status"]) == ("HI", "shout", "shout", "ok")
    assert response.reply("more").text() == "MORE"

    async def run() -> str:
        return await (await AsyncShout().prompt("hi").reply("and more")).text()

    assert asyncio.run(run()) == "AND MORE"


def test_it_is_found_by_its_names() -> None:
    shout, later = Shout(), AsyncShout()
    llmtools.register(shout, aliases=["loud"])
    assert llmtools.get_model("loud") is llmtools.get_model("shout") is shout
    with pytest.raises(NoModelError, match="registered only for get_model"):
        llmtools.get_async_model("loud")
    llmtools.register(later)
    assert llmtools.get_async_model("shout") is later and llmtools.get_model("shout") is shout
    stored = shout.prompt("hi").to_dict()
    assert llmtools.Response.from_dict(stored).reply("more").text() == "MORE"
    for model_id in ("echo", ""):
        with pytest.raises(UsageError, match="cannot be registered"):
            llmtools.register(type("Other", (Shout,), {"model_id": model_id})())


def test_a_conversation_with_it_and_what_it_sees() -> None:
    class Counts(Shout):
        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[Any]:
            before = [] if conversation is None else [each.text() for each in conversation.responses]
            yield f"{len(before)} {response.prompt is prompt} {stream}"

    talk = Counts().conversation()
    assert [talk.prompt("a").text(), talk.prompt("b", stream=False).text()] == ["0 True True", "1 True False"]
    assert Counts().prompt("a").text() == "0 True True"


def test_what_is_not_in_order_gets_its_places() -> None:
    class Jumps(Shout):
        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Any:
            event = llmtools.StreamEvent
            return [
                event("text", "b", part_index=7),
                event("reasoning", "", redacted=True),
                event("text", "c", part_index=7),
                event("text", ""),
                event("tool_call_name", "one"),
                event("tool_call_args", '{"a":'),
                event("tool_call_args", "1}"),
                event("tool_call_name", "two"),
                {"type": "tool_call_args", "chunk": "{}"},
            ]

    response = Jumps().prompt("go")
    parts = response.messages()[0].parts
    assert [(part.type, part.get("text", part.get("arguments"))) for part in parts] == [
        ("text", "bc"),
        ("reasoning", ""),
        ("tool_call", {"a": 1}),
        ("tool_call", {}),
    ]
    assert [call.name for call in response.tool_calls()] == ["one", "two"]
    assert response.finish_reason == "tool_calls"


@pytest.mark.parametrize("is_async", [False, True])
def test_what_it_raises(is_async: bool) -> None:
    def raising(error: Exception) -> Any:
        class Fails(Shout):
            def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[Any]:
                yield "half"
                raise error

        class AsyncFails(AsyncShout):
            async def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> AsyncIterator[Any]:
                yield "half"
                raise error

        if not is_async:
            return Fails().prompt("hi"), lambda response: response.text()
        return AsyncFails().prompt("hi"), lambda response: asyncio.run(response.text())

    response, read = raising(llmtools.ModelError("the moon is full"))
    for _ in range(2):
        with pytest.raises(llmtools.ModelError, match="the moon is full"):
            read(response)
    assert response.error.details["model"] == "shout"
    assert response._state.messages[0].text == "half", "what came is kept"
    response, read = raising(ValueError("a slip"))
    with pytest.raises(ValueError, match="a slip"):
        read(response)
    with pytest.raises(llmtools.errors.CancelledError):
        read(response)


def test_what_it_may_not_yield() -> None:
    class Wrong(Shout):
        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[Any]:
            yield {"type": "text", "chunk": "hi", "provider_metadata": "not an object"}

    with pytest.raises(RequestError, match=r"execute: .*provider_metadata"):
        Wrong().prompt("hi").text()


def test_it_is_closed_when_nobody_reads_on() -> None:
    closed: list[str] = []

    class Endless(Shout):
        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[Any]:
            try:
                while True:
                    yield "more "
            finally:
                closed.append("sync")

    class AsyncEndless(AsyncShout):
        async def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> AsyncIterator[Any]:
            try:
                while True:
                    yield "more "
            finally:
                closed.append("async")

    response = Endless().prompt("hi")
    next(iter(response))
    response.close()
    assert closed == ["sync"] and response.error is not None

    async def run() -> None:
        response = AsyncEndless().prompt("hi")
        async for _ in response:
            break
        await response.aclose()

    asyncio.run(run())
    assert closed == ["sync", "async"]
    dropped = Endless().prompt("hi")
    next(iter(dropped))
    del dropped
    gc.collect()
    assert closed[2:] == ["sync"]


def test_what_it_does_not_support_is_refused() -> None:
    class Plain(Shout):
        supports_tools = supports_schema = supports_conversation = False

    with pytest.raises(UsageError, match="does not support tools"):
        Plain().prompt("hi", tools=[print_it])
    with pytest.raises(UsageError, match="does not support schemas"):
        Plain().prompt("hi", schema="name")
    with pytest.raises(llmtools.ConversationNotSupported):
        Plain().prompt("hi", messages=[llmtools.user("a"), llmtools.assistant("b")])
    with pytest.raises(llmtools.ConversationNotSupported):
        Plain().prompt("hi").reply("more").text()
    with pytest.raises(UsageError, match="takes none"):
        Plain().prompt("hi", attachments=[llmtools.Attachment(content=b"a")])


def print_it(text: str) -> None:
    """Print a text."""


def test_messages_name_python_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "config.toml").write_text("")
    monkeypatch.setenv("LLMTOOLS_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("LLMTOOLS_MODEL", raising=False)
    told = []
    for ask in (
        lambda: llmtools.get_model(),
        lambda: llmtools.get_model("no such model"),
        lambda: llmtools.get_model("echo").prompt("hi", schema="a b c"),
        lambda: llmtools.get_model("echo").prompt("hi", schema=" "),
        lambda: llmtools.get_model("echo").prompt(messages=[llmtools.user("a"), llmtools.assistant("b")]).text(),
        lambda: llmtools.get_model("echo").prompt("hi", options={"reasoning_effort": 3}).text(),
        lambda: llmtools.get_model("m", base_url="http://a:b@c").prompt("hi").text(),
    ):
        with pytest.raises(llmtools.LlmToolsError) as failed:
            ask()
        told.append(failed.value.message)
    assert not [message for message in told if " -" in f" {message}"], told
