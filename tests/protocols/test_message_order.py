"""The order of messages at servers of Chat Completions that take few: one system message, and the model between a
result and the user. The rules of Mistral are those of mistral-common, those of templates their own words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from llmtools.protocols import load
from llmtools.protocols.request import Request
from llmtools.providers.catalogue import PROVIDERS
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps, loads
from support.harness import Shell, request_to

Object = dict[str, Any]

AFTER = {
    "system": {"user", "assistant", "system"},
    "user": {"assistant", "system", "user"},
    "assistant": {"assistant", "user", "tool"},
    "tool": {"assistant", "tool"},
}
"""Mistral: role -> the roles that may follow it."""


def check_mistral(messages: list[Object]) -> None:
    """Fail for an order that Mistral refuses."""
    roles = [message["role"] for message in messages]
    for before, role in pairwise(roles):
        assert role in AFTER[before], f"Unexpected role {role!r} after role {before!r}"
    for message in messages:
        assert message["role"] != "assistant" or message.get("content") or message.get("tool_calls")


def check_template(messages: list[Object]) -> None:
    """Fail for a conversation that a strict chat template refuses."""
    assert all(message["role"] != "system" for message in messages[1:]), "System message must be at the beginning."


def said(role: str, *texts: str) -> Object:
    return {"type": "message", "role": role, "parts": [{"type": "text", "text": text} for text in texts]}


CALL = {"type": "tool_call", "name": "shot", "arguments": {}, "tool_call_id": "a1"}
CALLS = {"type": "message", "role": "assistant", "parts": [CALL]}
RESULT: Object = {"type": "tool_result", "name": "shot", "output": "", "tool_call_id": "a1"}
IMAGE = {"type": "image/png", "content": "iVBORw0KGgo="}
PICTURE = {"type": "message", "role": "tool", "parts": [{**RESULT, "attachments": [IMAGE]}]}
DONE = {"type": "message", "role": "tool", "parts": [{**RESULT, "output": "done"}]}
A, B, HI, HELLO = said("system", "A"), said("system", "B"), said("user", "hi"), said("assistant", "hello")

CASES: dict[str, tuple[list[Object], str, list[str]]] = {
    # name: (messages, the roles at Mistral, the notices there)
    "plain": ([A, HI, HELLO, HI], "system user assistant user", []),
    "a late system message": ([A, HI, HELLO, B, HI], "system user assistant user", ["moved_system"]),
    "a late one only": ([HI, HELLO, B, HI], "system user assistant user", ["moved_system"]),
    "two at the beginning": ([A, B, HI], "system user", []),
    "one behind the user": ([A, HI, B], "system user", ["moved_system"]),
    "one behind a result": ([HI, CALLS, DONE, B], "system user assistant tool", ["moved_system"]),
    "an image of a tool": ([HI, CALLS, PICTURE], "user assistant tool assistant user", ["added_message"]),
    "the user behind a result": ([HI, CALLS, DONE, HI], "user assistant tool assistant user", ["added_message"]),
    "the model behind a result": ([HI, CALLS, DONE, HELLO, HI], "user assistant tool assistant user", []),
    "an image, and words": (
        [A, HI, CALLS, PICTURE, B, HI],
        "system user assistant tool assistant user user",
        ["moved_system", "added_message"],
    ),
    "two results": ([HI, CALLS, DONE, CALLS, DONE], "user assistant tool assistant tool", []),
}
EACH = pytest.mark.parametrize("name", CASES)


def messages_of(records: list[Object], request: Request) -> tuple[list[Object], list[str]]:
    """Return the messages of a request, and the codes of the notices."""
    http, notices = load("openai-chat").encode(Conversation(records), request)
    messages: list[Object] = loads(http.body)["messages"]
    return messages, [notice["code"] for notice in notices]


@EACH
def test_mistral(name: str) -> None:
    records, roles, codes = CASES[name]
    messages, notices = messages_of(records, Request("m", quirks=PROVIDERS["mistral"].quirks))
    assert " ".join(message["role"] for message in messages) == roles
    assert sorted(notices) == sorted(codes)
    check_mistral(messages)
    check_template(messages)


@EACH
@pytest.mark.parametrize("provider", ["llamacpp", "vllm", "lmstudio", "perplexity"])
def test_strict_templates(provider: str, name: str) -> None:
    records, _, codes = CASES[name]
    messages, notices = messages_of(records, Request("m", quirks=PROVIDERS[provider].quirks))
    check_template(messages)
    assert notices == [code for code in codes if code == "moved_system"]


@EACH
def test_other_servers_get_each_at_its_place(name: str) -> None:
    records, _, _ = CASES[name]
    messages, notices = messages_of(records, Request("m"))
    assert [message["role"] for message in messages if message["role"] == "system"] == [
        "system" for record in records if record["role"] == "system"
    ]
    assert (notices, "OK." in dumps(messages).decode()) == ([], False)


@pytest.mark.parametrize(
    ("model", "is_strict"),
    [
        ("mistralai/Mistral-Small-4-119B", True),
        ("devstral-small-2512", True),
        ("open-mixtral-8x22b", True),
        ("ministral-3-8b", True),
        ("accounts/x/mixtral-8x7b", True),
        ("llama-4-scout", False),
        ("qwen/qwen3.8-27b", False),
        ("not-mistral", False),
    ],
)
def test_models_of_mistral_anywhere(model: str, is_strict: bool) -> None:
    records, roles, _ = CASES["an image of a tool"]
    messages, _ = messages_of(records, request_to("openai-chat", model, "x"))
    assert (" ".join(message["role"] for message in messages) == roles) is is_strict


@pytest.mark.parametrize("model", ["Qwen/Qwen3.5-122B-A10B", "qwen3.6-27b", "qwen-3.8-27b"])
def test_templates_of_qwen_anywhere(model: str) -> None:
    check_template(messages_of(CASES["a late system message"][0], request_to("openai-chat", model, "x"))[0])


def test_texts_of_system_messages_are_one_string() -> None:
    request = Request("m", quirks=frozenset({"no_late_system"}))
    messages, _ = messages_of([A, HI, said("system", "B", "C"), HI], request)
    assert messages[0] == {"role": "system", "content": "A\n\nB\n\nC"}


def test_the_command_says_what_became_of_them(shell: Shell) -> None:
    lines = b"\n".join(dumps(record) for record in CASES["an image, and words"][0])
    (shell.folder / "talk.jsonl").write_bytes(lines + b"\n")
    done = shell.run("llm-send -m mistral/mistral-medium --dry-run < talk.jsonl", env={"MISTRAL_API_KEY": "k"})
    assert done.status == 0, done.err
    assert "was sent with the first" in done.err and 'a message "OK."' in done.err
    check_mistral(loads(done.text)["body"]["messages"])
