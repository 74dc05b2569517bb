"""What can go wrong between llm-send and a server, each fault made by a real socket: what
came is kept, the status tells it, and a request is never sent twice for nothing."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from llmtools.errors import STATUSES
from support.harness import LIMIT, Done, Shell, texts, valid_records
from support.server import (
    DONE,
    FIN,
    RST,
    Answer,
    Proxy,
    Server,
    ask,
    called,
    chunk,
    chunked,
    closed_port,
    ended,
    event,
    failing,
    full_port,
    head,
    reply,
    said,
    tls_context,
    whole,
)

CANARY = "sk-canary-7d1f"


def one_line(done: Done) -> str:
    """The one line for people that a failure is told in."""
    assert done.err.startswith("llm-send: ") and done.err.count("\n") == 1, done.err
    return done.err


def kinds(records: list[dict[str, Any]]) -> list[str]:
    return [record["type"] for record in records]


def failure(done: Done) -> dict[str, Any]:
    """The one `error` record of a stream."""
    found = [record for record in done.records if record["type"] == "error"]
    assert len(found) == 1, kinds(done.records)
    return found[0]


# 19: the end that is none

CUTS: dict[str, Answer] = {
    "close-delimited": [head() + said("a", "b"), FIN],
    "chunked, cut": [head(transfer_encoding="chunked") + chunked(said("a", "b")), FIN],
    "chunked, ended": [head(transfer_encoding="chunked") + chunked(said("a", "b")) + b"0\r\n\r\n"],
    "in an event": [head() + said("a", "b") + chunk({"content": "c"})[:-20], FIN],
    "in a chunk": [head(transfer_encoding="chunked") + chunked(said("a", "b") + b"data: {" * 99)[:-50], FIN],
    "before its length": [head(content_length=9999) + said("a", "b"), FIN],
    "broken off": [head() + said("a", "b"), 0.3, RST],
}


@pytest.mark.parametrize("name", CUTS)
def test_a_stream_without_its_end_is_cut_off_and_what_came_is_kept(shell: Shell, name: str) -> None:
    with Server(CUTS[name]) as server:
        done = shell.run(ask(server, "--save saved.jsonl"))
    assert done.status == 75
    one_line(done)
    records = done.records
    assert kinds(records) == ["message", "start", "text", "text", "error", "message", "end"]
    assert texts(records) == [("user", "hi"), ("assistant", "ab")]
    assert (records[-1]["status"], records[-1]["exit_status"]) == ("truncated", 75)
    assert records[-2]["response"]["status"] == "truncated"
    saved = valid_records((shell.folder / "saved.jsonl").read_bytes())
    assert saved == [records[0], records[-2]]
    assert len(server.requests) == 1, "what was paid for is not asked for twice"


@pytest.mark.parametrize("arguments", [(), ('{"a": 1, "b', '": "unfin'), ('{"a": 1}',)])
def test_a_call_in_a_cut_reply_is_never_run(shell: Shell, arguments: tuple[str, ...]) -> None:
    with Server([head() + said("x") + called(*arguments), FIN], reply("on")) as server:
        done = shell.run(ask(server, "> cut.jsonl"))
        call = shell.run("cat cut.jsonl").records[-2]["parts"][1]
        further = shell.run(f"(cat cut.jsonl; llm-msg -n user on) | llm-send --base-url {server.url} --anyway")
    assert done.status == 75
    assert call["name"] == "add"
    assert ("exception" in call) == (arguments != ('{"a": 1}',)), "all that came is not all there was"
    assert [record["code"] for record in further.records if record["type"] == "notice"] == ["dropped_call"]
    assert "tool_calls" not in str(server.requests[1].json)


def test_a_stream_cut_between_its_end_and_its_usage_is_whole(shell: Shell) -> None:
    with Server([head() + said("a") + chunk(finish_reason="stop"), FIN]) as server:
        done = shell.run(ask(server))
    assert (done.status, done.err) == (0, "")
    assert done.records[-1]["status"] == "ok"
    assert [record["code"] for record in done.records if record["type"] == "notice"] == ["no_usage"]


@pytest.mark.parametrize("answer", [[head() + said("a") + chunk(finish_reason="stop") + DONE], [head() + said("a")]])
def test_the_last_command_of_a_pipe_reports_a_cut_reply(shell: Shell, answer: Answer) -> None:
    is_whole = answer[0].endswith(DONE)  # type: ignore[union-attr]
    with Server([*answer, FIN]) as server:
        done, statuses = shell.statuses(ask(server) + " | llm-msg user more | llm-parts --all")
    assert statuses == ([0, 0, 0, 0] if is_whole else [0, 75, 75, 75])
    assert done.text == ("hi\na\nmore\n" if is_whole else "hi\na\n")


# 20: silence


def test_a_stall_ends_after_the_idle_timeout(shell: Shell) -> None:
    with Server([head() + said("a")]) as server:
        done = shell.run(ask(server, "--idle-timeout 0.5"))
        server.wait_for_close()
    assert done.status == 75
    assert "0.5 s" in one_line(done)
    assert failure(done)["code"] == "timeout"
    assert texts(done.records)[-1] == ("assistant", "a")
    assert len(server.requests) == 1


def drip(piece: bytes, count: int = 100) -> Answer:
    """Some bytes, ten times a second."""
    return [piece, 0.1] * count


def test_bytes_that_make_no_event_do_not_keep_a_stalled_reply_alive(shell: Shell) -> None:
    with Server([head() + said("a") + b"data: ", *drip(b"x"), FIN]) as server:
        done = shell.run(ask(server, "--idle-timeout 0.5"))
    assert (done.status, failure(done)["code"]) == (75, "timeout")
    assert texts(done.records)[-1] == ("assistant", "a")


def test_a_comment_now_and_then_says_that_the_server_is_alive(shell: Shell) -> None:
    with Server([head(), *drip(b": wait\n\n", 25), said("a") + ended(), FIN]) as server:
        done = shell.run(ask(server, "--idle-timeout 2"))
    assert (done.status, texts(done.records)[-1]) == (0, ("assistant", "a"))


@pytest.mark.parametrize("piece", [chunk({"content": ""}), b": still here\n\n", event({"type": "ping"})])
def test_events_without_content_do_not_keep_a_reply_alive_for_ever(piece: bytes) -> None:
    """Through the library: no option says the limit, which is ten minutes."""
    from llmtools import Conversation, Exchange, user
    from llmtools.http.request import Limits
    from llmtools.protocols.request import Request
    from llmtools.providers.address import at

    with Server([head() + said("a"), *drip(piece), FIN]) as server:
        conversation = Conversation([{**user("hi"), "type": "message"}])
        exchange = Exchange(conversation, Request("m", served_name="m"), at(server.url), Limits(progress=0.5))
        records = [record for batch in exchange.batches() for record in batch]
    assert exchange.failure is not None and exchange.failure.code == "timeout"
    assert "no content came" in exchange.failure.message
    assert records[-1]["exit_status"] == 75


TOTALS: dict[str, list[Answer]] = {
    "events that never end": [[head(), *drip(said("a")), FIN]],
    "comments that never end": [[head() + said("a"), *drip(b": x\n\n"), FIN]],
    "a stall late in the reply": [[head() + said("a"), 1.3, said("a")]],
    "a head that drips": [[b"HTTP/1.1 200 OK\r\n", *drip(b"x-more: 1\r\n"), FIN]],
    "a body of an error that drips": [[head(400), *drip(b"no "), FIN]],
    "further tries": [[0.5, *failing(503, retry_after_ms="100")], []],
    "no answer": [[]],
}


@pytest.mark.parametrize("name", TOTALS)
def test_the_timeout_is_the_most_that_a_reply_takes_with_all_its_tries(shell: Shell, name: str) -> None:
    with Server(*TOTALS[name]) as server:
        done = shell.run(ask(server, "--timeout 1.5"))
        took = server.wait_for_close() - server.requests[0].at
    assert done.status == (65 if "error" in name else 75)
    assert took < 5, "--timeout is a promise"
    one_line(done)
    assert valid_records(done.out)


def test_a_server_that_says_nothing_is_asked_again_and_then_given_up(shell: Shell) -> None:
    with Server([], []) as server:
        done = shell.run(ask(server, "--idle-timeout 0.3 --retries 1"))
    assert (done.status, failure(done)["code"]) == (75, "timeout")
    assert kinds(done.records) == ["message", "notice", "error"]
    assert len(server.requests) == 2
    assert "127.0.0.1" in one_line(done)


def test_a_refused_connection_is_unavailable_and_names_the_host(shell: Shell) -> None:
    done = shell.run(ask(f"http://127.0.0.1:{closed_port()}/v1"))
    assert (done.status, failure(done)["code"]) == (69, "unavailable")
    assert "127.0.0.1" in one_line(done)
    assert kinds(done.records) == ["message", "notice", "notice", "error"], "it is tried three times"


def test_a_connection_that_is_never_made_is_given_up(shell: Shell) -> None:
    with full_port() as port:
        begun = time.monotonic()
        done = shell.run(ask(f"http://127.0.0.1:{port}/v1", "--idle-timeout 0.5 --retries 0"))
        assert time.monotonic() - begun < 5
    assert (done.status, failure(done)["code"]) == (69, "unavailable")
    assert "no connection within 0.5 s" in one_line(done), "the time that it did wait"


# 21: what is no stream of a reply


def test_a_page_in_the_place_of_a_stream_is_reported_with_its_text(shell: Shell) -> None:
    page = b"<html><head><title>t</title></head><body><h1>Welcome to nginx!</h1>\n<p>More</p></body></html>"
    with Server([head(content_type="text/html") + page, FIN]) as server:
        done = shell.run(ask(server))
    assert (done.status, failure(done)["code"]) == (76, "protocol")
    line = one_line(done)
    assert "Welcome to nginx!" in line and "<" not in line
    assert kinds(done.records) == ["message", "error"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "the tank is empty", "code": "insufficient_quota"}}, 77),
        ({"error": {"message": "the tank is empty", "code": 400}}, 65),
        ({"error": "the tank is empty"}, 69),
        ({"detail": "the tank is empty"}, 69),
    ],
)
def test_an_error_under_a_good_status_is_the_error(shell: Shell, body: Any, status: int) -> None:
    for content_type, data in (("application/json", json.dumps(body).encode()), ("text/event-stream", event(body))):
        with Server([head(content_type=content_type) + data, FIN]) as server:
            done = shell.run(ask(server, "--retries 0"))
        assert done.status == status
        assert "the tank is empty" in one_line(done)
        assert len(server.requests) == 1


def test_an_error_in_mid_stream_keeps_what_came(shell: Shell) -> None:
    error = event({"error": {"message": "the worker died", "code": 502}})
    with Server([head() + said("a") + error + said("b") + ended(), FIN]) as server:
        done = shell.run(ask(server))
    assert done.status == 69
    assert kinds(done.records) == ["message", "start", "text", "error", "message", "end"]
    assert texts(done.records)[-1] == ("assistant", "a")
    assert "the worker died" in one_line(done)
    assert len(server.requests) == 1


def test_bad_json_in_one_event_breaks_the_protocol_and_keeps_what_came(shell: Shell) -> None:
    with Server([head() + said("a") + event(b'{"choices": [}') + said("b") + ended(), FIN]) as server:
        done = shell.run(ask(server))
    assert (done.status, failure(done)["code"]) == (76, "protocol")
    assert texts(done.records)[-1] == ("assistant", "a")
    assert done.records[-1]["status"] == "error"
    one_line(done)


def test_unknown_events_and_fields_are_passed_over(shell: Shell) -> None:
    odd = b'event: ping\ndata: {}\n\nevent: queue\nid: 7\nretry: 1\ndata: {"type": "queued"}\n\nx-unknown: 1\n\n: c\n\n'
    with Server([head() + odd + said("a") + odd + said("b") + odd + ended() + odd, FIN]) as server:
        done = shell.run(ask(server))
    assert (done.status, done.err) == (0, "")
    assert texts(done.records)[-1] == ("assistant", "ab")


# 22: too much


def most_memory(shell: Shell, script: str) -> tuple[Done, int]:
    """Run a script; return also the most memory that one process of it took, in MiB."""
    program = (
        "import resource, subprocess, sys\n"
        "status = subprocess.run(['bash', '-c', sys.argv[1]]).returncode\n"
        "print('PEAK', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    (shell.folder / "peak.py").write_text(program)
    (shell.folder / "script").write_text(script)
    done = shell.run(f'{sys.executable} peak.py "$(cat script)"')
    words, _, peak = done.err.rpartition("PEAK ")
    return Done(done.status, done.out, words), int(peak)


@pytest.mark.parametrize("options", ["", "--no-stream"])
def test_a_compressed_answer_that_was_not_asked_for_is_refused_unread(shell: Shell, options: str) -> None:
    bomb = gzip.compress(bytes(100 << 20), 1)
    with Server([head(content_encoding="gzip") + bomb, FIN]) as server:
        done, peak = most_memory(shell, ask(server, options))
    assert server.only.headers["accept-encoding"] == "identity"
    assert (done.status, failure(done)["code"]) == (76, "protocol")
    assert "gzip" in one_line(done)
    assert peak < 150, "MiB"


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_an_answer_that_says_it_is_not_compressed_is_read(shell: Shell, encoding: str) -> None:
    with Server([head(content_encoding=encoding) + said("a") + ended(), FIN]) as server:
        assert shell.run(ask(server)).status == 0


def test_a_compressed_error_is_reported_by_its_status(shell: Shell) -> None:
    body = gzip.compress(json.dumps({"error": {"message": "bad key"}}).encode())
    with Server(whole(401, body, content_encoding="gzip")) as server:
        done = shell.run(ask(server))
    assert done.status == 77
    line = one_line(done)
    assert line.isascii() and "401" in line


def test_an_event_beyond_the_cap_is_refused(shell: Shell) -> None:
    with Server(
        [head() + said("a") + b'data: {"x": "', *([b"x" * (1 << 20)] * 80), b'"}\n\n' + ended(), FIN]
    ) as server:
        done, peak = most_memory(shell, ask(server))
    assert (done.status, failure(done)["code"]) == (76, "protocol")
    assert "64 MiB" in one_line(done)
    assert texts(done.records)[-1] == ("assistant", "a")
    assert peak < 250, "MiB: the cap, and what it takes to look for its end"


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_an_error_body_of_many_mebibytes_is_cut(shell: Shell, kind: str) -> None:
    begin, piece = (b'{"error": {"message": "', b"too much ") if "json" in kind else (b"<p>", b"<b>too much</b> ")
    pieces: Answer = [piece * (1 << 16)] * 40
    with Server([head(500, content_type=kind) + begin, *pieces, FIN]) as server:
        done = shell.run(ask(server, "--retries 0"))
        server.wait_for_close()
    assert done.status == 69
    line = one_line(done)
    assert "too much" in line and len(line) < 2000
    assert server.only.sent < 20 << 20, "the rest was not read"


# 23: another place


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(shell: Shell, status: int) -> None:
    with Server(reply("evil")) as evil, Server() as server:
        server.answers.append(whole(status, b"moved", location=f"{evil.origin}/v1/chat/completions?q=1"))
        done = shell.run(ask(server, "--key-env KEY"), env={"KEY": CANARY})
    assert done.status == 78
    assert evil.origin in one_line(done)
    assert (evil.connections, len(server.requests)) == (0, 1)
    assert CANARY not in done.text + done.err


# 24: whom a key is told


def test_a_key_goes_to_no_other_machine_over_plain_http(shell: Shell) -> None:
    with Server(reply("yes")) as server, Proxy({"model.test": server.port, "127.0.0.1": server.port}) as proxy:
        keyed = shell.run(ask("http://model.test/v1", "--key-env KEY"), env={"KEY": CANARY, "HTTP_PROXY": proxy.url})
        assert keyed.status == 78
        assert "model.test" in one_line(keyed) and CANARY not in keyed.err + keyed.text
        assert (server.connections, proxy.connections) == (0, 0)
        plain = shell.run(ask("http://model.test/v1"), env={"HTTP_PROXY": proxy.url})
    assert (plain.status, proxy.connections) == (0, 1), "it is the key that is refused, not the host"


def test_a_key_for_this_machine_goes_through_no_proxy_on_another(shell: Shell) -> None:
    with Server(reply("yes")) as server:
        env = {"KEY": CANARY, "HTTP_PROXY": "http://proxy.invalid:3128", "ALL_PROXY": "http://proxy.invalid:3128"}
        done = shell.run(ask(server, "--key-env KEY"), env=env)
    assert done.status == 0, "the key would have crossed the network in the open"
    assert server.only.headers["authorization"] == f"Bearer {CANARY}"


def test_an_untrusted_certificate_is_refused_whatever_comes(shell: Shell) -> None:
    with Server(reply("a"), tls=tls_context(trustme.CA(), "127.0.0.1")) as server:
        done = shell.run(ask(server, "--key-env KEY"), env={"KEY": CANARY})
    assert (done.status, failure(done)["code"]) == (69, "unavailable")
    assert "certificate" in one_line(done) and "127.0.0.1" in done.err
    assert server.requests == [] and server.handshakes_failed == server.connections
    assert kinds(done.records) == ["message", "error"], "it will not be trusted the next time either"
    assert CANARY not in done.text + done.err


def test_tls_to_a_server_that_speaks_none_fails(shell: Shell) -> None:
    with Server(reply("a")) as server:
        done = shell.run(ask(server.url.replace("http", "https"), "--retries 0 --idle-timeout 0.5"))
    assert done.status == 69
    assert "127.0.0.1" in one_line(done)
    assert server.requests == []


# 25: no way


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_unavailable(shell: Shell, scheme: str) -> None:
    proxy = f"http://user:{CANARY}@127.0.0.1:{closed_port()}"
    env = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "KEY": CANARY}
    options = "--key-env KEY --retries 0" if scheme == "https" else "--retries 0"
    done = shell.run(ask(f"{scheme}://model.test/v1", options), env=env)
    assert done.status == 69
    assert "model.test" in one_line(done)
    assert CANARY not in done.text + done.err


@pytest.mark.parametrize("proxy", ["socks4://127.0.0.1:9", "gopher://user:sk-canary-7d1f@127.0.0.1:9", "http://[::"])
def test_a_proxy_that_cannot_be_used_is_a_wrong_configuration(shell: Shell, proxy: str) -> None:
    done = shell.run(ask("http://model.test/v1", "--retries 0"), env={"ALL_PROXY": proxy})
    assert done.status == 78
    assert "proxy" in one_line(done).lower()
    assert CANARY not in done.text + done.err


def test_a_name_that_no_one_knows_is_unavailable(shell: Shell) -> None:
    env = {"KEY": CANARY, "RES_OPTIONS": "timeout:1 attempts:1"}
    done = shell.run(ask("https://model.invalid/v1", "--key-env KEY --retries 0"), env=env)
    assert (done.status, failure(done)["code"]) == (69, "unavailable")
    assert "model.invalid" in one_line(done)
    assert CANARY not in done.text + done.err


# 26: trying again


def test_two_failures_then_an_answer(shell: Shell) -> None:
    busy = failing(503, "busy", retry_after="0.2")
    with Server(busy, busy, reply("a")) as server:
        done = shell.run(ask(server))
    assert (done.status, done.err) == (0, "")
    assert kinds(done.records) == ["message", "notice", "notice", "start", "text", "message", "end"]
    assert [record["code"] for record in done.records[1:3]] == ["retry", "retry"]
    first, second, third = server.requests
    assert first.body == second.body == third.body
    assert second.at - first.at >= 0.2 and third.at - second.at >= 0.2, "the server's own delay"


def test_notices_are_shown_only_on_request(shell: Shell) -> None:
    for options, count in (("", 0), ("-v", 1)):
        with Server(failing(503, "busy", retry_after_ms="10"), reply("a")) as server:
            done = shell.run(ask(server, options))
        assert done.err.count("busy") == count


@pytest.mark.parametrize("name", ["retry_after", "retry_after_ms"])
def test_a_delay_that_the_server_asks_for_is_obeyed(shell: Shell, name: str) -> None:
    with Server(failing(429, **{name: "700" if name.endswith("ms") else "0.7"}), reply("a")) as server:
        done = shell.run(ask(server))
    assert done.status == 0
    assert server.requests[1].at - server.requests[0].at >= 0.7


@pytest.mark.parametrize("message", ["slow down", "Rate limited, please retry later"])
def test_a_delay_beyond_the_budget_fails_at_once_and_is_reported(shell: Shell, message: str) -> None:
    with Server(failing(429, message, "rate_limit_exceeded", retry_after="7200")) as server:
        done = shell.run(ask(server))
    assert (done.status, failure(done)["code"], failure(done)["retry_after"]) == (75, "rate_limited", 7200)
    assert "7200" in one_line(done)
    assert len(server.requests) == 1


def test_a_delay_beyond_the_timeout_ends_at_once(shell: Shell) -> None:
    with Server(failing(429, retry_after="5")) as server:
        done = shell.run(ask(server, "--timeout 3"))
    assert (done.status, len(server.requests)) == (75, 1)


@pytest.mark.parametrize(
    "value", ["-5", "nan", "-inf", "soon", "", "Sun, 06 Nov 1994 08:49:37 GMT", "Mon, 99 Foo 2020 99:99:99 GMT"]
)
def test_an_invalid_delay_is_ignored(shell: Shell, value: str) -> None:
    answer = failing(429, retry_after=value, date="Sun, 06 Nov 2050 08:49:37 GMT")
    with Server(answer, reply("a")) as server:
        done = shell.run(ask(server))
    assert done.status == 0
    assert server.requests[1].at - server.requests[0].at < 5, "our own delay, of half a second at most"


@pytest.mark.parametrize("value", ["1e9", "1000000000", "Sun, 06 Nov 2050 08:49:37 GMT"])
def test_a_delay_of_years_is_not_waited_for(shell: Shell, value: str) -> None:
    with Server(failing(429, retry_after=value, date="Sun, 06 Nov 1994 08:49:37 GMT")) as server:
        done = shell.run(ask(server))
    assert (done.status, len(server.requests)) == (75, 1)
    assert "0000" in one_line(done) or "1767" in done.err, "the seconds, in digits"


@pytest.mark.parametrize(("status", "exit_status"), [(429, 75), (503, 69), (500, 69), (529, 75), (408, 75), (409, 75)])
def test_a_storm_is_given_up_after_three_requests(shell: Shell, status: int, exit_status: int) -> None:
    with Server(*[failing(status, retry_after_ms="20")] * 5) as server:
        done = shell.run(ask(server))
    assert (done.status, failure(done)["http_status"]) == (exit_status, status)
    assert len(server.requests) == 3
    assert kinds(done.records) == ["message", "notice", "notice", "error"]
    one_line(done)


def test_how_often_is_for_the_user_to_say(shell: Shell) -> None:
    for retries in (0, 1, 4):
        with Server(*[failing(503, retry_after_ms="5")] * 9) as server:
            assert shell.run(ask(server, f"--retries {retries}")).status == 69
        assert len(server.requests) == retries + 1


def test_the_server_says_whether_to_try_again(shell: Shell) -> None:
    with Server(failing(503, x_should_retry="false")) as server:
        assert shell.run(ask(server)).status == 69
    assert len(server.requests) == 1
    with Server(failing(400, x_should_retry="true", retry_after_ms="5"), reply("a")) as server:
        assert shell.run(ask(server)).status == 0
    assert len(server.requests) == 2


REFUSALS = [
    (400, "wrong", None, 65, "bad_request"),
    (400, "maximum context length is 10 tokens", "context_length_exceeded", 65, "context_too_long"),
    (401, "no such key", "invalid_api_key", 77, "key_refused"),
    (402, "pay", None, 77, "quota"),
    (403, "not you", None, 77, "key_refused"),
    (404, "The model `tiny` does not exist", "model_not_found", 78, "no_model"),
    (404, "Not Found", None, 78, "config"),
    (413, "too large", None, 65, "bad_request"),
    (422, "wrong", None, 65, "bad_request"),
    (429, "You exceeded your current quota", "insufficient_quota", 77, "quota"),
]


@pytest.mark.parametrize(("status", "message", "word", "exit_status", "code"), REFUSALS)
def test_a_refusal_is_reported_after_one_request(
    shell: Shell, status: int, message: str, word: str | None, exit_status: int, code: str
) -> None:
    with Server(failing(status, message, word, x_request_id="req_1"), reply("never")) as server:
        done = shell.run(ask(server))
    assert (done.status, len(server.requests)) == (exit_status, 1)
    error = failure(done)
    assert (error["code"], error["http_status"], error["request_id"]) == (code, status, "req_1")
    advice = " (no key was sent)" if status == 401 else ""
    assert one_line(done) == f"llm-send: tiny: {status} {message}{advice} (request req_1)\n"
    assert kinds(done.records) == ["message", "error"]


def test_a_server_that_does_not_run_is_reported_with_the_command_that_starts_it(shell: Shell) -> None:
    server = f"http://127.0.0.1:{closed_port()}"
    done = shell.run("llm-msg -n user hi | llm-send -m ollama/qwen3 --retries 0", env={"OLLAMA_HOST": server})
    assert one_line(done) == f"llm-send: ollama/qwen3: not running at {server} (ollama serve)\n"
    error = failure(done)
    assert (error["model"], error["provider"], error["server"]) == ("ollama/qwen3", "ollama", server)


def test_a_model_that_is_missing_is_reported_with_the_command_that_gets_it(shell: Shell) -> None:
    with Server(failing(404, "model 'qwen3' not found")) as server:
        done = shell.run("llm-msg -n user hi | llm-send -m ollama/qwen3", env={"OLLAMA_HOST": server.origin})
    assert one_line(done) == "llm-send: ollama/qwen3: 404 model 'qwen3' not found (ollama pull qwen3)\n"
    assert done.status == 78


@pytest.mark.parametrize(
    ("options", "source"),
    [("--key-file key", "key"), ("--key-fd 3 3<key", "descriptor 3"), ("--key-env MY_KEY", "the variable MY_KEY")],
)
def test_a_refused_key_is_reported_with_the_place_that_it_is_from(shell: Shell, options: str, source: str) -> None:
    script = f"umask 077; echo sk-000000001 > key; {{}}{options}"
    with Server(failing(401, "Incorrect API key", "invalid_api_key")) as server:
        done = shell.run(script.format(ask(server)), env={"MY_KEY": "sk-000000001"})
    assert one_line(done) == f"llm-send: tiny: 401 the key from {source} was refused: Incorrect API key\n"
    assert failure(done)["server"] == server.origin


def test_a_reader_that_leaves_while_a_retry_is_waited_for_ends_it(shell: Shell) -> None:
    with Server(failing(503, retry_after="20"), reply("never")) as server:
        done, statuses = shell.statuses(ask(server) + " | head -n 2")
    assert statuses == [0, 141, 0]
    assert done.err.startswith("STATUSES")
    assert len(server.requests) == 1


# 27: trying again after the first event


def test_a_reply_that_has_begun_is_asked_for_again_only_when_told_to(shell: Shell) -> None:
    with Server([head() + said("wrong ", "words"), 0.5, FIN], reply("right ", "words")) as server:
        done, statuses = shell.statuses(
            ask(server, "--retry-stream --save saved.jsonl") + " | tee all.jsonl | llm-parts"
        )
    assert statuses == [0, 0, 0, 0]
    assert done.text == "wrong words\nright words\n"
    assert "again" in done.err.partition("STATUSES")[0], "the reader is told that what was shown is taken back"
    records = shell.run("cat all.jsonl").records
    middle = ["start", "text", "text"]
    assert kinds(records) == ["message", *middle, "reset", "notice", *middle, "message", "end"]
    assert texts(records)[1:] == [("assistant", "right words")]
    assert records[-1]["status"] == records[-2]["response"]["status"] == "ok"
    assert texts(valid_records((shell.folder / "saved.jsonl").read_bytes()))[1:] == [("assistant", "right words")]
    assert shell.run("llm-parts --whole < all.jsonl").text == "right words\n"
    assert len(server.requests) == 2


def test_what_is_taken_back_leaves_nothing_behind(shell: Shell) -> None:
    begun = head() + chunk({"reasoning_content": "hm"}) + said("x") + called('{"a":')
    with Server([begun, 0.2, RST], reply("right")) as server:
        records = shell.run(ask(server, "--retry-stream")).records
    assert [part["type"] for part in records[-2]["parts"]] == ["text"]
    assert texts(records)[-1] == ("assistant", "right")
    assert server.requests[0].body == server.requests[1].body


def test_a_reply_that_is_cut_each_time_ends_with_the_last_one(shell: Shell) -> None:
    with Server([head() + said("one"), FIN], [head() + said("two"), FIN]) as server:
        done = shell.run(ask(server, "--retry-stream --retries 1"))
    assert done.status == 75
    assert texts(done.records)[1:] == [("assistant", "two")]
    assert done.records[-1]["status"] == "truncated"
    assert len(server.requests) == 2


# 28: HTTP that is none

ODD: dict[str, tuple[Answer, int]] = {
    "closed at once": ([FIN], 69),
    "broken off at once": ([RST], 69),
    "half-closed after the head": ([head(), FIN], 75),
    "no content": ([head(204)], 76),
    "reset content": ([head(205)], 76),
    "part of it": ([head(206) + said("a") + ended(), FIN], 76),
    "other protocol": ([head(101, upgrade="x", connection="upgrade"), FIN], 76),
    "header of a mebibyte": ([b"HTTP/1.1 200 OK\r\nx: " + b"x" * (1 << 20) + b"\r\n\r\n", FIN], 76),
    "a million headers": ([b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * (1 << 20) + b"\r\n", FIN], 76),
    "garbage": ([b"\x00\x01\x02 what is this\r\n\r\n", FIN], 76),
    "no HTTP": ([b"SSH-2.0-OpenSSH_9.6\r\n", FIN], 69),
    "a status of words": ([b"HTTP/1.1 fine OK\r\n\r\n", FIN], 76),
    "two status lines": ([b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n\r\n" + said("a"), FIN], 76),
    "two lengths": ([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + said("a"), FIN], 76),
    "HTTP/2": ([b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), FIN], 76),
    "a chunk of no size": ([head(transfer_encoding="chunked") + b"zz\r\nx\r\n", FIN], 76),
    "an empty body": ([head(content_length=0)], 75),
    "shorter than it is": ([head(content_length=len(said("a"))) + said("a") + ended()], 75),
    "a head cut off": ([b"HTTP/1.1 200 OK\r\nContent-Ty", FIN], 69),
}


@pytest.mark.parametrize("name", ODD)
def test_an_answer_that_is_not_http_is_one_line_and_a_status(shell: Shell, name: str) -> None:
    answer, status = ODD[name]
    with Server(*[answer] * 3) as server:
        done = shell.run(ask(server))
    assert done.status == status
    line = one_line(done)
    assert line.strip().isprintable() and len(line) < 1000
    assert failure(done)["exit_status"] == status
    assert len(server.requests) <= 3
    assert status != 76 or len(server.requests) == 1, "who breaks the protocol will do so again"


@pytest.mark.parametrize("before", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
def test_what_comes_before_the_answer_is_passed_over(shell: Shell, before: bytes) -> None:
    with Server([before * 2 + head() + said("a") + ended(), FIN]) as server:
        done = shell.run(ask(server))
    assert (done.status, texts(done.records)[-1]) == (0, ("assistant", "a"))


@pytest.mark.parametrize(
    "answer", [[head(content_length=99999) + said("a") + ended(), FIN], [head() + said("a") + ended()]]
)
def test_nothing_is_read_behind_the_end(shell: Shell, answer: Answer) -> None:
    with Server(answer) as server:
        done = shell.run(ask(server))
        server.wait_for_close()
    assert (done.status, done.err) == (0, "")
    assert done.records[-1]["usage"] == {"input": 3, "output": 2}


# The ends of the pipe


def test_a_slow_reader_does_not_run_down_the_idle_timeout(shell: Shell) -> None:
    count = 3000
    with Server([head() + said(*["x" * 1000] * count) + ended(), FIN]) as server:
        done, statuses = shell.statuses(ask(server, "--idle-timeout 1.5") + " | (sleep 3; cat) > out.jsonl")
    assert statuses == [0, 0, 0], done.err
    records = valid_records((shell.folder / "out.jsonl").read_bytes()[-(count * 1000 + 100000) :].split(b"\n", 1)[1])
    assert records[-1]["status"] == "ok"
    assert len(records[-2]["parts"][0]["text"]) == count * 1000


def test_a_reader_that_leaves_closes_the_connection(shell: Shell) -> None:
    with Server([head() + said("a")]) as server:
        done, statuses = shell.statuses(ask(server, "--save saved.jsonl") + " | head -n 2")
        server.wait_for_close()
    assert statuses == [0, 141, 0]
    assert done.err.startswith("STATUSES")
    saved = valid_records((shell.folder / "saved.jsonl").read_bytes())
    assert saved[-1]["response"]["status"] == "cancelled"


@pytest.mark.parametrize("answer", [[head() + said("a")], [head()], []])
def test_a_signal_stops_the_request_wherever_it_is(shell: Shell, answer: Answer) -> None:
    shell.run("llm-msg -n user hi > in.jsonl")
    with Server(answer) as server:
        script = f"exec llm-send --base-url {server.url} -m tiny < in.jsonl"
        process = shell.start(script, stdin=subprocess.DEVNULL)
        server.wait_for_request()
        assert process.stdout
        for _ in range(3 if answer and answer != [head()] else 1):
            process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        signalled = time.monotonic()
        out, err = process.communicate(timeout=LIMIT)
        assert server.wait_for_close() - signalled < 5
    assert (process.returncode, err) == (-signal.SIGINT, b"")
    records = valid_records(out)
    assert kinds(records)[-2:] == (["message", "end"] if len(records) > 1 else ["error"])
    assert records[-1].get("code", records[-1].get("status")) == "cancelled"


# Fault number n, for all n

PIECES = ["Grüße, ", "Ana", "naïve ", "wie ", "geht ", "es ", "dir", "? 🙂"]


def wire() -> bytes:
    """A reply of eight pieces, byte for byte."""
    return said(*PIECES) + ended()


def places() -> Iterator[tuple[int, Any]]:
    """Where and how it is broken: at the end of every event both ways, at fifty bytes in turns."""
    data = wire()
    ends = [place + 2 for place in range(len(data)) if data.startswith(b"\n\n", place)]
    yield from ((place, close) for place in [0, *ends] for close in (FIN, RST))
    yield from ((1 + number * len(data) // 50, RST if number % 2 else FIN) for number in range(50))


@pytest.mark.slow
def test_a_reply_broken_at_any_place_is_never_taken_for_a_whole_one(shell: Shell) -> None:
    data, faults = wire(), list(places())
    finished = data.index(chunk(finish_reason="stop")) + len(chunk(finish_reason="stop")) - 2
    shell.run("llm-msg -n user hi > in.jsonl")
    answers: list[Answer] = [
        [head() + data[:place], *([0.02] if close is RST else []), close] for place, close in faults
    ]
    with Server(*answers) as server:
        command = f"llm-send --base-url {server.url} -m tiny --retries 0 --save saved < in.jsonl > out 2> err"
        for number, (place, close) in enumerate(faults):
            status = shell.run(command).status
            records = valid_records((shell.folder / "out").read_bytes())
            case = f"{close.name} after {place} bytes"
            assert status in STATUSES and status == (0 if place >= finished else 75), case
            words = (shell.folder / "err").read_text()
            assert words.count("\n") == (status != 0) and "Traceback" not in words, case
            assert valid_records((shell.folder / "saved").read_bytes()) == [
                r for r in records if r["type"] == "message"
            ]
            if "start" in kinds(records):
                text = texts(records)[-1][1]
                assert "".join(PIECES).startswith(text), case
                assert kinds(records)[-2:] == ["message", "end"] and ("error" in kinds(records)) == (status != 0), case
            else:
                assert kinds(records) == ["message", "error"], case
            assert len(server.requests) == number + 1, case
    assert os.path.getsize(shell.folder / "saved") > 0
