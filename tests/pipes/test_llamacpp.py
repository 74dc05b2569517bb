"""The whole pipe at a real server: llama.cpp's, with a model that recites (see `support.llamacpp_model`)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import jsonschema
import pytest

import llmtools
from llmtools.http.endpoint import Endpoint, Secret
from llmtools.protocols.request import Request
from llmtools.providers.address import at
from support import llamacpp_model as says
from support.harness import LIMIT, Shell, chunks, reply_of, texts, until, valid_records
from support.llamacpp import KEY, Server, require

pytestmark = pytest.mark.slow
Object = dict[str, Any]

ASK = 'llm-send --base-url "$URL" -m tiny --key-env K'
WRONG = "wrong-key-of-nobody"
HALFWAY = 4000
"""The bytes that a proxy lets through: the head of an answer and some tokens of it."""

PAUSE = 0.3
"""Seconds without a token after which an answer stalls."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require()
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    says.write(path)
    return path


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with closing(Server(model, tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
def pipe(shell: Shell, server: Server) -> Shell:
    """A shell that knows the server, and has a stream with a tool."""
    shell.environment |= {"URL": server.url, "K": KEY}
    (shell.folder / "tool.jsonl").write_text(json.dumps(says.TOOL) + "\n")
    return shell


class Proxy:
    """Stands before a server on a port of its own: keeps what is sent to it and, with a
    limit, holds an answer back after so many bytes, until the client leaves."""

    def __init__(self, server: Server, limit: int | None = None) -> None:
        self.sent = bytearray()
        self._server, self._limit = server.port, limit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def requests(self) -> int:
        return len(re.findall(rb"^[A-Z]+ /\S* HTTP/1\.1\r$", self.sent, re.MULTILINE))

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                self._threads.append(threading.Thread(target=self._connect, args=(client,), daemon=True))
                self._threads[-1].start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server), LIMIT) as server:
            back = threading.Thread(target=self._answer, args=(client, server), daemon=True)
            back.start()
            with suppress(OSError):
                while data := client.recv(65536):
                    self.sent += data
                    server.sendall(data)
            _shut(client, server)
            back.join(LIMIT)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        left = self._limit
        with suppress(OSError):
            while left != 0 and (data := server.recv(65536 if left is None else min(left, 65536))):
                client.sendall(data)
                left = None if left is None else left - len(data)
            if left != 0:
                client.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        _shut(self._listener, *self._clients)
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT)


def _shut(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=["streaming", "stalled"])
def long_url(request: pytest.FixtureRequest, server: Server) -> Iterator[str]:
    """Where a long answer comes from: it streams without an end, or stops halfway."""
    if request.param == "streaming":
        yield server.url
        return
    with closing(Proxy(server, HALFWAY)) as proxy:
        yield proxy.url


def holds_text(path: Path, text: str) -> Callable[[], bool]:
    return lambda: path.exists() and text.encode() in path.read_bytes()


def kinds(records: list[Object]) -> list[str]:
    """Return the types of the records, those in a row once."""
    types = [record["type"] for record in records]
    return [kind for place, kind in enumerate(types) if types[place - 1 : place] != [kind]]


def calls_of(message: Object) -> list[Object]:
    return [part for part in message["parts"] if part["type"] == "tool_call"]


# Text


def test_text_comes_token_by_token_and_whole(pipe: Shell) -> None:
    records = pipe.run(f"llm-msg user hi | {ASK}").records
    assert kinds(records) == ["message", "start", "text", "message", "end"]
    assert len(chunks(records, "text")) > 5
    assert "".join(chunks(records, "text")) == says.PLAIN
    assert reply_of(records)["parts"] == [{"type": "text", "text": says.PLAIN}]
    printed = pipe.run(f"llm-msg user hi | {ASK} | llm-parts")
    assert (printed.status, printed.text, printed.err) == (0, says.PLAIN + "\n", "")


def test_reasoning_stands_apart_from_the_answer(pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user why | {ASK} | tee all.jsonl | llm-parts")
    records = valid_records((pipe.folder / "all.jsonl").read_bytes())
    assert done.text == says.CONCLUSION + "\n"
    assert kinds(records) == ["message", "start", "reasoning", "text", "message", "end"]
    assert len(chunks(records, "reasoning")) > 5
    assert "".join(chunks(records, "reasoning")) == says.THOUGHT
    assert pipe.run("llm-parts -t reasoning < all.jsonl").text == says.THOUGHT + "\n"
    assert [(part["type"], part["text"]) for part in reply_of(records)["parts"]] == [
        ("reasoning", says.THOUGHT),
        ("text", says.CONCLUSION),
    ]


def test_the_end_says_how_and_what_it_cost(pipe: Shell) -> None:
    records = pipe.run(f"llm-msg user why | {ASK} | tee all.jsonl").records
    response, end = reply_of(records)["response"], records[-1]
    assert (end["status"], end["finish_reason"], end["model_served"]) == ("ok", "stop", "tiny")
    assert response["finish_reason"] == "stop"
    assert end["usage"].keys() == {"input", "output"} and end["usage"]["input"] > 0
    assert end["usage"]["output"] >= len(chunks(records, "text") + chunks(records, "reasoning"))
    assert response["usage"] == end["usage"] == json.loads(pipe.run("llm-parts --usage < all.jsonl").out)
    longer = pipe.run(f"llm-msg user 'why not' | {ASK}").records[-1]
    assert longer["usage"]["input"] == end["usage"]["input"] + len(" not")


def test_what_the_server_had_cached_is_input_too(pipe: Shell) -> None:
    script = f"llm-msg user 'why then' | {ASK} -o cache_prompt true -o id_slot 0"
    plain = pipe.run(script).records[-1]["usage"]
    cached = pipe.run(script).records[-1]["usage"]
    assert cached.pop("details")["cached"] > 0
    assert cached == {"input": plain["input"], "output": plain["output"]}


@pytest.mark.parametrize("said", ["hi", "why", "weather", "weather of both"])
def test_without_streaming_the_message_is_the_same(pipe: Shell, said: str) -> None:
    tools = "< tool.jsonl" if "weather" in said else ""
    streamed, whole = (
        pipe.run(f"llm-msg user '{said}' {tools} | {ASK} {option}").records for option in ("", "--no-stream")
    )
    assert kinds(whole)[-2:] == ["message", "end"]
    one, other = ([_without_id(part) for part in reply_of(records)["parts"]] for records in (streamed, whole))
    assert one == other
    assert streamed[-1]["usage"] == whole[-1]["usage"]
    assert streamed[-1]["finish_reason"] == whole[-1]["finish_reason"]


def _without_id(part: Object) -> Object:
    return {name: value for name, value in part.items() if name != "tool_call_id"}


def test_a_limit_on_the_tokens_is_a_notice_and_a_success(pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user hi | {ASK} -o max_tokens 3 | tee all.jsonl | llm-parts")
    records = valid_records((pipe.folder / "all.jsonl").read_bytes())
    assert (done.status, records[-1]["status"], records[-1]["finish_reason"]) == (0, "ok", "length")
    assert [record["code"] for record in records if record["type"] == "notice"] == ["length"]
    assert records[-1]["usage"]["output"] == 3
    assert done.text.strip() and says.PLAIN.startswith(done.text.rstrip("\n")) and done.text != says.PLAIN + "\n"


# Conversations


def test_a_saved_conversation_goes_on_in_new_processes(pipe: Shell) -> None:
    pipe.run(f"llm-msg user hi | {ASK} --save talk.jsonl")
    send = 'llm-send --base-url "$URL" --key-env K'
    done = pipe.run(f"llm-msg user again < talk.jsonl | {send} --save longer.jsonl | llm-parts")
    assert (done.status, done.text) == (0, says.AGAIN + "\n"), "said only after the first answer, as it was given"
    saved = valid_records((pipe.folder / "longer.jsonl").read_bytes())
    assert texts(saved) == [("user", "hi"), ("assistant", says.PLAIN), ("user", "again"), ("assistant", says.AGAIN)]
    assert saved[-1]["response"]["model"] == "tiny"


def test_reasoning_goes_back_to_the_server_it_came_from(pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user why | {ASK} | llm-msg user again | {ASK} | llm-parts")
    assert (done.status, done.text) == (0, says.RETHOUGHT + "\n")


def test_one_call_and_the_answer_to_its_result(pipe: Shell) -> None:
    records = pipe.run(f"llm-msg user weather < tool.jsonl | {ASK} --save asked.jsonl").records
    assert kinds(records) == ["tool", "message", "start", "text", "tool_call_name", "tool_call_args", "message", "end"]
    assert len(chunks(records, "tool_call_args")) > 5
    assert json.loads("".join(chunks(records, "tool_call_args"))) == says.ONE
    assert records[-1]["finish_reason"] == "tool_calls"
    message = reply_of(records)
    assert [part.get("text") or part["arguments"] for part in message["parts"]] == [says.LOOK, says.ONE]
    assert calls_of(message)[0]["name"] == says.TOOL["name"]
    done = pipe.run(f"llm-msg tool '18 degrees' < asked.jsonl | {ASK} | tee all.jsonl | llm-parts")
    assert (done.status, done.text) == (0, f"{says.LOOK}\n{says.SUNNY}\n"), "the reply is all since the user spoke"
    assert pipe.run("llm-parts --last < all.jsonl").text == says.SUNNY + "\n"
    end = valid_records((pipe.folder / "all.jsonl").read_bytes())[-1]
    assert end["finish_reason"] == "stop"


def test_two_parallel_calls_and_the_answer_to_both_results(pipe: Shell, server: Server) -> None:
    records = pipe.run(f"llm-msg user 'weather of both' < tool.jsonl | {ASK} --save asked.jsonl").records
    calls = calls_of(reply_of(records))
    assert [call["arguments"] for call in calls] == says.TWO
    assert records[-1]["finish_reason"] == "tool_calls"
    one, other = (call["tool_call_id"] for call in calls)
    assert one and other and one != other
    answers = f"llm-msg tool 'rain' --call '{one}' < asked.jsonl | llm-msg tool '18 degrees' --call '{other}'"
    with closing(Proxy(server)) as proxy:
        done = pipe.run(f"{answers} | {ASK} | llm-parts", env={"URL": proxy.url})
    assert (done.status, done.text) == (0, says.SUNNY + "\n")
    body = json.loads(proxy.sent.partition(b"\r\n\r\n")[2])
    results = [(message["tool_call_id"], message["content"]) for message in body["messages"][-2:]]
    assert results == [(one, "rain"), (other, "18 degrees")]


@pytest.mark.parametrize("option", ["", "--no-stream"])
def test_a_schema_makes_json_that_fits(pipe: Shell, option: str) -> None:
    done = pipe.run(
        f"llm-msg user object | {ASK} --schema 'title, people int: how many' {option} | tee all.jsonl | llm-parts"
    )
    schema = reply_of(valid_records((pipe.folder / "all.jsonl").read_bytes()))["response"]["request"]["schema"]
    assert schema["required"] == ["title", "people"]
    jsonschema.validate(json.loads(done.text), schema)
    assert json.loads(done.text) == says.OBJECT
    printed = pipe.run("llm-parts --json < all.jsonl")
    assert (printed.status, [json.loads(line) for line in printed.out.splitlines()]) == (0, [says.OBJECT])


# Failures


@pytest.mark.parametrize("option", ["", "--no-stream", "--retry-stream --retries 3"])
def test_a_wrong_key_is_reported_after_one_request(pipe: Shell, server: Server, option: str) -> None:
    with closing(Proxy(server)) as proxy:
        script = f"llm-msg user hi | {ASK} -v --save saved.jsonl {option} | tee all.jsonl | llm-parts -v"
        done = pipe.run(script, env={"URL": proxy.url, "K": WRONG})
    assert (done.status, done.out) == (77, b"")
    assert done.err == "llm-send: tiny: 401 the key from the variable K was refused: Invalid API Key\n"
    assert proxy.requests == 1
    assert f"Bearer {WRONG}".encode() in proxy.sent
    everything, saved = ((pipe.folder / name).read_bytes() for name in ("all.jsonl", "saved.jsonl"))
    assert WRONG not in done.err and WRONG.encode() not in everything + saved
    assert kinds(valid_records(everything)) == ["message", "error"]
    assert valid_records(everything)[-1]["http_status"] == 401
    assert kinds(valid_records(saved)) == ["message"]


def test_the_right_key_is_in_no_output(pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user hi | {ASK} -v --save saved.jsonl; llm-msg user hi | {ASK} --dry-run")
    assert done.status == 0
    saved = (pipe.folder / "saved.jsonl").read_bytes()
    assert KEY.encode() not in done.out + done.err.encode() + saved


def test_a_context_that_is_too_long_is_reported_in_the_servers_words(pipe: Shell, server: Server) -> None:
    with closing(Proxy(server)) as proxy:
        done, statuses = pipe.statuses(
            f"llm-msg user - | {ASK} | llm-msg user more | llm-parts", stdin=b"x" * says.CONTEXT, env={"URL": proxy.url}
        )
    assert statuses == [0, 65, 65, 65]
    assert re.search(
        rf"^llm-send: .*exceeds the available context size \({says.CONTEXT} tokens\)", done.err, re.MULTILINE
    )
    assert proxy.requests == 1


def test_what_came_before_the_server_was_killed_is_kept(pipe: Shell, model: Path, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    server = Server(model, tmp_path / "server")
    try:
        script = f"llm-msg -n user long | {ASK} --save saved.jsonl | tee all.jsonl | llm-parts > text"
        process = pipe.start(script, env={"URL": server.url})
        until(holds_text(tmp_path / "text", says.LONG[:40]))
    finally:
        server.kill()
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 75
    assert [line.partition(b":")[0] for line in err.splitlines()] == [b"llm-send"], err
    records = valid_records((tmp_path / "all.jsonl").read_bytes())
    assert kinds(records) == ["message", "start", "text", "error", "message", "end"]
    assert (records[-1]["status"], records[-1]["exit_status"]) == ("truncated", 75)
    _check_partial(records, tmp_path / "saved.jsonl")
    assert (tmp_path / "text").read_text() == "".join(chunks(records, "text")).removesuffix("\n") + "\n"
    gone = pipe.run(f"llm-msg -n user hi | {ASK} --retries 0", env={"URL": server.url})
    assert gone.status == 69


def _check_partial(records: list[Object], saved: Path) -> None:
    """The message holds what was streamed, a beginning of the long text, and so does the file."""
    message = reply_of(records)
    text = message["parts"][0]["text"]
    assert text == "".join(chunks(records, "text"))
    assert (says.LONG * (len(text) // len(says.LONG) + 1)).startswith(text)
    assert valid_records(saved.read_bytes()) == [records[0], message]


# Leaving


def start_long(pipe: Shell, url: str, rest: str) -> subprocess.Popen[bytes]:
    """Start llm-send, as the process itself, on the long text."""
    pipe.run("llm-msg user long > in.jsonl")
    return pipe.start(f"exec {ASK} {rest} < in.jsonl", env={"URL": url})


def test_a_reader_that_leaves_ends_the_request_within_half_a_second(pipe: Shell, server: Server, long_url: str) -> None:
    assert any(_seconds_to_end(pipe, long_url) < 0.5 for _ in range(3)), "a promise of the design, not a benchmark"
    until(lambda: not server.is_busy)


def _seconds_to_end(pipe: Shell, url: str) -> float:
    """Leave in mid-stream; return how long llm-send lived on, to die silently of SIGPIPE."""
    process = start_long(pipe, url, "")
    assert process.stdout and process.stderr
    seen = b""
    while says.LONG[:20].encode() not in _text_in(seen) or _is_going_on(process.stdout, len(seen)):
        data = os.read(process.stdout.fileno(), 65536)
        assert data, process.stderr.read()
        seen += data
    begun = time.monotonic()
    process.stdout.close()
    assert process.wait(LIMIT) == -signal.SIGPIPE
    took = time.monotonic() - begun
    assert process.stderr.read() == b""
    return took


def _is_going_on(stdout: IO[bytes], seen: int) -> bool:
    """Whether an answer that stalls has not come to where it does; of the other, some is enough."""
    return seen < 20000 and bool(select.select([stdout], [], [], PAUSE)[0])


def _text_in(seen: bytes) -> bytes:
    records = valid_records(seen.rpartition(b"\n")[0])
    return "".join(chunks(records, "text")).encode()


def test_head_behind_the_pipe_ends_all_of_it_silently(pipe: Shell, server: Server) -> None:
    done, statuses = pipe.statuses(f"llm-msg user long | {ASK} | llm-parts | head -c 20")
    assert done.out == says.LONG.encode()[:20]
    assert statuses == [0, 128 + signal.SIGPIPE, 128 + signal.SIGPIPE, 0]
    assert re.fullmatch(r"STATUSES [0-9 ]+\n", done.err)
    until(lambda: not server.is_busy)


def test_sigint_in_mid_stream_keeps_what_came(pipe: Shell, server: Server, long_url: str) -> None:
    process = start_long(pipe, long_url, "--save saved.jsonl > out.jsonl")
    out = pipe.folder / "out.jsonl"
    until(lambda: out.exists() and says.LONG[:20].encode() in _text_in(out.read_bytes()))
    time.sleep(PAUSE)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (-signal.SIGINT, b"")
    records = valid_records(out.read_bytes())
    assert kinds(records) == ["message", "start", "text", "message", "end"]
    assert (records[-1]["status"], records[-1]["exit_status"]) == ("cancelled", 75)
    _check_partial(records, pipe.folder / "saved.jsonl")
    until(lambda: not server.is_busy)


# The library

VOLATILE = ("response_id", "id", "tool_call_id", "created", "timing", "timings")


def settled(value: Any) -> Any:
    """Return records without what differs from run to run: ids and times."""
    if isinstance(value, dict):
        return {name: settled(item) for name, item in value.items() if name not in VOLATILE}
    return [settled(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def endpoint(server: Server, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return at(server.url, key=Secret(KEY))


def conversation(said: str) -> llmtools.Conversation:
    tools = [says.TOOL] if "weather" in said else []
    return llmtools.Conversation([*tools, dict(llmtools.user(said))])


def exchange(said: str, endpoint: Endpoint) -> llmtools.Exchange:
    request = Request("tiny", served_name="tiny", issuer=endpoint.name)
    return llmtools.Exchange(conversation(said), request, endpoint)


@pytest.mark.parametrize("said", ["hi", "why", "weather", "weather of both"])
def test_the_library_gives_what_the_executable_does(pipe: Shell, endpoint: Endpoint, said: str) -> None:
    tools = "< tool.jsonl" if "weather" in said else ""
    piped = pipe.run(f"llm-msg user '{said}' {tools} | {ASK}").records
    response = piped[kinds(piped).index("start") :]
    records = list(llmtools.stream(conversation(said), "tiny", endpoint=endpoint))

    async def collect() -> list[Any]:
        return [record async for batch in exchange(said, endpoint).abatches() for record in batch]

    assert settled(records) == settled(asyncio.run(collect())) == settled(response)
    assert reply_of(records)["parts"]


def test_the_library_raises_what_ended_the_response(endpoint: Endpoint) -> None:
    wrong = replace(endpoint, key=Secret(WRONG))
    with pytest.raises(llmtools.LlmToolsError, match="Invalid API Key") as raised:
        list(llmtools.stream([llmtools.user("hi")], "tiny", endpoint=wrong))
    assert raised.value.exit_status == 77
    assert WRONG not in repr(raised.value.__dict__)


def test_leaving_the_iterator_closes_the_connection(server: Server, endpoint: Endpoint) -> None:
    stream = llmtools.stream([llmtools.user("long")], "tiny", endpoint=endpoint)
    assert next(record for record in stream if record["type"] == "text")
    assert server.is_busy
    del stream
    until(lambda: not server.is_busy)


def test_cancelling_the_task_closes_the_connection(server: Server, endpoint: Endpoint) -> None:
    async def leave() -> None:
        asked = asyncio.Event()

        async def read() -> None:
            async for _ in exchange("long", endpoint).abatches():
                asked.set()

        task = asyncio.create_task(read())
        await asked.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(until, lambda: not server.is_busy)

    asyncio.run(leave())
