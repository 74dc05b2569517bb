"""Each protocol through the executables, against a scripted server: the request on the wire,
the reply in the stream, the next turn, a failure, and a conversation that changes vendors."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from support.harness import LIMIT, Shell, texts
from support.protocol_replies import ANTHROPIC, GEMINI, INTERACTIONS, PROTOCOLS, RESPONSES, answer, send
from support.sample_conversations import sse
from support.server import Close, Server, head, whole

CHUNK = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello you"}}]}
COUNTS = b'{"input_tokens": 3, "output_tokens": 1}'
GOOGLE_COUNTS = {"total_input_tokens": 3, "total_output_tokens": 1}
EACH = pytest.mark.parametrize("protocol", PROTOCOLS)


@EACH
def test_a_turn_and_the_next(protocol: str, shell: Shell) -> None:
    path, header, value, _ = PROTOCOLS[protocol]
    with Server(answer(protocol), answer(protocol)) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)} | llm-msg user more | {send(server, protocol)}")
        assert done.status == 0, done.err
        assert len(server.requests) == 2
        for received in server.requests:
            assert received.path == path
            assert received.headers[header] == value
        second = json.dumps(server.requests[1].json)
    said = [("user", "hi"), ("assistant", "Hello you"), ("user", "more"), ("assistant", "Hello you")]
    visible = [(role, text.removeprefix("hm")) for role, text in texts(done.records)]
    assert visible == said
    assert "Hello" in second and "you" in second and "more" in second
    end = done.records[-1]
    assert (end["finish_reason"], end["usage"]["input"], end["usage"]["output"]) == ("stop", 3, 2)
    if protocol in ("openai-responses", "anthropic", "gemini", "gemini-interactions"):
        assert "CANARY" in second, "what the issuer signed goes back to it"


@EACH
def test_text_comes_chunk_by_chunk_and_is_printed(protocol: str, shell: Shell) -> None:
    with Server(answer(protocol)) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)} | tee all.jsonl | llm-parts")
    assert (done.status, done.text) == (0, "Hello you\n")
    records = shell.run("cat all.jsonl").records
    chunks = [record["chunk"] for record in records if record["type"] == "text"]
    assert [chunk for chunk in chunks if chunk] == ["Hello", " you"]


@EACH
def test_a_reply_that_is_cut_off_is_kept_and_reported(protocol: str, shell: Shell) -> None:
    body = PROTOCOLS[protocol][3]
    cut = body[: body.index(b'" you"') - 40]
    with Server([head(connection="close"), cut, Close.FIN]) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)}")
    assert done.status == 75
    assert done.records[-1]["status"] == "truncated"
    assert texts(done.records)[-1][1].endswith("Hello")


TOLD = {
    "openai-chat": (
        sse({**CHUNK, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
        sse({"error": {"message": "overloaded", "code": 503}}),
    ),
    "openai-responses": (
        RESPONSES[: RESPONSES.index(b"event: response.completed")],
        sse(
            {
                "type": "response.failed",
                "response": {
                    "error": {"code": "server_error", "message": "overloaded"},
                    "usage": {"input_tokens": 3, "output_tokens": 1},
                },
            }
        ),
    ),
    "anthropic": (
        ANTHROPIC[: ANTHROPIC.index(b"event: message_delta")].replace(b'{"input_tokens": 3}', COUNTS),
        sse({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}),
    ),
    "gemini": (
        sse(
            {
                "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello you"}]}}],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1},
            }
        ),
        b'{"error": {"code": 503, "message": "overloaded"}}',
    ),
    "gemini-interactions": (
        INTERACTIONS[: INTERACTIONS.index(b"event: interaction.completed")]
        + sse({"event_type": "interaction.status_update", "status": "in_progress", "usage": GOOGLE_COUNTS}),
        sse({"event_type": "error", "error": {"message": "overloaded", "code": "overloaded"}}, named=True),
    ),
}
"""Protocol -> what a server says before it fails, its usage with it, and how it fails."""


@pytest.mark.parametrize("protocol", TOLD)
def test_the_usage_of_a_failed_reply_is_kept(protocol: str, shell: Shell) -> None:
    with Server([head(connection="close"), *TOLD[protocol], Close.FIN]) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)}")
    assert done.status == 75
    assert "overloaded" in done.err
    message, end = done.records[-2:]
    assert message["response"]["usage"] == end["usage"] == {"input": 3, "output": 1}
    assert (end["status"], end["finish_reason"]) == ("error", "error")
    assert texts(done.records)[-1][1].endswith("Hello you")


@pytest.mark.parametrize("protocol", ["openai-chat", "anthropic", "gemini", "gemini-interactions"])
@pytest.mark.parametrize("how", [Close.FIN, Close.RST, "a signal"])
def test_the_usage_of_a_reply_that_was_cut_off_is_kept(protocol: str, how: Close | str, shell: Shell) -> None:
    closing = [how] if isinstance(how, Close) else []
    with Server([head(connection="close"), TOLD[protocol][0], *closing]) as server:
        process = shell.start(f"llm-msg user hi | {{ {send(server, protocol)}; }}", stdin=subprocess.DEVNULL)
        assert process.stdout
        if not closing:
            while b'you"' not in process.stdout.readline():
                pass
            os.killpg(process.pid, signal.SIGINT)
        out = process.communicate(timeout=LIMIT)[0]
    end = json.loads(out.splitlines()[-1])
    assert end["usage"] == {"input": 3, "output": 1}
    assert end["status"] == ("truncated" if closing else "cancelled")


@pytest.mark.slow
def test_a_reply_that_had_ended_is_whole_though_its_server_holds_the_connection(shell: Shell) -> None:
    with Server([head(connection="close"), GEMINI]) as server:
        done = shell.run(f"llm-msg user hi | {send(server, 'gemini')} --timeout 6")
    end = done.records[-1]
    assert (done.status, end["status"], end["usage"]["output"]) == (0, "ok", 2)


@EACH
def test_a_refused_key_is_reported_once(protocol: str, shell: Shell) -> None:
    refused = whole(401, {"error": {"message": "no entry", "type": "authentication_error", "code": 401}})
    with Server(refused, refused) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)} | llm-parts")
        assert len(server.requests) == 1
    assert done.status == 77
    assert "no entry" in done.err and "canary-key" not in done.err


@EACH
@pytest.mark.parametrize("other", PROTOCOLS)
def test_what_one_issuer_signed_never_reaches_another(protocol: str, other: str, shell: Shell) -> None:
    with Server(answer(protocol)) as first, Server(answer(other)) as second:
        done = shell.run(f"llm-msg user hi | {send(first, protocol)} | llm-msg user more | {send(second, other)}")
        assert done.status == 0, done.err
        sent = json.dumps(second.only.json)
    assert "Hello you" in sent or ("Hello" in sent and "you" in sent)
    assert "CANARY" not in sent
