"""A reply that the model pauses is asked to go on, in the same run and with a limit."""

from __future__ import annotations

import json
from typing import Any

from support.harness import Shell, texts
from support.protocol_replies import anthropic_answer
from support.sample_conversations import sse
from support.server import Answer, Close, Server, head

SEARCH: dict[str, Any] = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}}


def send(server: Server) -> str:
    return f"llm-send --base-url {server.origin} --protocol anthropic -m m --retries 0"


def test_a_pause_is_continued_with_what_came_until_then(shell: Shell) -> None:
    answers = (
        anthropic_answer("One", "pause_turn", SEARCH),
        anthropic_answer("Two", "pause_turn"),
        anthropic_answer("Three", "end_turn"),
    )
    with Server(*answers) as server:
        done = shell.run(f"llm-msg user hi | {send(server)} --save all.jsonl | tee events.jsonl | llm-parts")
        assert (done.status, done.text, done.err) == (0, "One\nTwo\nThree\n", "")
        assert len(server.requests) == 3
        second, third = (json.loads(request.body)["messages"] for request in server.requests[1:])
    assert second[0]["role"] == "user"
    assert [message["role"] for message in second] == ["user", "assistant"]
    assert second[1]["content"] == [{"type": "text", "text": "One"}, SEARCH]
    said = [block["text"] for message in third[1:] for block in message["content"] if block["type"] == "text"]
    assert said == ["One", "Two"]
    records = shell.run("cat events.jsonl").records
    assert [record["message"] for record in records if record["type"] == "notice" and record["code"] == "pause"] == [
        "the model paused; it is asked to continue"
    ] * 2
    saved = shell.run("cat all.jsonl").records
    assert [message["response"]["finish_reason"] for message in saved[1:]] == ["pause", "pause", "stop"]


def test_a_model_that_pauses_for_ever_is_not_asked_for_ever(shell: Shell) -> None:
    with Server(*[anthropic_answer("…", "pause_turn")] * 20) as server:
        done = shell.run(f"llm-msg user hi | {send(server)}")
        assert len(server.requests) == 11
    assert done.status == 75
    assert "paused and did not continue" in done.err
    assert len(texts(done.records)) == 12, "nothing of it is lost"
    assert done.records[-1]["exit_status"] == 75


def test_a_stream_that_ends_in_a_pause_has_failed_and_goes_on_anyway(shell: Shell) -> None:
    with Server(anthropic_answer("One", "pause_turn"), anthropic_answer("Two", "end_turn")) as server:
        shell.run(f"llm-msg user hi | {send(server)} --save all.jsonl; head -n 2 all.jsonl > cut.jsonl")
    parts = shell.run("llm-parts < cut.jsonl")
    assert (parts.status, parts.text) == (75, "One\n")
    with Server(anthropic_answer("Two", "end_turn")) as server:
        assert shell.run(f"{send(server)} < cut.jsonl").status == 75
        assert server.requests == []
        done = shell.run(f"{send(server)} --anyway < cut.jsonl | llm-parts")
        assert len(server.requests) == 1
    assert (done.status, done.text) == (0, "One\nTwo\n")


def test_a_conversation_record_is_continued_too(shell: Shell) -> None:
    record = {"type": "conversation", "messages": [{"role": "user", "parts": [{"type": "text", "text": "hi"}]}]}
    with Server(anthropic_answer("One", "pause_turn"), anthropic_answer("Two", "end_turn")) as server:
        done = shell.run(send(server), stdin=json.dumps(record).encode())
    assert done.status == 0, done.err
    (answered,) = done.records
    assert [part["text"] for message in answered["messages"] for part in message["parts"]] == ["hi", "One", "Two"]


def interactions_answer(status: str, token: str = "", *texts: str) -> Answer:
    """Return a reply of Gemini Interactions that has this status in the end."""
    events: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": {"id": "", "status": "in_progress", "model": "m"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        *({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": text}} for text in texts),
        {"event_type": "step.stop", "index": 0},
    ]
    last: dict[str, Any] = {"id": "", "status": status, **({"continuation_token": token} if token else {})}
    events.append({"event_type": "interaction.completed", "interaction": last})
    return [head(connection="close"), sse(*events, named=True), Close.FIN]


def test_a_pause_with_a_token_is_continued_by_it(shell: Shell) -> None:
    answers = (
        interactions_answer("requires_continuation", "T", "One"),
        interactions_answer("requires_continuation", "U"),
        interactions_answer("completed", "", "Three"),
        interactions_answer("completed", "", "Four"),
    )
    with Server(*answers) as server:
        asking = f"llm-send --base-url {server.origin} --protocol gemini-interactions -m m --retries 0"
        done = shell.run(f"llm-msg user hi | {asking} --save all.jsonl | llm-parts")
        assert (done.status, done.text, done.err) == (0, "One\nThree\n", "")
        shell.run(f"llm-msg user more < all.jsonl | {asking}")
        bodies = [request.json for request in server.requests]
    asked = {"type": "user_input", "content": [{"type": "text", "text": "hi"}]}
    assert [body["input"] for body in bodies[:3]] == [[asked]] * 3
    assert [body.get("continuation_token") for body in bodies] == [None, "T", "U", None]
    said = [content["text"] for step in bodies[3]["input"] for content in step["content"]]
    assert said == ["hi", "One", "Three", "more"]
