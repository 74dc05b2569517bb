"""Replies that the server writes in the background: read on after a break, polled, stopped, fetched later."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from support.harness import Shell, texts
from support.server import FIN, RST, Answer, Server, event, failing, head, whole

HELLO = [("user", "hi"), ("assistant", "Hello")]
ASK = "llm-msg -n user hi | llm-send --base-url {} --protocol openai-responses -m m -o background true"
AWAIT = "llm-msg -n user hi | llm-send --base-url {} --protocol openai-responses -m m --await resp_1"


def response(status: str, *texts: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": "".join(texts), "annotations": []}]
    output = [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}]
    usage = {"input_tokens": 3, "output_tokens": 2} if texts else None
    fixed = {"object": "response", "model": "m", "background": True, "usage": usage}
    return {"id": "resp_1", "status": status, "output": output if texts else [], **fixed}


def begun(status: str = "in_progress") -> bytes:
    return event({"type": "response.created", "sequence_number": 0, "response": response(status)})


def delta(text: str, number: int) -> bytes:
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    return event({"type": "response.output_text.delta", "sequence_number": number, "delta": text, **place})


def item(number: int) -> bytes:
    fields = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    return event({"type": "response.output_item.added", "sequence_number": number, "output_index": 0, "item": fields})


def completed(number: int, *texts: str) -> bytes:
    return event({"type": "response.completed", "sequence_number": number, "response": response("completed", *texts)})


def requests(server: Server) -> list[str]:
    """The methods and targets of the requests, less the base path."""
    return [" ".join(request.head.decode().split()[:2]).replace(" /v1", " ", 1) for request in server.requests]


BROKEN: list[Answer] = [
    [head() + begun() + item(1) + delta("Hel", 2), RST],
    [head() + begun() + item(1) + delta("Hel", 2), FIN],
    [head() + begun() + item(1) + delta("Hel", 2) + delta("lo", 3)[:30], FIN],
]


@pytest.mark.parametrize("first", BROKEN)
def test_a_stream_that_breaks_is_read_on_behind_its_last_event(shell: Shell, first: Answer) -> None:
    rest: Answer = [head() + delta("lo", 3) + completed(4, "Hello"), FIN]
    with Server(first, rest) as server:
        done = shell.run(ASK.format(server.url))
    assert (done.status, done.err, texts(done.records)) == (0, "", HELLO)
    assert requests(server) == ["POST /responses", "GET /responses/resp_1?stream=true&starting_after=2"]
    assert [r["chunk"] for r in done.records if r["type"] == "text" and r["chunk"]] == ["Hel", "lo"]
    assert server.requests[0].json["store"] is True
    [start] = [record for record in done.records if record["type"] == "start"]
    assert start["response_id"] == "resp_1"


@pytest.mark.parametrize("second", [failing(400, "not a stream"), failing(404, "gone"), [head(), FIN]])
def test_a_server_that_streams_no_rest_is_polled(shell: Shell, second: Answer) -> None:
    answers = [BROKEN[1], second, whole(200, response("completed", "Hello"))]
    with Server(*answers) as server:
        done = shell.run(ASK.format(server.url))
    assert (done.status, texts(done.records)) == (0, HELLO)
    assert requests(server)[2] == "GET /responses/resp_1"


def test_a_reply_that_is_queued_is_polled_until_it_is_ready(shell: Shell) -> None:
    states = [response("queued"), response("in_progress"), response("completed", "Hello")]
    with Server(*[whole(200, state) for state in states]) as server:
        done = shell.run(ASK.format(server.url) + " --no-stream")
    assert (done.status, done.err, texts(done.records)) == (0, "", HELLO)
    assert requests(server) == ["POST /responses", "GET /responses/resp_1", "GET /responses/resp_1"]


def test_a_reply_that_fails_in_the_background_fails(shell: Shell) -> None:
    failed = {**response("failed"), "error": {"code": "server_error", "message": "it broke"}}
    with Server(whole(200, response("queued")), whole(200, failed)) as server:
        done = shell.run(ASK.format(server.url) + " --no-stream")
    assert (done.status, done.err) == (69, "llm-send: m: it broke\n")
    assert len(server.requests) == 2


def test_a_background_reply_is_fetched_later(shell: Shell) -> None:
    with Server(whole(200, response("in_progress")), whole(200, response("completed", "Hello"))) as server:
        done = shell.run(AWAIT.format(server.url))
    assert (done.status, texts(done.records)) == (0, HELLO)
    assert requests(server) == ["GET /responses/resp_1"] * 2


def test_a_protocol_without_background_replies_says_so(shell: Shell) -> None:
    done = shell.run("llm-msg -n user hi | llm-send --base-url http://127.0.0.1:9 -m m --await resp_1")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "no replies in the background" in done.err


@pytest.mark.parametrize(
    ("number", "option", "is_stopped"),
    [(signal.SIGINT, "", True), (signal.SIGINT, "--detach", False), (signal.SIGTERM, "", False)],
)
def test_ctrl_c_stops_the_reply_at_the_server(
    shell: Shell, number: signal.Signals, option: str, is_stopped: bool
) -> None:
    with Server([head() + begun() + item(1) + delta("Hel", 2), 30], whole(200, response("cancelled"))) as server:
        process = shell.start(
            f"exec llm-send --base-url {server.url} --protocol openai-responses -m m"
            f" -o background true {option} < <(llm-msg -n user hi)"
        )
        assert process.stdout is not None and process.stderr is not None
        while b'"Hel"' not in process.stdout.readline():
            pass
        process.send_signal(number)
        err = process.stderr.read().decode()
        process.stdout.read()
        assert process.wait(20) == -number
    stops = [request for request in requests(server) if request == "POST /responses/resp_1/cancel"]
    assert len(stops) == is_stopped
    assert ("--await resp_1" in err) == (not is_stopped)


def test_a_time_limit_leaves_the_reply_to_the_server(shell: Shell) -> None:
    with Server([head() + begun() + item(1) + delta("Hel", 2), 30]) as server:
        done = shell.run(ASK.format(server.url) + " --timeout 0.5")
    assert done.status == 75
    assert "m goes on with the reply: llm-send --await resp_1 gets it\n" in done.err
    assert len(server.requests) == 1
