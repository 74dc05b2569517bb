"""A stream that somebody else wrote: what it may ask of a request, and what it may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.harness import Done, Shell
from support.protocol_replies import PROTOCOLS, answer, send
from support.server import Server

EVIL: dict[str, Any] = {
    "model": "expensive",
    "input": [{"role": "user", "content": "EVIL"}],
    "messages": [{"role": "user", "content": "EVIL"}],
    "contents": [{"role": "user", "parts": [{"text": "EVIL"}]}],
    "system": "EVIL",
    "tools": [{"type": "mcp", "server_url": "http://127.0.0.1:9/EVIL"}],
    "store": True,
    "background": True,
    "max_output_tokens": 9,
    "messages.0.content": "EVIL",
    "temperature": {"x": "EVIL"},
    "n": 2,
    "anthropic_version": "EVIL",
}
NAMED = {"seed": 7, "max_tokens": 99, "json_object": False}
WAYS = ("request", "conversation")


def run(shell: Shell, protocol: str, way: str, options: dict[str, Any], more: str = "") -> tuple[Done, bytes]:
    message: dict[str, Any] = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    record = {**message, "request": {"options": options}}
    if way == "conversation":
        record = {"type": "conversation", "messages": [message], "options": options}
    (shell.folder / "in").write_text(json.dumps(record) + "\n")
    with Server(answer(protocol)) as server:
        done = shell.run(f"{send(server, protocol)} {more} < in")
        return done, server.only.body


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_sets_named_options_and_no_other_field(shell: Shell, protocol: str, way: str) -> None:
    plain, expected = run(shell, protocol, way, NAMED)
    done, body = run(shell, protocol, way, {**NAMED, **EVIL})
    assert (plain.status, done.status) == (0, 0), done.err
    assert json.loads(body) == json.loads(expected)
    told = [record["message"] for record in done.records if record.get("code") == "dropped_option"]
    told += done.err.splitlines()
    assert all(any(f" {name} in the stream" in message for message in told) for name in EVIL)


def test_what_the_user_sets_is_sent(shell: Shell) -> None:
    done, body = run(shell, "openai-chat", "request", {"logit_bias": {"1": 2}}, "-o logit_bias '{\"1\": 3}'")
    assert (done.status, json.loads(body)["logit_bias"]) == (0, {"1": 3})
    assert not [record for record in done.records if record.get("code") == "dropped_option"]


@pytest.mark.parametrize("model", ["a\nb", "a\x1bb", "../../x", "..", "x/../../y"])
def test_a_model_of_a_stream_is_a_name(shell: Shell, model: str) -> None:
    record = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "hi"}], "request": {"model": model}}
    (shell.folder / "in").write_text(json.dumps(record) + "\n")
    with Server(answer("gemini")) as server:
        done = shell.run(f"llm-send --base-url {server.origin} --protocol gemini --retries 0 < in")
        paths = [request.path for request in server.requests]
    if done.status == 0:
        assert paths == [f"/models/{model.replace('/', '%2F')}:streamGenerateContent?alt=sse"]
    else:
        assert (done.status, paths) == (2, [])
        assert done.err.count("\n") == 1 and "cannot be" in done.err
