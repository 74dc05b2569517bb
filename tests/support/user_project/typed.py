"""What a type checker knows of the library. A line with `type: ignore` is one that it must refuse: a
checker that is told to complain of needless ones does, where it would not.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import llmtools
from llmtools import (
    AsyncResponse,
    Event,
    Message,
    Part,
    Response,
    ToolCall,
    ToolResult,
    Usage,
)


def upper(text: str) -> str:
    """Convert text to uppercase."""
    return text.upper()


class Shout(llmtools.Model):
    """A model of one's own."""

    model_id = "shout"

    def execute(
        self, prompt: llmtools.Prompt, stream: bool, response: Response, conversation: llmtools.Talk | None
    ) -> Iterator[str | llmtools.StreamEvent]:
        """Say it louder."""
        yield prompt.prompt.upper()


def sync() -> None:
    model = assert_type(llmtools.get_model("echo"), llmtools.Model)
    response = assert_type(model.prompt("hi", tools=[upper, {"name": "t"}], schema="name", top_k=3), Response)
    assert_type(response.text(), str)
    assert_type(response.stream_events(), Iterator[Event])
    assert_type(response.tool_calls(), list[ToolCall])
    assert_type(response.execute_tool_calls(), list[ToolResult])
    assert_type(response.messages(), list[Message])
    assert_type(response.messages()[0].parts, list[Part])
    assert_type(response.messages()[0].parts[0].arguments, dict[str, Any])
    assert_type(response.usage(), Usage)
    assert_type(response.finish_reason, str | None)
    assert_type(response.reply("more", options={"a": 1}), Response)
    assert_type(response.to_dict(), dict[str, Any])
    assert_type(model.chain("hi", chain_limit=3, tools=[llmtools.Tool.function(upper)]), llmtools.Chain)
    assert_type(model.conversation(system="s").prompt("hi"), Response)
    assert_type([chunk for chunk in response], list[str])
    assert_type(response.prompt.messages, list[Message])
    assert_type(response.prompt.tools, list[llmtools.Tool])
    assert_type(llmtools.TextPart("hi").text, str)
    assert_type(llmtools.Attachment(content=b"hi").content, bytes | None)
    log = llmtools.Log("talks.db")
    assert_type(log.put(response, name="greeting"), str)
    assert_type(log.get("greeting"), llmtools.Conversation)
    llmtools.register(Shout(), aliases=["loud"])
    assert_type(Shout().prompt("hi"), Response)
    model.prompt("hi", sytem="a slip of the pen")  # type: ignore[call-arg]
    model.prompt("hi", temperature="hot")  # type: ignore[arg-type]
    model.conversation().prompt("hi", tools=upper)  # type: ignore[arg-type]
    response.reply("hi", attachments=["photo.jpg"])  # type: ignore[list-item]
    llmtools.user(3)  # type: ignore[arg-type]
    llmtools.get_model(base_url=80)  # type: ignore[arg-type]


async def in_asyncio() -> None:
    model = assert_type(llmtools.get_async_model("echo"), llmtools.AsyncModel)
    response = assert_type(model.prompt("hi"), AsyncResponse)
    assert_type(await response, AsyncResponse)
    assert_type(await response.text(), str)
    assert_type(response.astream_events(), AsyncIterator[Event])
    assert_type([chunk async for chunk in response], list[str])
    assert_type(await response.reply("more"), AsyncResponse)
    assert_type(await model.chain("hi", tools=[upper]).text(), str)
    assert_type(model.conversation().prompt("hi"), AsyncResponse)
    response.text().upper()  # type: ignore[attr-defined]
    await model.prompt("hi", max_tokens=1.5)  # type: ignore[arg-type]


def streams() -> None:
    conversation = llmtools.Conversation.from_records([llmtools.user("hi")])
    longer = assert_type(conversation.appended(llmtools.assistant("ho")), llmtools.Conversation)
    for record in llmtools.read_stream():
        assert_type(record, dict[str, Any])
        llmtools.write_stream(record)
    for event in llmtools.stream(longer, model="echo"):
        assert_type(event, dict[str, Any])
    llmtools.get_model().prompt(messages=longer)
