"""Every phase of a request has a limit: a server that drips bytes, or says nothing, is given up in time, and a
suspended process is not taken for a silent server. The time that something takes is not measured: without the limit
a test would end at its server's last byte, minutes later."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

import llmtools
from llmtools.errors import LlmToolsError, UnavailableError
from llmtools.http import transport, watch
from llmtools.http.request import Limits
from support.harness import Shell, wait_for
from support.protocol_replies import PROTOCOLS, send
from support.protocol_replies import answer as answer_of
from support.server import Answer, Close, Server, ask, chunk, ended, head, reply, said

CANARY = "canary-key-0123456789"
DRIPS = 400


def drip(piece: bytes, before: bytes = b"", wait: float = 0.1) -> Answer:
    """Bytes that never end, as far as anybody waits for them."""
    return [before, *[step for _ in range(DRIPS) for step in (wait, piece)]]


CHUNKED = head(transfer_encoding="chunked")
SLOW: dict[str, tuple[Answer, int, str]] = {
    "nothing": ([60.0], 75, "nothing came for 0.6 s"),
    "the head": (drip(b"x", b"HTTP/1.1 200 OK\r\nx-a: "), 75, "the head of the response did not end within 0.6 s"),
    "the line": (drip(b" ", b"HTTP/1.1"), 75, "the head of the response did not end within 0.6 s"),
    "interim": (drip(b"HTTP/1.1 102 Processing\r\n\r\n"), 75, "the head of the response did not end within 0.6 s"),
    "a flood": (
        [b"HTTP/1.1 102 Processing\r\nx-a: " + b"b" * 9000 + b"\r\n\r\n"] * 400,
        76,
        "the head of the response is longer",
    ),
    "the extension of a chunk": (drip(b"x", CHUNKED + b"5;"), 75, "nothing came for 0.6 s"),
    "the trailer": (drip(b"x", CHUNKED + b"0\r\nx-a:"), 75, "nothing came for 0.6 s"),
    "an event": (drip(b"x", head() + b'data: {"id": "'), 75, "no event came for 0.6 s"),
    "the body of an error": (drip(b"x", head(500) + b"broken "), 69, "broken x"),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_server_that_drips_is_given_up(shell: Shell, name: str) -> None:
    answer, status, words = SLOW[name]
    with Server(answer) as server:
        done = shell.run(ask(server, "--idle-timeout 0.6 --retries 0"))
    assert done.status == status
    assert words in done.err and done.err.count("\n") == 1


def exchange(server: Server, **limits: Any) -> llmtools.Exchange:
    endpoint = llmtools.providers.at(server.url)
    request = llmtools.Request("tiny", "tiny", endpoint.name)
    given = Limits(**{"retries": 0, **limits})
    return llmtools.Exchange(llmtools.Conversation([llmtools.user("hi")]), request, endpoint, given)


def drive(asked: llmtools.Exchange) -> None:
    for _ in asked.batches():
        pass


def adrive(asked: llmtools.Exchange) -> None:
    async def run() -> None:
        async for _ in asked.abatches():
            pass

    asyncio.run(run())


BOTH = pytest.mark.parametrize("run", [drive, adrive])


@BOTH
@pytest.mark.parametrize("name", SLOW)
def test_the_limits_are_the_same_in_both_colours(run: Callable[[llmtools.Exchange], None], name: str) -> None:
    answer, status, words = SLOW[name]
    with Server(answer) as server:
        asked = exchange(server, idle=0.6)
        run(asked)
    assert asked.failure is not None
    assert (asked.failure.exit_status, words in asked.failure.message) == (status, True)


@BOTH
def test_a_reply_has_a_most_size(run: Callable[[llmtools.Exchange], None]) -> None:
    with Server([head(), *[step for _ in range(60) for step in (said("a" * 100), 0.01)]]) as server:
        asked = exchange(server, size=5000)
        run(asked)
    assert asked.failure is not None and asked.failure.exit_status == 76
    assert "the reply is longer than" in asked.failure.message
    assert asked.message is not None and asked.message["parts"][0]["text"].startswith("aaa")


@BOTH
def test_a_request_that_is_not_taken(run: Callable[[llmtools.Exchange], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_SLOWEST", 1 << 40)

    class Deaf(Server):
        def request(self, peer: Any) -> None:
            while not self.is_stopping:
                time.sleep(0.05)

    with Deaf() as server:
        asked = exchange(server, progress=0.5)
        asked._conversation.messages[0]["parts"][0]["text"] = "a" * (16 << 20)
        run(asked)
    assert asked.failure is not None and "the request was not taken within 0.5 s" in asked.failure.message


DOWNLOADS = {name: SLOW[name] for name in ("nothing", "the head", "interim", "a flood", "the extension of a chunk")}


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_download_has_the_same_limits(name: str) -> None:
    answer, _, words = SLOW[name]
    with Server(answer) as server, pytest.raises(LlmToolsError, match=words):
        transport.fetch(server.url, 0.6)


def test_a_download_that_drips_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FETCH_TIME", 0.6)
    with Server(drip(b"x", head(content_length=9999))) as server, pytest.raises(UnavailableError, match=r"0\.6 s"):
        transport.fetch(server.url, 5)


# Suspension


def test_time_does_not_count_while_the_process_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that wakes up an hour late, and then gets its bytes."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Late(Exception):
        pass

    class Stream:
        waits = 0

        def read(self, _: int, seconds: float) -> bytes:
            self.waits += 1
            now[0] += 3600 if self.waits == 2 else min(seconds, 1)
            if self.waits < 5:
                raise Late
            return b"late"

    phase = watch.Watch()
    phase.open("host", 0, send=9, head=9)
    begun = watch.active_time()
    assert watch.WatchedStream(Stream(), phase, Late).read(9) == b"late"
    assert watch.active_time() - begun < 9


@pytest.mark.slow
def test_a_suspended_process_keeps_its_reply(shell: Shell) -> None:
    with Server([head(), said("Hello"), 6.0, chunk({"content": " you"}), ended(), Close.FIN]) as server:
        process = shell.start(f"{ask(server, '--idle-timeout 1.5 --retries 0')} > out.jsonl")
        wait_for(shell.folder / "out.jsonl", b"Hello")
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(7)
        os.killpg(process.pid, signal.SIGCONT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    assert b"Hello you" in (shell.folder / "out.jsonl").read_bytes()


# What is no time


TIMES = ["--timeout nan", "--timeout inf", "--idle-timeout nan", "--idle-timeout -inf", "--connect-timeout nan"]


@pytest.mark.parametrize("options", [*TIMES, "--connect-timeout 0", "--wait nan", "--wait inf"])
def test_nan_and_infinity_are_no_times(shell: Shell, options: str) -> None:
    with Server() as server:
        done = shell.run(ask(server, options))
    assert (done.status, server.connections) == (2, 0)


def test_a_variable_that_is_no_time(shell: Shell) -> None:
    assert shell.run("llm-send -m echo", env={"LLMTOOLS_WAIT": "nan"}).status == 78


def test_a_connection_has_an_option(shell: Shell) -> None:
    from support.server import full_port

    with full_port() as port:
        done = shell.run(ask(f"http://127.0.0.1:{port}/v1", "--connect-timeout 0.5 --retries 0"))
    assert (done.status, "no connection within 0.5 s" in done.err) == (69, True)


# Headers and names


@pytest.mark.parametrize("value", ["canary-h\u00e9ader", "canary\nheader"])
def test_a_value_that_is_no_header_is_not_tried_again(shell: Shell, value: str) -> None:
    with Server(reply("a")) as server:
        done = shell.run(ask(server, '--protocol anthropic -o betas "$B"'), env={"B": value})
    assert (done.status, server.requests) == (78, [])
    assert "a header of the request" in done.err and "canary" not in done.err
    assert not [record for record in done.records if record["type"] == "notice"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_key_that_a_server_repeats_is_masked(shell: Shell, protocol: str) -> None:
    [answer_head, body, end] = answer_of(protocol)
    assert isinstance(body, bytes) and isinstance(answer_head, bytes)
    for name in (b'"m"', b'"c1"', b'"msg_1"', b'"resp_1"', b'"g1"', b'"v1_1"', b'"STOP"', b'"stop"'):
        body = body.replace(name, name[:-1] + b" of canary-key" + name[-1:])
    answer_head = answer_head.replace(b"\r\n\r\n", b"\r\nx-request-id: canary-key\r\n\r\n")
    with Server([answer_head, body, end]) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)}")
    assert b"***" in done.out
    assert b"canary-key" not in done.out
