"""Reasoning by its common names: reasoning_effort, reasoning_summary, and what is asked for by itself."""

from __future__ import annotations

from typing import Any

import pytest

from llmtools.errors import UsageError
from llmtools.protocols import PROTOCOLS, load
from llmtools.protocols.request import Request
from llmtools.providers.catalogue import quirks_of
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import loads
from support import referees
from support.harness import Shell, request_to

Object = dict[str, Any]
USER = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
TOOL = {"type": "tool", "name": "f", "input_schema": {"type": "object"}}


def body_of(protocol: str, request: Request, *records: Any) -> tuple[Object, list[str]]:
    """Return the body of a request, and the codes of the notices."""
    http, notices = load(protocol).encode(Conversation([*records, USER]), request)
    body: Object = loads(http.body)
    if protocol != "openai-chat" or not request.quirks:
        referees.require()
        referees.judge(protocol, body)
    return body, [notice["code"] for notice in notices]


def asked(protocol: str, model: str, *records: Any, **fields: Any) -> tuple[Object, list[str]]:
    """Return the body of a request to a model of the catalogue, and the codes of the notices."""
    return body_of(protocol, request_to(protocol, model, "x", **fields), *records)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "high", "max"])
def test_an_effort_is_the_same_by_its_option(protocol: str, effort: str) -> None:
    by_option = Request("m", "m", options={"reasoning_effort": effort, "seed": 1})
    assert by_option.options == {"seed": 1}
    assert by_option.record() == {"options": {"seed": 1}, "reasoning": effort}
    assert body_of(protocol, by_option) == body_of(protocol, Request("m", "m", options={"seed": 1}, reasoning=effort))


@pytest.mark.parametrize(
    "quirk", ["thinking", "reasoning_object", "enable_thinking", "chat_template_kwargs", "budget_tokens"]
)
def test_an_effort_goes_where_a_server_wants_it(quirk: str) -> None:
    protocol = "anthropic" if quirk == "budget_tokens" else "openai-chat"
    by_option = Request("m", "m", options={"reasoning_effort": "low"}, quirks=frozenset({quirk}))
    assert body_of(protocol, by_option) == body_of(
        protocol, Request("m", "m", reasoning="low", quirks=frozenset({quirk}))
    )


def test_reasoning_wins_over_the_option() -> None:
    assert Request("m", "m", options={"reasoning_effort": "low"}, reasoning="high").reasoning == "high"
    assert Request("m", "m", options={"reasoning_effort": None}).reasoning is None


@pytest.mark.parametrize("value", [5, True, 1.5, [], {}])
def test_an_effort_is_a_word(value: Any) -> None:
    with pytest.raises(UsageError, match="reasoning_effort"):
        Request("m", "m", options={"reasoning_effort": value})


def thinking_config(**fields: Any) -> Object:
    return {"generationConfig": {"thinkingConfig": fields}}


EFFORT_AND_SUMMARY = [
    # protocol, reasoning, reasoning_summary, quirks, what the body has
    ("openai-responses", "low", None, "", {"reasoning": {"effort": "low", "summary": "auto"}}),
    ("openai-responses", "low", "detailed", "", {"reasoning": {"effort": "low", "summary": "detailed"}}),
    ("openai-responses", "low", True, "", {"reasoning": {"effort": "low", "summary": "auto"}}),
    ("openai-responses", "low", False, "", {"reasoning": {"effort": "low"}}),
    ("openai-responses", "low", "none", "", {"reasoning": {"effort": "low"}}),
    ("openai-responses", None, "auto", "", {"reasoning": {"summary": "auto"}}),
    ("openai-responses", "none", None, "", {"reasoning": {"effort": "none"}}),
    ("openai-responses", None, None, "", {}),
    ("openai-chat", "low", False, "reasoning_object", {"reasoning": {"effort": "low", "exclude": True}}),
    ("openai-chat", None, False, "reasoning_object", {"reasoning": {"exclude": True}}),
    ("openai-chat", None, "auto", "reasoning_object", {}),
    ("anthropic", "low", None, "", {"thinking": {"type": "adaptive", "display": "summarized"}}),
    ("anthropic", "low", False, "", {"thinking": {"type": "adaptive", "display": "omitted"}}),
    ("anthropic", "low", "concise", "", {"thinking": {"type": "adaptive", "display": "summarized"}}),
    (
        "anthropic",
        "low",
        False,
        "budget_tokens",
        {"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}},
    ),
    ("anthropic", None, "auto", "", {}),
    ("gemini", "low", None, "", thinking_config(includeThoughts=True, thinkingLevel="LOW")),
    ("gemini", "low", False, "", thinking_config(thinkingLevel="LOW")),
    ("gemini", None, True, "", thinking_config(includeThoughts=True)),
    ("gemini", None, False, "hidden_thinking", {}),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "effort", "summary", "quirks", "expected"), EFFORT_AND_SUMMARY)
def test_a_summary_is_asked_for_or_not(protocol: str, effort: Any, summary: Any, quirks: str, expected: Object) -> None:
    options = {} if summary is None else {"reasoning_summary": summary}
    request = Request("m", "m", options=options, reasoning=effort, quirks=frozenset(quirks.split()))
    body, notices = body_of(protocol, request)
    found = {name: body[name] for name in ("reasoning", "thinking", "generationConfig") if name in body}
    assert (found, notices) == (expected, [])


@pytest.mark.parametrize("value", [True, False, "auto"])
@pytest.mark.parametrize("protocol", ["openai-chat", "ollama"])
def test_a_summary_without_a_place_is_a_notice(protocol: str, value: Any) -> None:
    assert body_of(protocol, Request("m", "m", options={"reasoning_summary": value}))[1] == ["dropped_option"]


@pytest.mark.parametrize("protocol", ["openai-responses", "anthropic", "gemini"])
def test_a_summary_is_a_word_or_a_switch(protocol: str) -> None:
    with pytest.raises(UsageError, match="reasoning_summary"):
        body_of(protocol, Request("m", "m", options={"reasoning_summary": 5}))


SHOWN = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "is_shown"),
    [
        ("claude-opus-5-5", True),
        ("claude-opus-5", True),
        ("claude-sonnet-5", True),
        ("claude-haiku-5-5-20261101", True),
        ("claude-fable-5-1", True),
        ("claude-mythos-preview", True),
        ("claude-opus-4-8", False),
        ("claude-sonnet-4-6", False),
        ("claude-haiku-4-5", False),
        ("claude-3-7-sonnet-latest", False),
        ("claude-opus-4-20250514", False),
    ],
)
def test_claude_shows_the_thinking_that_it_does_by_itself(model: str, is_shown: bool) -> None:
    body, notices = asked("anthropic", model)
    assert (body.get("thinking"), notices) == (SHOWN if is_shown else None, [])
    for options in ({"reasoning_summary": False}, {"thinking": None}):
        assert "thinking" not in asked("anthropic", model, options=options)[0]
    assert asked("anthropic", model, options={"thinking": {"type": "disabled"}})[0]["thinking"] == {"type": "disabled"}


DISABLED = {"type": "disabled"}


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "codes"),
    [
        ("claude-sonnet-5", None, DISABLED, []),
        ("claude-opus-5", "max", DISABLED, ["changed_reasoning"]),
        ("claude-opus-5", "none", DISABLED, []),
        ("claude-sonnet-4-6", None, None, []),
        ("claude-sonnet-4-6", "low", DISABLED, ["changed_reasoning"]),
        ("claude-haiku-4-5", "low", DISABLED, ["changed_reasoning"]),
        ("claude-fable-5", None, SHOWN, []),
        ("claude-fable-5", "low", SHOWN, []),
    ],
)
def test_a_forced_tool_goes_without_thinking(model: str, effort: Any, thinking: Any, codes: list[str]) -> None:
    for choice in ("required", "f"):
        body, notices = asked("anthropic", model, TOOL, tool_choice=choice, reasoning=effort)
        assert body["tool_choice"]["type"] in ("any", "tool")
        assert (body.get("thinking"), notices) == (thinking, codes)
        spent = {"max": "high", "none": None}.get(effort, effort) if model != "claude-haiku-4-5" else None
        assert body.get("output_config", {}).get("effort") == spent
    body, _ = asked("anthropic", model, TOOL, tool_choice="required", options={"thinking": DISABLED})
    assert body["thinking"] == DISABLED


@pytest.mark.parametrize(
    ("model", "is_taken"),
    [
        ("claude-opus-4-7", False),
        ("claude-opus-5-5", False),
        ("claude-sonnet-5", False),
        ("claude-fable-5", False),
        ("claude-opus-4-6", True),
        ("claude-sonnet-4-6", True),
        ("claude-haiku-4-5", True),
        ("claude-opus-4-20250514", True),
    ],
)
def test_who_takes_a_temperature(model: str, is_taken: bool) -> None:
    request = request_to("anthropic", model, "x", options={"temperature": 0.5, "top_p": 1})
    http, notices = load("anthropic").encode(Conversation([USER]), request)
    assert ("temperature" in loads(http.body), len(notices)) == (is_taken, 0 if is_taken else 2)


@pytest.mark.parametrize(
    ("model", "is_always"),
    [
        ("claude-opus-5-5", True),
        ("claude-mythos-preview", True),
        ("claude-fable-5", True),
        ("claude-fable-5-1", True),
        ("claude-mythos-5", True),
        ("claude-opus-5", False),
        ("claude-haiku-5-5", False),
        ("claude-sonnet-4-6", False),
    ],
)
def test_thinking_that_cannot_be_turned_off(model: str, is_always: bool) -> None:
    body, notices = asked("anthropic", model, reasoning="none")
    assert body["thinking"] == (SHOWN if is_always else {"type": "disabled"})
    assert body.get("output_config") == ({"effort": "low"} if is_always else None)
    assert notices == (["changed_reasoning"] if is_always else [])


def test_thinking_is_turned_off_by_the_word_that_a_model_takes() -> None:
    body, notices = asked("anthropic", "claude-sonnet-5-5", reasoning="none")
    assert (body["thinking"], notices) == ({"type": "between_tools"}, [])


@pytest.mark.parametrize(
    ("model", "is_free"),
    [
        ("claude-opus-5-5", True),
        ("claude-sonnet-5-5", True),
        ("claude-fable-5-1", True),
        ("claude-opus-5", False),
        ("claude-haiku-5-5", False),
        ("claude-sonnet-4-6", False),
    ],
)
def test_a_model_that_cannot_be_made_to_call_a_tool(model: str, is_free: bool) -> None:
    for choice, block in (("required", {"type": "any"}), ("f", {"type": "tool", "name": "f"})):
        body, notices = asked("anthropic", model, TOOL, tool_choice=choice)
        assert body["tool_choice"] == ({"type": "auto"} if is_free else block)
        assert notices == (["changed_tool_choice"] if is_free else [])
    assert asked("anthropic", model, TOOL, tool_choice="none")[0]["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("model", "is_shown"),
    [
        ("gemini-3.8-flash", True),
        ("gemini-3-pro-preview", True),
        ("gemini-2.5-pro", True),
        ("gemini-2.5-flash", True),
        ("models/gemini-flash-latest", True),
        ("gemini-2.5-flash-lite", False),
        ("gemini-2.5-flash-image", False),
        ("gemini-3-pro-image-preview", False),
        ("gemini-2.5-flash-preview-tts", False),
        ("gemini-2.0-flash", False),
        ("gemini-1.5-pro", False),
        ("gemma-3-27b-it", False),
    ],
)
def test_gemini_shows_the_thoughts_of_a_model_that_thinks_by_itself(model: str, is_shown: bool) -> None:
    body, notices = asked("gemini", model)
    shown = {"thinkingConfig": {"includeThoughts": True}} if is_shown else None
    assert (body.get("generationConfig"), notices) == (shown, [])
    body, _ = asked("gemini", model, options={"thinkingBudget": 0})
    assert body["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 0}}
    assert "generationConfig" not in asked("gemini", model, options={"reasoning_summary": False})[0]


def test_the_options_on_the_command_line(shell: Shell) -> None:
    sending = "llm-msg user hi | llm-send --base-url http://127.0.0.1:9 --protocol openai-responses -m m --dry-run"
    done = shell.run(f"{sending} -o reasoning_effort low -o reasoning_summary false -o json_object true")
    assert done.status == 0, done.err
    body = loads(done.text)["body"]
    assert body["reasoning"] == {"effort": "low"}
    assert body["text"] == {"format": {"type": "json_object"}}
    assert "JSON" in body["input"][0]["content"]
    done = shell.run(f"{sending} -o reasoning_effort 5")
    assert (done.status, "reasoning_effort 5" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("model", "takes_effort"),
    [
        ("grok-4.3", True),
        ("grok-4", True),  # an alias of the newest
        ("grok-3-mini-fast", True),
        ("grok-4.20-multi-agent-0309", True),
        ("grok-5", True),
        ("grok-3", False),
        ("grok-4-0709", False),
        ("grok-4-fast-reasoning", False),
        ("grok-4-1-fast-reasoning", False),
        ("grok-4.20-0309-reasoning", False),
        ("grok-code-fast-1", False),
    ],
)
def test_grok_models_that_refuse_an_effort_are_sent_none(model: str, takes_effort: bool) -> None:
    quirks = quirks_of("xai", "openai-responses", frozenset(), model)
    body, notices = body_of("openai-responses", Request(model, model, reasoning="low", quirks=quirks))
    assert body["reasoning"] == {**({"effort": "low"} if takes_effort else {}), "summary": "auto"}
    assert notices == ([] if takes_effort else ["changed_reasoning"])
