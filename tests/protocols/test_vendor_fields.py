"""Fields of the vendors: where an option goes, what joins what the conversation knows, and what a reply reports."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from llmtools.protocols import load
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import loads
from support.decoding import decoded, machines, user
from support.sample_conversations import sse

Object = dict[str, Any]
ISSUER = "acme"


def body_of(protocol: str, options: Object, *records: Object) -> Object:
    """Return the body of a request."""
    request = Request("m", issuer=ISSUER, options=options)
    body: Object = loads(load(protocol).encode(Conversation([*records, user("go on")]), request)[0].body)
    return body


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("modelArmorConfig", {"promptTemplateName": "p"}, {"modelArmorConfig": {"promptTemplateName": "p"}}),
        ("model_armor_config.promptTemplateName", "p", {"modelArmorConfig": {"promptTemplateName": "p"}}),
        ("outputConfig", {"gcs": "x"}, {"outputConfig": {"gcs": "x"}}),
        ("continuationToken", "t", {"continuationToken": "t"}),
        ("cached_content", "c", {"cachedContent": "c"}),
        ("safety_settings", [], {"safetySettings": []}),
        ("store", False, {"store": False}),
        ("labels", {"a": "b"}, {"labels": {"a": "b"}}),
        ("systemInstruction", {"parts": []}, {"systemInstruction": {"parts": []}}),
        ("model_config", {"m": 1}, {"generationConfig": {"modelConfig": {"m": 1}}}),  # as the vendor's SDK has it
        ("routingConfig.autoMode", {}, {"generationConfig": {"routingConfig": {"autoMode": {}}}}),
        ("speech_config", {}, {"generationConfig": {"speechConfig": {}}}),
        ("audioTranscriptionConfig", {}, {"generationConfig": {"audioTranscriptionConfig": {}}}),
    ],
)
def test_options_of_google(name: str, value: Any, expected: Object) -> None:
    body = body_of("gemini", {name: value})
    assert {key: item for key, item in body.items() if key != "contents"} == expected


def test_a_token_of_an_option_wins_over_that_of_the_reply() -> None:
    reply = {
        "type": "message",
        "role": "assistant",
        "parts": [{"type": "text", "text": "half"}],
        "provider_metadata": {ISSUER: {"continuationToken": "old"}},
    }
    request = Request("m", issuer=ISSUER)
    for options, token in (({}, "old"), ({"continuationToken": "new"}, "new")):
        request = Request("m", issuer=ISSUER, options=options)
        body = loads(load("gemini").encode(Conversation([user("hi"), reply]), request)[0].body)
        assert body["continuationToken"] == token


SKILLS = [{"type": "anthropic", "skill_id": "xlsx", "version": "latest"}]


@pytest.mark.parametrize(
    ("stored", "option", "expected"),
    [
        ("c1", None, "c1"),
        ("c1", {"skills": SKILLS}, {"id": "c1", "skills": SKILLS}),
        ("c1", {"id": "c2", "skills": SKILLS}, {"id": "c2", "skills": SKILLS}),
        ("c1", "c2", "c2"),
        (None, {"skills": SKILLS}, {"skills": SKILLS}),
        (None, None, None),
    ],
)
def test_skills_join_the_container_of_the_conversation(stored: Any, option: Any, expected: Any) -> None:
    metadata = {"provider_metadata": {ISSUER: {"container": {"id": stored, "expires_at": "x"}}}} if stored else {}
    reply = {"type": "message", "role": "assistant", "parts": [{"type": "text", "text": "x"}], **metadata}
    options = {} if option is None else {"container": option}
    assert body_of("anthropic", options, user("hi"), reply).get("container") == expected


def records_of(*events: Object) -> list[Object]:
    """Return the records of a stream of Anthropic."""
    start = {"type": "message_start", "message": {"id": "m", "model": "claude-a", "content": [], "usage": {}}}
    stop: list[Object] = [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    data = sse(start, *events, *stop, named=True)
    return decoded(partial(machines("anthropic"), ISSUER), data, ISSUER)


def block(index: int, **content: Any) -> list[Object]:
    start = {"type": "content_block_start", "index": index, "content_block": content}
    return [start, {"type": "content_block_stop", "index": index}]


@pytest.mark.parametrize(
    ("to", "served"),
    [({"model": "claude-b"}, "claude-b"), ({}, "claude-a"), (None, "claude-a"), ("claude-b", "claude-a")],
)
def test_a_fallback_is_told_by_the_model_that_served(to: Any, served: str) -> None:
    fallback = {"type": "fallback", "from": {"model": "claude-a"}, "to": to}
    records = records_of(*block(0, type="text", text="I"), *block(1, **fallback), *block(2, type="text", text="Yes"))
    assert records[-1]["model_served"] == served
    [kept] = [record["part"] for record in records if record["type"] == "part"]
    assert kept == {"type": "fallback", "provider_metadata": {ISSUER: fallback}}


def test_the_last_of_several_fallbacks_served() -> None:
    hops = [{"type": "fallback", "to": {"model": name}} for name in ("claude-b", "claude-c")]
    assert records_of(*block(0, **hops[0]), *block(1, **hops[1]))[-1]["model_served"] == "claude-c"


DROPPED = {"type": "thinking_dropped", "path": "messages.2.content.0", "reason": "prefix_binding_mismatch"}
ALLOWED = {"type": "thinking_mismatch_allowed", "path": "messages.1.content.0", "reason": "model_binding_mismatch"}


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ([DROPPED], ["thinking_dropped messages.2.content.0 prefix_binding_mismatch"]),
        (
            [DROPPED, ALLOWED],
            [
                "thinking_dropped messages.2.content.0 prefix_binding_mismatch",
                "thinking_mismatch_allowed messages.1.content.0 model_binding_mismatch",
            ],
        ),
        ([], []),
        (None, []),
        ("x", []),
        ([{"type": "new"}], ["new"]),
    ],
)
def test_what_the_provider_changed_is_a_notice(changes: Any, messages: list[str]) -> None:
    delta = {"type": "message_delta", "delta": {}, "input_transformations": changes}
    notices = [record for record in records_of(delta) if record["type"] == "notice"]
    assert [notice["code"] for notice in notices] == ["changed_input"] * len(messages)
    assert [notice["message"].partition(": ")[2] for notice in notices] == messages
