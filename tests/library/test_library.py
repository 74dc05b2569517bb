"""The Python library: prompts, events, tools, replies and serialisation, sync and async, against a
scripted server that speaks Chat or Anthropic."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import llmtools as llm
from llmtools import Event, LlmToolsError, Message
from llmtools.errors import (
    CancelledError,
    InputError,
    KeyRefusedError,
    NoModelError,
    TruncatedError,
    UsageError,
)
from llmtools.http.request import Limits
from support.harness import Shell
from support.library import (
    BOTH,
    CALLS,
    DOGS,
    async_model,
    chat_calls,
    describe_dog,
    model,
    script,
    timeless,
)
from support.protocol_replies import PROTOCOLS, answer
from support.server import Close, Server, head

FAST = Limits(retries=0)


# What the announcement shows


@BOTH
def test_a_prompt_and_its_chunks(protocol: str) -> None:
    with Server(answer(protocol), answer(protocol)) as server:
        response = model(server, protocol).prompt("hi", system="Be brief", stream=True)
        assert server.requests == [], "nothing is sent before something is read"
        assert list(response) == ["Hello", " you"]
        assert str(response) == response.text() == "Hello you"
        assert list(response) == ["Hello", " you"], "it can be read twice"
        assert len(server.requests) == 1
        assert "Be brief" in json.dumps(server.only.json)
        assert response.usage().input == 3 and response.usage().output == 2
        assert response.finish_reason == "stop"
        [message] = response.messages()
        assert message.role == "assistant"
        assert message.parts[-1].type == "text" and message.parts[-1].text == "Hello you"


@BOTH
def test_messages(protocol: str) -> None:
    with Server(answer(protocol), answer(protocol)) as server:
        said = [llm.user("Capital of France?"), llm.assistant("Paris"), llm.user("Germany?")]
        response = model(server, protocol).prompt(messages=said)
        assert response.text() == "Hello you"
        reply = response.reply("Hungary?")
        assert reply.text() == "Hello you"
        first, second = (request.json["messages"] for request in server.requests)
    assert [message["role"] for message in first] == ["user", "assistant", "user"]
    assert [message["role"] for message in second] == ["user", "assistant", "user", "assistant", "user"]
    assert "Hungary?" in json.dumps(second[-1])
    if protocol == "anthropic":
        assert second[3]["content"][0]["signature"] == "CANARY", "what was signed goes back"


@BOTH
def test_streaming_events_and_tools(protocol: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Server(CALLS[protocol](*DOGS), answer(protocol)) as server:
        response = model(server, protocol).prompt("Invent 2 dogs", tools=[describe_dog])
        for event in response.stream_events():
            if event.type == "text":
                print(event.chunk, end="", flush=True)
            elif event.type == "tool_call_name":
                print(f"\nTool call: {event.chunk}(", end="", flush=True)
            elif event.type == "tool_call_args":
                print(event.chunk, end="", flush=True)
        printed = capsys.readouterr().out
        assert printed.startswith("Three dogs: \nTool call: describe_dog(")
        assert printed.count("describe_dog(") == 2
        assert [(call.name, call.arguments["name"]) for call in response.tool_calls()] == [
            ("describe_dog", "Rex"),
            ("describe_dog", "Ida"),
        ]
        assert [result.output for result in response.execute_tool_calls()] == ["Rex: old", "Ida: new"]
        assert response.reply("Tell me about them").text() == "Hello you"
        offered, sent = server.requests[0].json["tools"], json.dumps(server.requests[1].json)
        assert server.requests[1].json["tools"] == offered, "tools are kept"
    assert sent.index("Rex: old") < sent.index("Ida: new") < sent.index("Tell me about them")


@BOTH
def test_a_chain(protocol: str) -> None:
    with Server(CALLS[protocol](*DOGS), answer(protocol)) as server:
        chain = model(server, protocol).chain("Invent 2 dogs", tools=[describe_dog])
        assert chain.text() == "Three dogs: Hello you"
        assert chain.text() == "Three dogs: Hello you"
        assert [response.finish_reason for response in chain.responses()] == ["tool_calls", "stop"]
        assert len(server.requests) == 2


def test_a_chain_has_a_limit() -> None:
    with Server(*[chat_calls(*DOGS)] * 5) as server:
        chain = model(server, "openai-chat").chain("go on", tools=[describe_dog], chain_limit=2)
        with pytest.raises(LlmToolsError, match="after 2 rounds"):
            chain.text()
        assert len(server.requests) == 3


@BOTH
def test_serialisation(protocol: str) -> None:
    with Server(CALLS[protocol](*DOGS), answer(protocol)) as server:
        asked = model(server, protocol)
        response = asked.prompt("Invent 2 dogs", tools=[describe_dog], temperature=0.5, schema="name")
        kept = json.dumps(response.to_dict())
        again = llm.Response.from_dict(json.loads(kept), model=asked)
        assert again.to_dict() == json.loads(kept)
        assert again.text() == "Three dogs: " and list(again) == ["Three dogs: "]
        assert again.finish_reason == "tool_calls"
        assert again.usage() == response.usage()
        assert again.tool_calls() == response.tool_calls()
        assert again.reply(tools=[describe_dog]).text() == "Hello you"
        first, second = (request.json for request in server.requests)
    assert second["tools"] == first["tools"]
    assert second["temperature"] == first["temperature"] == 0.5
    fields = {"openai-chat": "response_format", "anthropic": "output_config"}
    assert second[fields[protocol]] == first[fields[protocol]], "the schema is kept"


def test_a_stored_call_without_a_tool_is_reported() -> None:
    with Server(chat_calls(*DOGS), answer("openai-chat")) as server:
        asked = model(server, "openai-chat")
        stored = asked.prompt("Invent 2 dogs", tools=[describe_dog]).to_dict()
        results = llm.Response.from_dict(stored, model=asked).execute_tool_calls()
    assert [str(result.exception) for result in results] == ["the tool describe_dog cannot be run here"] * 2


@BOTH
def test_all_of_it_in_asyncio(protocol: str) -> None:
    async def talk(server: Server) -> None:
        asked = async_model(server, protocol)
        response = asked.prompt("hi")
        assert [chunk async for chunk in response] == ["Hello", " you"]
        assert await response.text() == "Hello you"
        assert (await response.usage()).output == 2
        reply = await response.reply("more")
        assert await reply.text() == "Hello you"
        calling = await asked.prompt("Invent 2 dogs", tools=[describe_dog])
        kinds = [event.type async for event in calling.astream_events() if "part_index" in event]
        assert kinds.count("tool_call_name") == 2
        assert [result.output for result in await calling.execute_tool_calls()] == ["Rex: old", "Ida: new"]
        kept = json.loads(json.dumps(await calling.to_dict()))
        again = llm.AsyncResponse.from_dict(kept, model=asked)
        assert await again.text() == "Three dogs: "
        assert await (await again.reply(tools=[describe_dog])).text() == "Hello you"
        chain = asked.chain("Invent 2 dogs", tools=[describe_dog])
        assert await chain.text() == "Three dogs: Hello you"

    plain, calls = answer(protocol), CALLS[protocol](*DOGS)
    with Server(plain, plain, calls, plain, calls, plain) as server:
        asyncio.run(talk(server))
        assert len(server.requests) == 6


def test_a_conversation_remembers() -> None:
    talk = llm.get_model("echo").conversation(system="Be brief")
    assert talk.prompt("one").text() == "one"
    assert talk.prompt("two").text() == "two"
    assert [message["role"] for message in talk.responses[1].prompt.messages] == ["system", "user", "assistant", "user"]

    async def several() -> int:
        talk = llm.get_async_model("echo").conversation()
        await (await talk.prompt("one")).text()
        return len((await talk.prompt("two")).prompt.messages)

    assert asyncio.run(several()) == 3


# Tools


class Counter(llm.Toolbox):
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def up(self, by: int = 1) -> int:
        """Count up."""
        self.count += by
        return self.count

    async def later(self) -> str:
        """Wait a moment."""
        await asyncio.sleep(0)
        return "now"

    def _hidden(self) -> None: ...


def boom() -> None:
    """Fail."""
    raise ValueError("no luck")


@pytest.mark.parametrize("is_async", [False, True])
def test_every_call_has_its_result(is_async: bool) -> None:
    made = script(
        ("Counter_up", {"by": 2}), ("boom", {}), ("Counter_later", {}), ("nope", {}), ("Counter_up", {"by": "x"})
    )
    tools: list[Any] = [Counter(), boom, {"name": "offered", "input_schema": {}}]
    if is_async:

        async def run() -> list[llm.ToolResult]:
            return await llm.get_async_model("echo").prompt(made, tools=tools).execute_tool_calls()

        results = asyncio.run(run())
    else:
        results = llm.get_model("echo").prompt(made, tools=tools).execute_tool_calls()
    assert [result.output for result in results[:3]] == ["2", "Error: no luck", "now"]
    assert type(results[1].exception) is ValueError
    assert [result.part().output for result in results] == ["2", "", "now", "", ""], "said once to the model"
    assert [result.part().exception for result in results] == [
        None,
        "ValueError: no luck",
        None,
        "the tool nope was not offered",
        "the call was not run: arguments.by: 'x' is not of type 'integer'",
    ]


def test_a_tool_by_another_name() -> None:
    tool = llm.Tool.function(boom, name="break_it", description="Break it.")
    response = llm.get_model("echo").prompt(script(("break_it", {})), tools=[tool])
    assert repr(response.execute_tool_calls()[0].exception) == "ValueError('no luck')"
    assert response.prompt.tools[0].description == "Break it."


def test_results_of_ones_own() -> None:
    response = llm.get_model("echo").prompt(script(("boom", {})), tools=[boom])
    [call] = response.tool_calls()
    reply = response.reply(tool_results=[llm.ToolResult(call.name, "all well", tool_call_id=call.tool_call_id)])
    assert reply.text() == "all well"


# Attachments, schemas, messages


def test_attachments(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"\x89PNG\r\n\x1a\n")
    with Server(answer("anthropic")) as server:
        given = [llm.Attachment(path=str(tmp_path / "image")), llm.Attachment(url="https://a.example/b.png")]
        assert model(server, "anthropic").prompt("look", attachments=given).text() == "Hello you"
        text, image, url = server.only.json["messages"][0]["content"]
    assert (text["text"], image["source"]["media_type"], url["source"]["type"]) == ("look", "image/png", "url")
    drawn = {"attachments": [{"type": "image/png", "content": image["source"]["data"]}], "text": "there"}
    [attachment] = llm.get_model("echo").prompt(json.dumps(drawn)).attachments()
    assert attachment.content_bytes() == b"\x89PNG\r\n\x1a\n"


def test_json() -> None:
    response = llm.get_model("echo").prompt('{"text": "{\\"age\\": 3}"}', schema="age int")
    assert response.json() == {"age": 3}
    with pytest.raises(InputError):
        llm.get_model("echo").prompt('{"text": "{}"}', schema="age int").json()


def test_values_are_dicts_and_objects() -> None:
    message = llm.user("hi", ["there", {"type": "text", "text": "you"}])
    assert isinstance(message, Message) and message["parts"][2]["text"] == message.parts[2].text == "you"
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message
    assert message.text == "hithereyou"
    with pytest.raises(AttributeError):
        _ = message.nothing
    with pytest.raises(TypeError):
        llm.user(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="nothing to ask"):
        llm.get_model("echo").prompt()


def test_one_conversation_for_several_models() -> None:
    conversation = llm.Conversation.from_records([llm.system("s"), llm.user("hi")])
    longer = conversation.appended(llm.assistant("hello"), llm.user("more"))
    longer.messages[1]["parts"][0]["text"] = longer.records()[0]["parts"][0]["text"] = "changed"
    assert len(conversation.messages) == 2, "it is a value"
    assert [message["parts"][0]["text"] for message in conversation.messages] == ["s", "hi"]
    assert longer.messages[0]["parts"][0]["text"] == "s"
    assert [record["role"] for record in longer.records()] == ["system", "user", "assistant", "user"]
    assert llm.get_model("echo").prompt(messages=longer.messages).text() == "more"
    assert llm.get_model("echo").prompt(messages=conversation.messages).text() == "hi"


def test_a_filter_in_five_lines(shell: Shell) -> None:
    (shell.folder / "quiet.py").write_text(
        "import llmtools\n"
        "for record in llmtools.read_stream():\n"
        '    if record["type"] != "reasoning":\n'
        "        llmtools.write_stream(record)\n"
    )
    (shell.folder / "script").write_text('{"reasoning": "hm", "text": "yes"}')
    done = shell.run(
        f"llm-msg user -f script | llm-send -m echo | {sys.executable} quiet.py | tee all.jsonl | llm-parts"
    )
    assert (done.status, done.text) == (0, "yes\n")
    assert "reasoning" not in {record["type"] for record in shell.run("cat all.jsonl").records}


# Failure


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failed_response_raises_and_holds_what_came(is_async: bool) -> None:
    body = PROTOCOLS["openai-chat"][3]
    cut = body[: body.index(b'" you"') - 40]
    with Server([head(connection="close"), cut, Close.FIN]) as server:
        if is_async:

            async def run() -> tuple[llm.AsyncResponse, list[Message]]:
                response = async_model(server, "openai-chat").prompt("hi", limits=FAST)
                with pytest.raises(TruncatedError):
                    await response.text()
                return response, await response.messages()

            response, messages = asyncio.run(run())
            assert isinstance(response.error, TruncatedError)
        else:
            held = model(server, "openai-chat").prompt("hi", limits=FAST)
            chunks = []
            with pytest.raises(TruncatedError) as caught:
                for chunk in held:
                    chunks.append(chunk)
            assert chunks == ["Hello"]
            assert held.error is caught.value
            messages = held.messages()
            with pytest.raises(TruncatedError):
                held.reply("more")
    assert messages[0].text == "Hello"
    assert messages[0]["response"]["status"] == "truncated"


def test_errors_have_their_kind() -> None:
    refused = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"
    with Server([refused]) as server, pytest.raises(KeyRefusedError) as caught:
        model(server, "openai-chat").prompt("hi").text()
    assert caught.value.exit_status == 77
    with pytest.raises(NoModelError, match="no model is named"):
        llm.get_model("no-such-model")


# Sync and async are one


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_events_both_ways(protocol: str) -> None:
    async def events(server: Server) -> list[Event]:
        return [event async for event in async_model(server, protocol).prompt("hi").astream_events()]

    with Server(answer(protocol), answer(protocol)) as server:
        ours = list(model(server, protocol).prompt("hi").stream_events())
        theirs = asyncio.run(events(server))
    assert [timeless(event) for event in ours] == [timeless(event) for event in theirs]


# Many, cancelled, forgotten


BEGIN = PROTOCOLS["openai-chat"][3].split(b"\n\n")[0] + b"\n\n"
"""What a server sends that then says no more: the first word."""


def wait_for_close(request: Any) -> None:
    until = time.monotonic() + 20
    while request.closed is None:
        assert time.monotonic() < until, "the connection is still open"
        time.sleep(0.01)


def test_a_cancelled_task_closes_its_connection() -> None:
    async def cancel(server: Server) -> llm.AsyncResponse:
        first = asyncio.Event()
        response = async_model(server, "openai-chat").prompt("hi")

        async def read() -> None:
            async for _ in response:
                first.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(first.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(CancelledError):
            await response.text()
        return response

    with Server([head(), BEGIN]) as server:
        response = asyncio.run(cancel(server))
        wait_for_close(server.only)
    assert isinstance(response.error, CancelledError)
    [message] = asyncio.run(response.messages())
    assert (message.text, message["response"]["status"]) == ("Hello", "cancelled"), "what came is held"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_response_is_closed(is_async: bool) -> None:
    async def close(server: Server) -> llm.AsyncResponse:
        response = async_model(server, "openai-chat").prompt("hi")
        assert await anext(aiter(response)) == "Hello"
        await response.aclose()
        unread = async_model(server, "openai-chat").prompt("hi")
        await unread.aclose()
        assert isinstance(unread.error, CancelledError)
        return response

    with Server([head(), BEGIN]) as server:
        if is_async:
            error, shown = (held := asyncio.run(close(server))).error, repr(held)
        else:
            response = model(server, "openai-chat").prompt("hi")
            assert next(iter(response)) == "Hello"
            response.close()
            error, shown = response.error, repr(response)
            with pytest.raises(CancelledError):
                list(response)
        wait_for_close(server.only)
    assert isinstance(error, CancelledError) and "Hello" in shown


SLOW = json.dumps({"text": "word " * 1000, "delay": 0.02})


def test_a_response_is_closed_while_another_reads_it() -> None:
    async def close() -> llm.AsyncResponse:
        response, first = llm.get_async_model("echo").prompt(SLOW), asyncio.Event()

        async def read() -> None:
            async for _ in response:
                first.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(first.wait(), 20)
        await response.aclose()
        with pytest.raises(CancelledError):
            await task
        return response

    assert isinstance(asyncio.run(close()).error, CancelledError)
    response = llm.get_model("echo").prompt(SLOW)
    with ThreadPoolExecutor(1) as pool:
        chunks = iter(response)
        assert next(chunks)
        reading = pool.submit(list, chunks)
        response.close()
        with pytest.raises(CancelledError):
            reading.result(60)


@pytest.mark.parametrize("is_chain", [False, True])
def test_a_loop_that_ends_closes_what_is_left(is_chain: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def leave(server: Server) -> Any:
        asked = async_model(server, "openai-chat")
        response: Any = asked.chain("hi") if is_chain else asked.prompt("hi")
        chunks = aiter(response)
        assert await anext(chunks) == "Hello"
        return response, chunks

    async def read(response: Any) -> None:
        with pytest.raises(CancelledError):
            await response.text()

    with Server([head(), BEGIN]) as server:
        response, _ = asyncio.run(leave(server))
        wait_for_close(server.only)
    asyncio.run(read(response))
    assert [record.getMessage() for record in caplog.records] == []


def test_a_program_that_is_interrupted_holds_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it waits: the next reader is told, and never that all was well."""
    from llmtools.http.transport import Connection

    with Server([head(), BEGIN]) as server:
        response = model(server, "openai-chat").prompt("hi")
        assert next(iter(response)) == "Hello"

        def interrupted(self: Connection) -> bytes:
            raise KeyboardInterrupt

        monkeypatch.setattr(Connection, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            response.text()
        with pytest.raises(CancelledError):
            response.text()
        assert response.messages()[0].text == "Hello"
        wait_for_close(server.only)


def test_many_readers_of_one_response() -> None:
    async def read(server: Server) -> list[Any]:
        response = async_model(server, "openai-chat").prompt("hi")

        async def chunks() -> list[str]:
            return [chunk async for chunk in response]

        return list(await asyncio.gather(response.text(), chunks(), response.messages(), response.usage(), chunks()))

    with Server(answer("openai-chat"), answer("openai-chat")) as server:
        text, chunks, _, usage, also = asyncio.run(read(server))
        assert (text, chunks, also, usage.output) == ("Hello you", ["Hello", " you"], ["Hello", " you"], 2)
        response = model(server, "openai-chat").prompt("hi")
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: "".join(response), range(16))) == ["Hello you"] * 16
        assert len(server.requests) == 2


@pytest.mark.filterwarnings("error")
def test_a_response_that_is_forgotten_leaks_nothing() -> None:
    """Also where no garbage is collected: the connection of a reply that nobody can read is closed."""
    gc.disable()
    try:
        with warnings.catch_warnings(), Server([head(), BEGIN], [head(), BEGIN], [head(), BEGIN]) as server:
            warnings.simplefilter("error", ResourceWarning)
            model(server, "openai-chat").prompt("hi")
            assert server.requests == [], "nothing was sent"
            for chunk in model(server, "openai-chat").prompt("hi"):
                assert chunk == "Hello"
                break
            wait_for_close(server.requests[0])
            asyncio.run(forget(server))
            wait_for_close(server.requests[2])
    finally:
        gc.enable()
        gc.collect()


async def forget(server: Server) -> None:
    """Leave responses unread, and read in part, without aclose."""
    async_model(server, "openai-chat").prompt("hi")
    async for chunk in async_model(server, "openai-chat").prompt("hi"):
        assert chunk == "Hello"
        break
    until = time.monotonic() + 20
    while server.requests[1].closed is None:  # while the program goes on
        assert time.monotonic() < until, "the connection is still open"
        await asyncio.sleep(0.01)
    response = async_model(server, "openai-chat").prompt("hi")
    assert await anext(aiter(response)) == "Hello"


MANY = """
import asyncio, gc, os, resource, sys
import llmtools

async def one(url, all_begun):
    chunks = []
    async for chunk in llmtools.get_async_model("m", base_url=url, key="k").prompt("hi"):
        chunks.append(chunk)
        if len(chunks) == 1:
            await all_begun.wait()
    return "".join(chunks)

async def main(url):
    descriptors = os.dup(0)  # the next that is free
    os.close(descriptors)
    for _ in range(3):
        all_begun = asyncio.Barrier(500)
        texts = await asyncio.gather(*[one(url, all_begun) for _ in range(500)])
        assert texts == ["Hello you"] * 500, set(texts)
        del texts
        await asyncio.sleep(0)
        kinds = {"AsyncResponse", "Outcome", "Exchange", "AsyncConnection", "AsyncClient"}
        left = [type(each).__name__ for each in gc.get_objects() if type(each).__name__ in kinds]
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(left))
    free = os.dup(0)
    assert free < descriptors + 20, f"{free} descriptors are open"

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.slow
def test_500_streams_at_once() -> None:
    """All of them are open at the same moment; three times over, memory stays what it was."""
    with Server(*[answer("openai-chat")] * 1500, backlog=512) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", MANY, server.origin], capture_output=True, text=True, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert server.connections == 1500
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [left for _, left in lines] == ["0", "0", "0"], "nothing is left of a response that was read"
    _, second, third = (int(size) for size, _ in lines)
    assert third < second * 1.1, "memory is flat"


def test_a_program_that_needs_no_network_loads_nothing_for_it() -> None:
    code = (
        "import sys, llmtools\n"
        "assert [name for name in sys.modules if name.startswith('llmtools.')] == []\n"
        "assert llmtools.get_model('echo').prompt('hi').text() == 'hi'\n"
        "print({'httpx', 'asyncio', 'ssl', 'socket', 'keyring', 'sqlite3', 'subprocess'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
