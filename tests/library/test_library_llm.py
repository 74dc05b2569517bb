"""What the documentation of llm 0.32 shows of its Python API (messages, parts, events, tools, replies,
conversations, serialisation), run with `import llmtools as llm`: every case against a server that
speaks Chat or Anthropic, or against echo where no server matters. The examples are written afresh."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

import pytest

import llmtools as llm
from llmtools import assistant, system, user
from support.library import BOTH, CALLS, DOGS, async_model, chat_calls, describe_dog, model, script
from support.protocol_replies import answer
from support.server import Server

PNG = b"\x89PNG\r\n\x1a\n"


def upper(text: str) -> str:
    """Convert text to uppercase."""
    return text.upper()


def calls_upper(*texts: str) -> str:
    """What has echo call `upper`."""
    return script(*[("upper", {"text": text}) for text in texts])


def sent(server: Server, place: int = -1) -> str:
    return json.dumps(server.requests[place].json)


# Messages and parts


@BOTH
def test_messages_system_and_prompt_say_the_same(protocol: str) -> None:
    with Server(answer(protocol), answer(protocol), answer(protocol)) as server:
        asked = model(server, protocol)
        said = [system("You are a pirate."), user("France?"), assistant("Paris, matey."), user("And Germany?")]
        assert asked.prompt(messages=said).text() == "Hello you"
        assert asked.prompt("hi", system="Be brief.").text() == "Hello you"
        assert asked.prompt(messages=[system("Be brief."), user("hi")]).text() == "Hello you"
        assert server.requests[1].json == server.requests[2].json
        assert "pirate" in sent(server, 0) and "And Germany?" in sent(server, 0)


def test_fragments() -> None:
    response = llm.get_model("echo").prompt("why?", fragments=["one", "two"], system_fragments=["a"], system="b")
    assert [message["parts"][0]["text"] for message in response.prompt.messages] == ["a\n\nb", "one\ntwo\nwhy?"]


def test_parts_are_told_apart_and_can_be_changed() -> None:
    said = {"text": "there", "reasoning": "hm", "tool_calls": [{"name": "upper", "arguments": {"text": "a"}}]}
    [message] = llm.get_model("echo").prompt(json.dumps(said)).messages()
    reasoning, text, call = message.parts
    assert (reasoning.type, reasoning.text, text.text) == ("reasoning", "hm", "there")
    assert (call.type, call.name, call.arguments) == ("tool_call", "upper", {"text": "a"})
    assert type(message.to_dict()["parts"][1]) is dict
    again = llm.Message.from_dict(json.loads(json.dumps(message.to_dict())))
    assert again == message
    again.parts[1]["text"] = "changed"
    del again.parts[2]
    assert again.text == "changed" and message.text == "there"
    response = llm.get_model("echo").prompt("hi")
    response.messages()[0].parts[0]["text"] = "changed"
    assert response.text() == response.messages()[0].text == "hi"
    assert llm.get_model("echo").prompt(messages=[again, user("go on")]).text() == "go on"
    with pytest.raises(AttributeError):
        text.chunk = "a slip of the pen"


def test_messages_of_other_shapes() -> None:
    echo = llm.get_model("echo")
    assert echo.prompt(messages=[{"role": "user", "content": "hi"}]).text() == "hi"
    conversation = llm.Conversation.from_records([{"type": "tool", "name": "t", "input_schema": {}}, user("hi")])
    response = echo.prompt(messages=conversation)
    assert response.text() == "hi" and [tool.name for tool in response.prompt.tools] == ["t"]
    for wrong in ({"role": "user"}, {"role": "pirate", "parts": []}, {"type": "tool", "name": "t"}):
        with pytest.raises(llm.LlmToolsError, match=r"messages\[0\]"):
            echo.prompt(messages=[wrong])


@BOTH
def test_attachments_of_every_kind(protocol: str) -> None:
    with Server(answer(protocol)) as server:
        given = [llm.Attachment(content=PNG), llm.Attachment(url="https://a.example/b.png")]
        assert model(server, protocol).prompt("look", attachments=given).text() == "Hello you"
        assert base64.b64encode(PNG).decode() in sent(server) and "https://a.example/b.png" in sent(server)
    assert given[0].resolve_type() == "image/png" and given[0].content_bytes() == PNG
    assert given[0].base64_content() == base64.b64encode(PNG).decode()


# Events


@BOTH
def test_events_as_they_come(protocol: str) -> None:
    async def read(server: Server) -> list[llm.Event]:
        return [event async for event in async_model(server, protocol).prompt("hi").astream_events()]

    with Server(answer(protocol), answer(protocol)) as server:
        events = list(model(server, protocol).prompt("hi").stream_events())
        also = asyncio.run(read(server))
    for told in (events, also):
        assert "".join(event.chunk for event in told if event.type == "text") == "Hello you"
        assert {event.part_index for event in told if event.type == "text"} == {0 if protocol == "openai-chat" else 1}
        assert [told[0].type, told[-1].type] == ["start", "end"]


def test_reasoning_is_hidden_from_the_events_and_kept_in_the_message() -> None:
    asked = '{"reasoning": "hm", "text": "yes"}'
    response = llm.get_model("echo").prompt(asked, hide_reasoning=True)
    assert "reasoning" not in {event.type for event in response.stream_events()}
    assert response.messages()[0].parts[0].type == "reasoning"


def test_callbacks_when_it_is_done() -> None:
    seen: list[Any] = []
    response = llm.get_model("echo").prompt("hi")
    response.on_done(lambda response: seen.append(response.usage().output))
    assert (seen, response.text(), seen) == ([1], "hi", [1])
    response.on_done(lambda response: seen.append(response.text()))
    assert seen == [1, "hi"]

    async def run() -> None:
        async def done(response: llm.AsyncResponse) -> None:
            seen.append(await response.text())

        response = llm.get_async_model("echo").prompt("ho")
        await response.on_done(done)
        assert await response.text() == "ho"

    asyncio.run(run())
    assert seen[2:] == ["ho"]


# Tools


@BOTH
def test_calls_results_and_reply(protocol: str) -> None:
    with Server(CALLS[protocol](*DOGS), answer(protocol), answer(protocol)) as server:
        response = model(server, protocol).prompt("Invent 2 dogs", tools=[describe_dog])
        assert response.tool_calls()[0] == llm.ToolCall("describe_dog", {"name": "Rex", "bio": "old"}, "c1")
        follow_up = response.reply()
        assert follow_up.text() == "Hello you"
        assert "Rex: old" in sent(server) and "Ida: new" in sent(server)
        results = response.execute_tool_calls()
        results[0].output = "REX"
        assert response.reply("translate it", tool_results=results).text() == "Hello you"
        assert "REX" in sent(server) and "Rex: old" not in sent(server) and "translate it" in sent(server)


@BOTH
def test_a_reply_with_words_of_every_kind(protocol: str) -> None:
    with Server(*[answer(protocol)] * 3) as server:
        first = model(server, protocol).prompt("hi", system="Be brief", temperature=0.5, max_tokens=9)
        image = llm.Attachment(content=PNG)
        second = first.reply("look", attachments=[image], fragments=["before"], system="Be long")
        assert second.text() == "Hello you"
        assert "Be long" in sent(server) and "Be brief" not in sent(server)
        assert base64.b64encode(PNG).decode() in sent(server) and "before\\nlook" in sent(server)
        assert server.requests[1].json["temperature"] == 0.5, "options are kept"
        third = second.reply("again", max_tokens=7)
        assert third.text() == "Hello you"
    assert third.prompt.options == {"temperature": 0.5, "max_tokens": 7}
    assert second.reply(options={}).prompt.options == {}


def test_hooks_around_a_call() -> None:
    told: list[str] = []

    def before(tool: llm.Tool | None, call: llm.ToolCall) -> None:
        told.append(f"before {tool.name if tool else 'nothing'} {call.name}")
        if "bad" in repr(call.arguments):
            raise llm.CancelToolCall("Not allowed")

    def after(tool: llm.Tool, call: llm.ToolCall, result: llm.ToolResult) -> None:
        told.append(f"after {tool.name} {result.output}")

    asked = script(("upper", {"text": "panda"}), ("upper", {"text": "badger"}), ("lower", {}))
    chain = llm.get_model("echo").chain(asked, tools=[upper], before_call=before, after_call=after)
    assert chain.text() == "PANDA\n\n"
    assert told == ["before upper upper", "after upper PANDA", "before upper upper", "before nothing lower"]
    results = next(iter(chain.responses())).execute_tool_calls(before_call=before)
    assert results[1].output == "Cancelled: Not allowed" and type(results[1].exception) is llm.CancelToolCall
    assert [result.part().exception for result in results] == [
        None,
        "cancelled: Not allowed",
        "the tool lower was not offered",
    ]

    async def run() -> None:
        async def waits(tool: llm.Tool | None, call: llm.ToolCall) -> None:
            await asyncio.sleep(0)
            before(tool, call)

        chain = llm.get_async_model("echo").chain(asked, tools=[upper], before_call=waits, after_call=after)
        assert await chain.text() == "PANDA\n\n"

    told.clear()
    asyncio.run(run())
    assert sorted(told) == ["after upper PANDA", "before nothing lower", "before upper upper", "before upper upper"]


def test_a_tool_is_given_its_call() -> None:
    def lookup(name: str, llm_tool_call: llm.ToolCall) -> str:
        """Look up a name."""
        return f"{name} by {llm_tool_call.tool_call_id}"

    tool = llm.Tool.function(lookup)
    assert list(tool.input_schema["properties"]) == tool.input_schema["required"] == ["name"]
    response = llm.get_model("echo").prompt(script(("lookup", {"name": "ida"})), tools=[lookup])
    [call] = response.tool_calls()
    assert call.tool_call_id and response.execute_tool_calls()[0].output == f"ida by {call.tool_call_id}"


@BOTH
def test_a_tool_returns_attachments(protocol: str) -> None:
    def describe_dog(name: str, bio: str) -> llm.ToolOutput:
        """Draw a dog."""
        return llm.ToolOutput(output="drawn", attachments=[llm.Attachment(content=PNG, mimetype="image/png")])

    with Server(CALLS[protocol](DOGS[0]), answer(protocol)) as server:
        response = model(server, protocol).prompt("Draw", tools=[describe_dog])
        assert response.reply().text() == "Hello you"
        assert base64.b64encode(PNG).decode() in sent(server) and "drawn" in sent(server)


def test_a_coroutine_is_a_tool_of_any_program() -> None:
    async def hello(name: str) -> str:
        """Say hello."""
        await asyncio.sleep(0.001)
        return f"Hello {name}"

    def say() -> str:
        return llm.get_model("echo").chain(script(("hello", {"name": "Percival"})), tools=[hello]).text()

    async def inside() -> str:
        return say()

    assert say() == asyncio.run(inside()) == "Hello Percival"


class Memory(llm.Toolbox):
    _memory: dict[str, str] | None = None
    limit = 3

    class Odd:
        """No tool."""

    def _get_memory(self) -> dict[str, str]:
        if self._memory is None:
            self._memory = {}
        return self._memory

    def set(self, key: str, value: str) -> None:
        "Set something as a key"
        self._get_memory()[key] = value

    def get(self, key: str) -> str:
        "Get something from a key"
        return self._get_memory().get(key) or ""

    def prepare(self) -> None:
        def top(self: Memory) -> str:
            return f"{self.limit} of {upper('me')}"

        self.add_tool(upper)
        self.add_tool(top, pass_self=True)

    async def prepare_async(self) -> None:
        self.prepare()


def test_a_toolbox_keeps_what_it_is_told() -> None:
    memory = Memory()
    talk = llm.get_model("echo").conversation(tools=[memory])
    seen: list[str] = []
    set_name = script(("Memory_set", {"key": "name", "value": "Simon"}))
    talk.chain(set_name, after_call=lambda tool, call, result: seen.append(tool.name)).text()
    assert (memory._memory, seen) == ({"name": "Simon"}, ["Memory_set"])
    assert talk.chain(script(("Memory_get", {"key": "name"}))).text() == "Simon"
    assert talk.chain(script(("upper", {"text": "x"}))).text() == "X", "prepare added it, once"
    assert talk.chain(script(("top", {}))).text() == "3 of ME"
    assert len(talk.responses) == 8
    assert [tool.name for tool in memory.tools()] == ["Memory_set", "Memory_get", "upper", "top"]

    async def run() -> str:
        return await llm.get_async_model("echo").chain(script(("upper", {"text": "y"})), tools=[Memory]).text()

    assert asyncio.run(run()) == "Y"


def test_a_tool_pauses_and_the_chain_goes_on_later() -> None:
    approved = False

    def delete(path: str) -> str:
        if not approved:
            raise llm.PauseChain("waiting for approval")
        return f"deleted {path}"

    asked = script(("upper", {"text": "a"}), ("delete", {"path": "b"}), ("upper", {"text": "c"}))
    echo = llm.get_model("echo")
    chain = echo.chain(asked, tools=[upper, delete])
    with pytest.raises(llm.PauseChain) as paused:
        chain.text()
    [response] = chain._responses
    assert paused.value.tool_call is not None and paused.value.tool_call.name == "delete"
    assert [result.output for result in paused.value.tool_results] == ["A"], "in order: the last was not begun"
    history = [*response.prompt.messages, *response.messages(), llm.tool_message(*paused.value.tool_results)]
    approved = True
    ran: list[str] = []
    later = echo.chain(
        messages=json.loads(json.dumps(history)),
        tools=[upper, delete],
        after_call=lambda tool, call, result: ran.append(result.output),
    )
    assert ran == [], "nothing is done before something is read"
    later.text()
    assert ran == ["deleted b", "C"]
    moved_on = echo.chain("never mind", messages=history, tools=[upper, delete], after_call=print)
    assert [message["role"] for message in moved_on._first.prompt.messages][-1] == "user"

    async def run() -> None:
        nonlocal approved
        approved = False
        asked_again = llm.get_async_model("echo").chain(asked, tools=[upper, delete])
        with pytest.raises(llm.PauseChain) as paused:
            await asked_again.text()
        assert [result.output for result in paused.value.tool_results] == ["A", "C"], "the others are finished"

    asyncio.run(run())


@BOTH
def test_a_chain_begins_with_the_calls_that_are_open(protocol: str) -> None:
    with Server(CALLS[protocol](*DOGS), answer(protocol)) as server:
        asked = model(server, protocol)
        response = asked.prompt("Invent 2 dogs", tools=[describe_dog])
        [first, _] = response.execute_tool_calls()
        history = [*response.prompt.messages, *response.messages(), llm.tool_message(first)]
        assert asked.chain(messages=history, tools=[describe_dog]).text() == "Hello you"
        assert sent(server).index("Rex: old") < sent(server).index("Ida: new")
        assert sent(server).count("Rex: old") == 1


def test_a_call_with_invalid_json_gets_a_result() -> None:
    with Server(chat_calls(("c1", "describe_dog", '{"name": "Re')), answer("openai-chat")) as server:
        response = model(server, "openai-chat").prompt("Invent", tools=[describe_dog])
        assert response.reply().text() == "Hello you"
        [call] = response.tool_calls()
        assert call.exception
        assert server.requests[1].json["messages"][-1]["tool_call_id"] == "c1"


def test_a_call_that_the_length_limit_may_have_cut_is_not_run() -> None:
    """Cut off before its arguments, it looks like one that has none."""
    ran: list[int] = []

    def add(number: int = 7) -> str:
        ran.append(number)
        return str(number)

    def results(*arguments: dict[str, int]) -> list[Any]:
        said = {"tool_calls": [{"name": "add", "arguments": each} for each in arguments], "finish_reason": "length"}
        return llm.get_model("echo").prompt(json.dumps(said), tools=[add]).execute_tool_calls()

    first, last = results({}, {})
    assert (first.output, "length limit" in str(last.exception)) == ("7", True)
    assert results({"number": 1})[0].output == "1", "arguments that parse were not cut off"
    assert ran == [7, 1]


def test_a_tool_that_nobody_runs_here() -> None:
    tool = llm.Tool("far", "Is elsewhere.", {"type": "object", "properties": {}})
    [result] = llm.get_model("echo").prompt(script(("far", {})), tools=[tool]).execute_tool_calls()
    assert str(result.exception) == "the tool far cannot be run here"


# Conversations


@BOTH
def test_a_conversation_with_tools_and_attachments(protocol: str) -> None:
    with Server(CALLS[protocol](*DOGS), *[answer(protocol)] * 3) as server:
        talk = model(server, protocol).conversation(tools=[describe_dog], system="Be brief")
        assert talk.chain("Invent 2 dogs").text() == "Three dogs: Hello you"
        assert talk.prompt("Same again", attachments=[llm.Attachment(content=PNG)]).text() == "Hello you"
        assert talk.prompt("And again", system="Be long").text() == "Hello you"
        assert len(talk.responses) == 4
        assert "Rex: old" in sent(server) and "Same again" in sent(server) and "Be brief" not in sent(server)
        assert server.requests[-1].json["tools"] == server.requests[0].json["tools"]


def test_a_conversation_goes_on_after_a_failure() -> None:
    talk = llm.get_model("echo").conversation(system="Be brief")
    assert talk.prompt("one").text() == "one"
    with pytest.raises(llm.LlmToolsError):
        talk.prompt('{"error": {"code": "overloaded"}}').text()
    assert talk.prompt("two").text() == "two"
    roles = [message["role"] for message in talk.responses[-1].prompt.messages]
    assert roles == ["system", "user", "assistant", "user"]


def test_a_conversation_in_asyncio() -> None:
    async def run() -> list[str]:
        talk = llm.get_async_model("echo").conversation(tools=[upper])
        first = talk.prompt("one")
        second = talk.prompt("two")
        texts = [await second.text(), await first.text(), await talk.chain(calls_upper("x")).text()]
        assert [message["role"] for message in second.prompt.messages] == ["user", "assistant", "user"]
        return [*texts, "".join([chunk async for chunk in talk.prompt("three")])]

    assert asyncio.run(run()) == ["two", "one", "X", "three"]


# Schemas, keys, serialisation


@BOTH
def test_schemas_of_every_kind(protocol: str) -> None:
    from pydantic import BaseModel

    class Dog(BaseModel):
        name: str
        age: int

    given: list[Any] = [Dog, Dog.model_json_schema(), "name, age int", llm.schema_dsl("name, age int")]
    with Server(*[answer(protocol)] * 4) as server:
        for schema in given:
            model(server, protocol).prompt("Describe a dog", schema=schema).text()
        assert all('"age"' in sent(server, place) for place in range(4))
        assert server.requests[2].json == server.requests[3].json
    assert list(llm.schema_dsl("name", multi=True)["properties"]) == ["items"]


@BOTH
def test_a_key_is_sent_and_shown_nowhere(protocol: str) -> None:
    with Server(*[answer(protocol)] * 3) as server:
        asked = llm.get_model("m", base_url=server.origin, protocol=protocol)
        first = asked.prompt("hi", key="sk-secret")
        assert first.text() == "Hello you"
        assert first.reply("more").text() == "Hello you"
        asked.key = "sk-secret"
        assert asked.prompt("hi").text() == "Hello you"
        assert ["sk-secret" in request.head.decode() for request in server.requests] == [True] * 3
        shown = f"{first!r} {first.prompt!r} {asked!r} {json.dumps(first.to_dict())}"
        assert "sk-secret" not in shown


def test_a_failure_is_stored_with_what_came() -> None:
    response = llm.get_model("echo").prompt('{"text": "half", "error": {"code": "overloaded"}}')
    kept = json.loads(json.dumps(response.to_dict()))
    again = llm.Response.from_dict(kept)
    assert type(again.error) is type(response.error) and again.to_dict() == kept
    chunks = []
    with pytest.raises(llm.LlmToolsError, match=str(response.error)):
        for chunk in again:
            chunks.append(chunk)
    assert "".join(chunks) == "half" and again.messages()[0].text == "half"


def test_a_stored_response_has_its_events_again() -> None:
    asked = '{"reasoning": "hm", "text": "yes", "tool_calls": [{"name": "t", "arguments": {"a": 1}}]}'
    again = llm.Response.from_dict(llm.get_model("echo").prompt(asked).to_dict())
    kinds = [event.type for event in again.stream_events()]
    assert kinds == ["reasoning", "text", "tool_call_name", "tool_call_args"]
    assert (again.reasoning(), list(again), again.finish_reason) == ("hm", ["yes"], "tool_calls")


def test_a_conversation_that_begins_with_open_calls() -> None:
    asked = llm.get_model("echo").prompt(calls_upper("a"), tools=[upper])
    history = [*asked.prompt.messages, *asked.messages()]
    talk = llm.get_model("echo").conversation(messages=history, tools=[upper])
    assert talk.chain().text() == "A"
    assert talk.chain(calls_upper("b")).text() == "B"
    assert talk.prompt("c").text() == "c"
    roles = "".join(message["role"][0] for message in talk.responses[-1].prompt.messages)
    assert roles == "uatauatau", "each turn behind the other, no call run twice"


def test_json_without_a_schema_is_what_is_known_of_the_reply() -> None:
    told = llm.get_model("echo").prompt("3 names for an otter").json()
    assert told["parts"] == [{"type": "text", "text": "3 names for an otter"}]
    assert told["response"]["model"] == "echo" and type(told) is dict


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
ASKED = {"schema": SCHEMA, "options": {"temperature": 0.5, "seed": 1}}


@BOTH
def test_a_message_says_how_it_wants_to_be_answered(protocol: str) -> None:
    def schema_of(place: int) -> bool:
        return '"required": ["age"]' in sent(server, place)

    with Server(*[answer(protocol)] * 5) as server:
        asked, said = model(server, protocol), {**user("hi"), "request": {**ASKED, "unknown": 1}}
        first = asked.prompt(messages=[said], seed=2)
        assert first.text() == "Hello you" and schema_of(0)
        assert server.requests[0].json["temperature"] == 0.5, "as the message says"
        with pytest.raises(llm.LlmToolsError, match="the answer"):
            first.json()
        first.reply(messages=[llm.user("more")]).text()
        assert not schema_of(1), "it holds until the next user message"
        asked.prompt(messages=[said, assistant("ho"), user("more")], temperature=1.0).text()
        assert not schema_of(2) and server.requests[2].json["temperature"] == 1.0
        asked.prompt(messages=[said], temperature=1.0, schema="name").text()
        assert not schema_of(3) and server.requests[3].json["temperature"] == 1.0, "what is given comes first"
        asyncio.run(run(async_model(server, protocol).prompt(messages=[said])))
        assert schema_of(4)


async def run(response: llm.AsyncResponse) -> str:
    return await response.text()


def test_a_message_with_a_request_of_unknown_fields_is_sent() -> None:
    said = {**user("hi"), "request": {"unknown": 1, "reasoning": "low"}}
    records = list(llm.stream([said], model="echo"))
    assert records[0]["request"] == {"reasoning": "low"}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_toolbox_is_made_ready_before_calls_that_are_open(is_async: bool) -> None:
    asked = llm.get_model("echo").prompt(calls_upper("a"), tools=[upper])
    history = [*asked.prompt.messages, *asked.messages()]
    kept = asked.to_dict()

    async def aboth() -> list[str]:
        chain = llm.get_async_model("echo").chain(messages=history, tools=[Memory()])
        reply = await llm.AsyncResponse.from_dict(kept).reply(tools=[Memory()])
        return [await chain.text(), await reply.text()]

    def both() -> list[str]:
        chain = llm.get_model("echo").chain(messages=history, tools=[Memory()])
        return [chain.text(), llm.Response.from_dict(kept).reply(tools=[Memory()]).text()]

    assert (asyncio.run(aboth()) if is_async else both()) == ["A", "A"]


DONE = llm.get_model("echo").prompt("hi").to_dict()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({**DONE, "model": 3}, "it names no model"),
        ("x", "it names no model"),
        ({**DONE, "prompt": 3}, "prompt: must be an object"),
        ({**DONE, "prompt": {"messages": [3]}}, r"messages\[0\]: must be a message"),
        ({**DONE, "prompt": {"options": 3}}, "options must be an object"),
        ({**DONE, "prompt": {"tools": [{}]}}, "name is missing"),
        ({**DONE, "messages": "x"}, "messages: must be a list"),
        ({**DONE, "error": 3}, "error: must be an object"),
        ({**DONE, "error": {}}, "error: code is missing"),
    ],
)
def test_what_no_to_dict_gave_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(llm.errors.InputError, match=told):
        llm.Response.from_dict(wrong)
    with pytest.raises(llm.errors.InputError, match=told):
        llm.AsyncResponse.from_dict(wrong)


@BOTH
def test_results_without_an_id_answer_the_calls_of_their_name(protocol: str) -> None:
    """As histories of older programs have them: nothing is run again, and each goes out with its call."""
    calls: list[Any] = [{"type": "tool_call", "name": "upper", "arguments": {"text": text}} for text in "ab"]
    results = [{"type": "tool_result", "name": "upper", "output": output} for output in "AB"]
    later = [{**calls[0], "tool_call_id": "c"}, {**calls[0], "name": "other"}, calls[1]]
    ran: list[str] = []
    said = [user("x"), assistant(*calls), llm.tool_message(*results), assistant(*later), llm.tool_message(results[0])]

    def upper(text: str) -> str:
        ran.append(text)
        return text.upper()

    with Server(*[answer(protocol)] * 2) as server:
        model(server, protocol).chain(messages=said[:3], tools=[upper]).text()
        model(server, protocol).chain(messages=said, tools=[upper]).text()
        told = [request.json["messages"] for request in server.requests]
    assert ran == ["b"], "only the last is open, and runs"
    for messages in told:
        ids = re.findall(r'"(?:id|tool_call_id|tool_use_id)": "([^"]+)"', json.dumps(messages))
        assert ids and {ids.count(each) for each in ids} == {2}, "each call has one result"
