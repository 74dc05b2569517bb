"""The request as it goes over the wire, and the way it takes: --dry-run, options, proxies,
CAs; the library's two ways to ask; and that a key is seen by nobody else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from llmtools import Conversation, Exchange, user
from llmtools.http.request import Limits
from llmtools.protocols.request import Request
from llmtools.providers.address import at
from support.harness import LIMIT, Shell, texts, valid_records
from support.server import (
    FIN,
    RST,
    Answer,
    Proxy,
    Server,
    ask,
    called,
    chunk,
    closed_port,
    completion,
    ended,
    event,
    failing,
    head,
    reply,
    said,
    tls_context,
    whole,
)

CANARY = "sk-canary-51c0ffee"
OF_THE_CLIENT = {"host", "content-length", "connection", "accept-encoding", "user-agent"}
TOOL = {
    "type": "tool",
    "name": "add",
    "description": "Adds",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
}


def put(shell: Shell, name: str, *records: dict[str, Any]) -> str:
    """Write records to a file; return its name."""
    (shell.folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    return name


def message(role: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "parts": list(parts), **more}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


# The request


def test_a_dry_run_shows_the_request_that_is_sent_with_the_key_masked(shell: Shell) -> None:
    put(shell, "in.jsonl", message("system", text("Be brief")), TOOL, message("user", text("Grüße 🙂")))
    options = "--key-env KEY -o temperature 0.2 -o stop END --tool-choice add --reasoning low --schema 'name, age int'"
    with Server(reply("a")) as server:
        command = f"llm-send --base-url {server.url} -m tiny {options} < in.jsonl"
        dry = shell.run(f"{command} --dry-run", env={"KEY": CANARY})
        assert (dry.status, dry.err, server.connections) == (0, "", 0)
        assert shell.run(command, env={"KEY": CANARY}).status == 0
    sent = server.only
    shown = json.loads(dry.text)
    assert dry.text.count("\n") == 1, "the request, and nothing of the stream"
    assert (shown["method"], shown["url"]) == ("POST", server.origin + sent.path)
    assert sent.line == "POST /v1/chat/completions HTTP/1.1"
    assert shown["body"] == sent.json
    assert shown["headers"].pop("authorization") == "Bearer ***"
    assert sent.headers.pop("authorization") == f"Bearer {CANARY}"
    headers = {name: value for name, value in sent.headers.items() if name not in OF_THE_CLIENT | {"authorization"}}
    assert shown["headers"] == headers
    assert CANARY not in dry.text


def test_a_dry_run_answers_no_conversation_record(shell: Shell) -> None:
    rows: list[Any] = [{"type": "conversation", "messages": [message("user", text(name))]} for name in ("a", "b")]
    put(shell, "rows.jsonl", {**rows[0], "options": {"seed": 7}}, rows[1])
    with Server(reply("x"), reply("y")) as server:
        done = shell.run(f"llm-send --base-url {server.url} -m tiny --dry-run < rows.jsonl")
    assert (done.status, server.connections) == (0, 0)
    shown = [json.loads(line) for line in done.text.splitlines()]
    assert [request["body"]["messages"][-1]["content"] for request in shown] == ["a", "b"]
    assert [request["body"].get("seed") for request in shown] == [7, None]


def test_a_dry_run_needs_no_key(shell: Shell) -> None:
    done = shell.run("llm-msg user hi | llm-send -m groq/tiny --dry-run")
    shown = json.loads(done.text)
    assert (done.status, shown["headers"]["authorization"]) == (0, "Bearer ***")
    assert done.err.startswith("llm-send: no key for groq")
    quiet = shell.run("llm-msg user hi | llm-send -m groq/tiny --dry-run -q")
    assert (quiet.text, quiet.err) == (done.text, "")


def test_a_dry_run_of_a_failed_stream_shows_nothing(shell: Shell) -> None:
    failed = '{"error":{"code":"rate_limited","message":"slow down"}}'
    with Server() as server:
        done = shell.run(f"llm-msg user '{failed}' | llm-send -m echo | llm-send --base-url {server.url} --dry-run")
    assert (done.status, done.text, server.connections) == (75, "", 0)


def test_a_dry_run_of_what_is_not_asked_over_http_is_a_usage_error(shell: Shell) -> None:
    assert shell.run("llm-msg user hi | llm-send -m echo --dry-run").status == 2


def test_the_answer_comes_in_one_piece_where_that_is_asked_for(shell: Shell) -> None:
    with Server(whole(200, completion("all of it"))) as server:
        done = shell.run(ask(server, "--no-stream"))
    assert (done.status, done.err) == (0, "")
    assert [record["type"] for record in done.records] == ["message", "start", "text", "message", "end"]
    assert texts(done.records)[-1] == ("assistant", "all of it")
    assert done.records[-1]["usage"] == {"input": 3, "output": 2}
    assert server.only.headers["accept"] == "application/json"
    assert server.only.json.keys().isdisjoint({"stream", "stream_options"})


def test_a_stream_and_a_whole_answer_make_the_same_message(shell: Shell) -> None:
    with Server(reply("all ", "of it"), whole(200, completion("all of it"))) as server:
        streamed, at_once = (shell.run(ask(server, options)).records[-2] for options in ("", "--no-stream"))
    assert streamed["parts"] == at_once["parts"]
    assert server.requests[0].headers["accept"] == "text/event-stream"
    assert server.requests[0].json["stream"] is True
    assert server.requests[0].json["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("options", "said_so"),
    [
        ("-o temperature 0.5", {"temperature": 0.5}),
        ("-o max_tokens 7 -o top_p 1", {"max_tokens": 7, "top_p": 1}),
        ("-o stop END", {"stop": ["END"]}),
        ("""-o stop '["a","b"]'""", {"stop": ["a", "b"]}),
        ("""-o logit_bias '{"1":-100}'""", {"logit_bias": {"1": -100}}),
        ("-o custom_word yes", {"custom_word": "yes"}),
        ("--reasoning high", {"reasoning_effort": "high"}),
        ("--tool-choice none", {"tool_choice": "none"}),
        ("--tool-choice required", {"tool_choice": "required"}),
        ("--tool-choice add", {"tool_choice": {"type": "function", "function": {"name": "add"}}}),
        ("-s 'Be brief'", {"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "hi"}]}),
    ],
)
def test_an_option_is_on_the_wire(shell: Shell, options: str, said_so: dict[str, Any]) -> None:
    put(shell, "tool.jsonl", TOOL)
    with Server(reply("a")) as server:
        done = shell.run(f"llm-msg user hi < tool.jsonl | llm-send --base-url {server.url} -m tiny {options}")
    assert done.status == 0
    wire = server.only.json
    assert {name: wire[name] for name in said_so} == said_so
    assert wire["model"] == "tiny"


def test_tools_are_offered_from_the_stream(shell: Shell) -> None:
    old = {**TOOL, "description": "Old"}
    foreign = {"type": "tool", "name": "search", "provider_metadata": {"other": {"type": "web_search"}}}
    with Server(reply("a")) as server:
        own = {"type": "tool", "name": "own", "provider_metadata": {server.origin: {"type": "web_search", "x": 1}}}
        put(shell, "in.jsonl", old, foreign, own, TOOL, message("user", text("hi")))
        done = shell.run(f"llm-send --base-url {server.url} -m tiny < in.jsonl")
    function = {name: TOOL[name] for name in ("name", "description")} | {"parameters": TOOL["input_schema"]}
    tools = server.only.json["tools"]
    assert sorted(map(json.dumps, tools)) == sorted(
        map(json.dumps, [{"type": "function", "function": function}, {"type": "web_search", "x": 1}])
    )
    notices = [record["message"] for record in done.records if record["type"] == "notice"]
    assert len(notices) == 1 and "search" in notices[0]


def test_a_call_and_its_result_go_back(shell: Shell) -> None:
    put(shell, "in.jsonl", TOOL, message("user", text("1 + 1?")))
    calls: Answer = [head() + said("let me see") + called('{"a": ', "1}") + ended("tool_calls"), FIN]
    with Server(calls, reply("two")) as server:
        options = f"--base-url {server.url}"
        script = f"llm-send {options} -m tiny < in.jsonl | llm-msg tool 2 | llm-send {options} | llm-parts"
        done, statuses = shell.statuses(script)
    assert (statuses, done.text) == ([0, 0, 0, 0], "let me see\ntwo\n"), "both messages are the reply"
    first, second = (received.json for received in server.requests)
    assert first["tools"] == second["tools"]
    asked, answered = second["messages"][-2:]
    assert asked["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    ]
    assert answered == {"role": "tool", "tool_call_id": "call_1", "content": "2"}


def test_the_model_of_the_last_reply_is_asked_again(shell: Shell) -> None:
    with Server(reply("a"), reply("b")) as server:
        options = f"--base-url {server.url}"
        shell.run(f"llm-msg user hi | llm-send {options} -m some/model:7b | llm-msg user more | llm-send {options}")
        again = shell.run(f"llm-msg user hi | llm-send {options} -m x | llm-msg user more | llm-send")
    assert [received.json["model"] for received in server.requests[:2]] == ["some/model:7b"] * 2
    assert [said["content"] for said in server.requests[1].json["messages"]] == ["hi", "a", "more"]
    assert again.status != 0 and len(server.requests) == 3, "an address is never taken from a stream"


def test_without_a_model_nothing_is_asked(shell: Shell) -> None:
    with Server() as server:
        assert shell.run(f"llm-msg user hi | llm-send --base-url {server.url}").status == 78
        named = shell.run(f"llm-msg user hi | llm-send --base-url {server.url}", env={"LLMTOOLS_MODEL": "m"})
    assert (named.status, server.only.json["model"]) == (65, "m")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080/v1",
        "ftp://user:sk-canary-51c0ffee@127.0.0.1/v1",
        "user:sk-canary-51c0ffee@127.0.0.1/v1",
        "http:///v1",
        "http://127.0.0.1:port/v1",
        "http://user:sk-canary-51c0ffee@127.0.0.1/v1",
        "http://user:sk-canary-51c0ffee@127.0.0.1:99999/v1",
        "http://[::1/v1",
        "http://a b/v1",
        "http://127.0.0.1/v1?key=sk-canary-51c0ffee",
        "http://127.0.0.1/v1#part",
        "",
    ],
)
def test_an_invalid_base_url_is_a_usage_error_without_the_password(shell: Shell, url: str) -> None:
    done = shell.run(f"llm-msg user hi | llm-send --base-url '{url}' -m tiny")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert CANARY not in done.err + done.text


def test_a_protocol_no_one_speaks_is_a_usage_error(shell: Shell) -> None:
    with Server() as server:
        done = shell.run(ask(server, "--protocol smtp"))
        assert (done.status, server.connections) == (2, 0)
        assert "openai-chat" in done.err
    assert shell.run("llm-msg user hi | llm-send -m echo --protocol openai-chat").status == 2


@pytest.mark.parametrize(
    "options", ["--timeout 0", "--timeout x", "--idle-timeout -1", "--retries -1", "--retries 1.5", "-o n 2"]
)
def test_a_wrong_value_is_a_usage_error_before_anything_is_sent(shell: Shell, options: str) -> None:
    with Server() as server:
        assert shell.run(ask(server, options)).status == 2
    assert server.connections == 0


@pytest.mark.parametrize("suffix", ["", "/"])
def test_the_path_of_the_vendor_goes_behind_the_base_url(shell: Shell, suffix: str) -> None:
    with Server(reply("a")) as server:
        shell.run(ask(f"{server.origin}/deep/er{suffix}"))
    assert server.only.path == "/deep/er/chat/completions"


# Who gets what


def test_what_another_issuer_signed_is_never_on_the_wire(shell: Shell) -> None:
    foreign = {"provider_metadata": {"http://127.0.0.1:1": {"signature": CANARY, "field": "reasoning_content"}}}
    call = {"type": "tool_call", "name": "add", "arguments": {"a": 1}, "tool_call_id": "call_1", **foreign}
    result = {"type": "tool_result", "name": "add", "output": "2", "tool_call_id": "call_1", **foreign}
    annotation = {"kind": "url", "url": "http://x.test/", **foreign}
    records = [
        {**TOOL, **foreign},
        message("user", text("hi", **foreign), **foreign),
        message(
            "assistant",
            {"type": "reasoning", "text": CANARY, **foreign},
            text("answer", annotations=[annotation], **foreign),
            call,
            {"type": "strange_block", **foreign},
            response={"id": "r", "model": "m", "status": "ok", "details": {"x": {"secret": CANARY}}},
            **foreign,
        ),
        message("tool", result, **foreign),
    ]
    put(shell, "in.jsonl", *records)
    with Server(reply("a")) as server:
        done = shell.run(f"llm-send --base-url {server.url} -m tiny < in.jsonl")
    assert done.status == 0
    assert CANARY not in server.only.head.decode() + server.only.body.decode()
    assert "answer" in server.only.body.decode()
    assert {record["code"] for record in done.records if record["type"] == "notice"} >= {"dropped_reasoning"}


def test_reasoning_goes_back_to_where_it_came_from_and_nowhere_else(shell: Shell) -> None:
    thought: Answer = [head() + chunk({"reasoning_content": "deep thought"}) + said("a") + ended(), FIN]
    with Server(thought, reply("b")) as server, Server(reply("c")) as other:
        shell.run(ask(server) + " | llm-msg user more > talk.jsonl")
        for each in (server, other):
            assert shell.run(f"llm-send --base-url {each.url} < talk.jsonl").status == 0
    assert server.requests[1].json["messages"][1]["reasoning_content"] == "deep thought"
    assert "deep thought" not in other.only.body.decode()


# The way


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_plain_http_goes_through_its_proxy(shell: Shell, variable: str) -> None:
    with Server(reply("a")) as server, Proxy({"model.test": server.port}) as proxy:
        done = shell.run(ask("http://model.test/v1"), env={variable: proxy.url})
    assert (done.status, texts(done.records)[-1]) == (0, ("assistant", "a"))
    assert proxy.requests[0].line == "POST http://model.test/v1/chat/completions HTTP/1.1"
    assert server.only.headers["host"] == "model.test"


def test_https_goes_through_a_tunnel_that_shows_nothing(shell: Shell) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(shell.folder / "ca.pem"))
    with (
        Server(reply("a"), tls=tls_context(authority, "model.test")) as server,
        Proxy({"model.test": server.port}) as proxy,
    ):
        env = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": "ca.pem", "KEY": CANARY}
        done = shell.run(ask("https://model.test/v1", "--key-env KEY"), env=env)
    assert (done.status, texts(done.records)[-1]) == (0, ("assistant", "a"))
    assert proxy.requests[0].line == "CONNECT model.test:443 HTTP/1.1"
    assert server.only.headers["authorization"] == f"Bearer {CANARY}"
    assert CANARY.encode() not in proxy.seen and b"chat/completions" not in proxy.seen


def test_no_proxy_is_a_way_round_it(shell: Shell) -> None:
    with Server(reply("a"), reply("b")) as server, Proxy({"127.0.0.1": server.port}) as proxy:
        direct = shell.run(ask(server), env={"HTTP_PROXY": proxy.url, "NO_PROXY": "127.0.0.1"})
        assert (direct.status, proxy.connections) == (0, 0)
        through = shell.run(ask(server), env={"HTTP_PROXY": proxy.url})
        assert (through.status, proxy.connections) == (0, 1)


def test_a_proxy_that_knows_no_way_is_unavailable(shell: Shell) -> None:
    with Proxy({}) as proxy:
        env = {"HTTPS_PROXY": proxy.url, "HTTP_PROXY": proxy.url, "KEY": CANARY}
        for url, key in (("https://model.test/v1", "--key-env KEY"), ("http://model.test/v1", "")):
            done = shell.run(ask(url, f"{key} --retries 0"), env=env)
            assert done.status == 69
            assert "502" in done.err and CANARY not in done.err + done.text
    assert CANARY.encode() not in proxy.seen


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_a_private_ca_is_trusted_where_the_user_says_so(shell: Shell, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(str(shell.folder / "ca.pem"))
    with Server(reply("a"), tls=tls_context(authority, "127.0.0.1")) as server:
        done = shell.run(ask(server, "--key-env KEY"), env={"SSL_CERT_FILE": "ca.pem", "KEY": CANARY})
    assert (done.status, texts(done.records)[-1]) == (0, ("assistant", "a"))
    assert server.only.headers["authorization"] == f"Bearer {CANARY}"


def test_a_certificate_for_another_host_is_refused(shell: Shell, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(str(shell.folder / "ca.pem"))
    with Server(reply("a"), tls=tls_context(authority, "other.test")) as server:
        done = shell.run(ask(server, "--key-env KEY --retries 0"), env={"SSL_CERT_FILE": "ca.pem", "KEY": CANARY})
    assert done.status == 69
    assert "certificate" in done.err.lower()
    assert server.requests == []


def test_a_file_of_cas_that_is_not_there_is_named(shell: Shell, authority: trustme.CA) -> None:
    with Server(reply("a"), tls=tls_context(authority, "127.0.0.1")) as server:
        done = shell.run(ask(server), env={"SSL_CERT_FILE": "/nonexistent.pem"})
    assert done.status == 78
    assert "SSL_CERT_FILE" in done.err and "/nonexistent.pem" in done.err
    assert server.connections == 0


@pytest.mark.parametrize("more", [{}, {"HTTPS_PROXY": "http://127.0.0.1:9"}])
def test_plain_http_loads_no_cas(shell: Shell, more: dict[str, str]) -> None:
    with Server(reply("a")) as server:
        done = shell.run(ask(server), env={"SSL_CERT_FILE": "/nonexistent.pem", **more})
    assert (done.status, done.err) == (0, "")


# The library


def exchange(server: Server, **limits: Any) -> Exchange:
    conversation = Conversation([{**user("hi"), "type": "message"}])
    request = Request("tiny", served_name="tiny", issuer=server.origin)
    return Exchange(conversation, request, at(server.url), Limits(**limits))


def alike(record: dict[str, Any], origin: str) -> dict[str, Any]:
    """A record without what is another each time: the moment, the port, the wait by chance."""
    rest = json.loads(json.dumps(record).replace(origin, "ORIGIN"))
    for holder in (rest, rest.get("response", {})):
        for name in ("created", "timing"):
            holder.pop(name, None)
    if rest["type"] == "notice":
        rest["message"] = rest["message"].partition(";")[0]
    return rest  # type: ignore[no-any-return]


SCRIPTS: dict[str, Callable[[], list[Answer]]] = {
    "a reply": lambda: [reply("one ", "two")],
    "a reply after a failure": lambda: [failing(503, "busy", retry_after_ms="10"), reply("one")],
    "one that is cut": lambda: [[head() + said("one "), 0.1, said("two")[:-9], FIN]],
    "one that begins anew": lambda: [[head() + said("wrong"), FIN], reply("right")],
    "an error": lambda: [failing(401, "no entry", "invalid_api_key")],
    "garbage": lambda: [[head() + said("a") + event(b"{]"), FIN]],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_both_ways_to_ask_give_the_same_records(name: str) -> None:
    limits = {"retry_stream": name == "one that begins anew", "retries": 1}

    def outcome(server: Server, asked: Exchange, records: list[dict[str, Any]]) -> Any:
        return [alike(record, server.origin) for record in records], asked.failure and asked.failure.code

    def read() -> Any:
        with Server(*SCRIPTS[name]()) as server:
            asked = exchange(server, **limits)
            return outcome(server, asked, [record for batch in asked.batches() for record in batch])

    async def aread() -> Any:
        with Server(*SCRIPTS[name]()) as server:
            asked = exchange(server, **limits)
            return outcome(server, asked, [record async for batch in asked.abatches() for record in batch])

    blocking = read()
    assert asyncio.run(aread()) == blocking
    assert blocking[0] and (blocking[1] is None) == ("reply" in name or "anew" in name)


@pytest.mark.parametrize("answer", [[head() + said("a")], [head()], []])
def test_a_task_that_is_cancelled_closes_its_connection(answer: Answer) -> None:
    async def run(server: Server) -> None:
        async def read() -> None:
            async for _ in exchange(server).abatches():
                pass

        task = asyncio.create_task(read())
        await asyncio.to_thread(server.wait_for_request)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Server(answer) as server:
        asyncio.run(run(server))
        assert server.wait_for_close()


def test_a_loop_that_is_left_closes_its_connection() -> None:
    with Server([head() + said("a")]) as server:
        batches = exchange(server).batches()
        next(batches)
        assert server.only.closed is None
        batches.close()
        assert server.wait_for_close()


# The key

FAILURES: dict[str, Answer] = {
    "success": reply("a"),
    "refused, with the key in the words": failing(401, f"Incorrect API key provided: {CANARY}.", "invalid_api_key"),
    "refused, with the key in a page": whole(401, f"<p>Bearer {CANARY}</p>".encode(), content_type="text/html"),
    "in mid-stream": [head() + said("a") + event({"error": {"message": f"bad {CANARY}", "code": 401}}), FIN],
    "in a redirect": whole(302, b"", location=f"http://x.test/?key={CANARY}"),
    "in a page": [head(content_type="text/html") + f"<h1>{CANARY}</h1>".encode(), FIN],
    "in an event": [head() + event(f"[{CANARY}".encode()), FIN],
    "garbage": [f"{CANARY}\r\n\r\n".encode(), FIN],
    "failing": failing(503, "no"),
    "broken off": [RST],
    "cut": [head() + said("a"), FIN],
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_key_is_in_nothing_that_is_written(shell: Shell, name: str) -> None:
    (shell.folder / "key").write_text(CANARY + "\n")
    (shell.folder / "key").chmod(0o600)
    with Server(FAILURES[name], FAILURES[name]) as server:
        options = "-v --retries 1 --key-file key --save saved.jsonl"
        done, _ = shell.statuses(ask(server, options) + " | tee all.jsonl | llm-parts", env={"LLMTOOLS_DEBUG": "1"})
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    written = done.text + done.err
    for path in (shell.folder / "all.jsonl", shell.folder / "saved.jsonl"):
        written += path.read_text()
        assert valid_records(path.read_bytes())
    assert CANARY not in written


def test_a_key_is_in_no_record_of_a_connection_that_failed(shell: Shell) -> None:
    env = {"KEY": CANARY, "LLMTOOLS_DEBUG": "1"}
    done = shell.run(ask(f"http://127.0.0.1:{closed_port()}/v1", "-v --retries 1 --key-env KEY"), env=env)
    assert done.status == 69
    assert CANARY not in done.text + done.err


def test_a_key_is_in_no_argument_of_a_process(shell: Shell) -> None:
    (shell.folder / "key").write_text(CANARY)
    (shell.folder / "key").chmod(0o600)
    shell.run("llm-msg -n user hi > in.jsonl")
    with Server([head() + said("a")]) as server:
        script = f"exec llm-send --base-url {server.url} -m tiny --key-file key < in.jsonl"
        process = shell.start(script, stdin=subprocess.DEVNULL)
        server.wait_for_request()
        seen = [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
        process.terminate()
        process.communicate(timeout=LIMIT)
    assert b"llm-send" in seen[0]
    assert all(CANARY.encode() not in data for data in seen)


def test_a_vendors_key_is_never_sent_to_a_bare_url(shell: Shell) -> None:
    with Server(reply("a")) as server:
        env = {name: CANARY for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "KEY")}
        (shell.folder / ".netrc").write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
        assert shell.run(ask(server), env=env).status == 0
    assert CANARY not in server.only.head.decode()
    assert "authorization" not in server.only.headers


def test_the_first_token_does_not_wait_for_the_second(shell: Shell) -> None:
    is_read = threading.Event()
    with Server([head() + said("one "), is_read, said("two") + ended(), FIN]) as server:
        process = shell.start(ask(server) + " | llm-parts", stdin=subprocess.DEVNULL)
        assert process.stdout
        first = process.stdout.read(3)
        is_read.set()  # without which the second does not come
        rest = process.stdout.read()
        process.communicate(timeout=LIMIT)
    assert (first, rest) == (b"one", b" two\n")
