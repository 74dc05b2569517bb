"""The tools that providers run, by their common names: the newest version that a model takes, and those of dialects."""

from __future__ import annotations

from typing import Any

import pytest

from llmtools.errors import UsageError
from llmtools.protocols import load
from llmtools.protocols.request import Request
from llmtools.protocols.server_tools import server_tool_record
from llmtools.providers.catalogue import PROVIDERS, quirks_of
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import loads
from support import referees

Object = dict[str, Any]
USER = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "hi"}]}


def body_of(provider: str, model: str, *names: str) -> Object:
    """Return the body of a request that offers tools to a model."""
    entry = PROVIDERS[provider]
    protocol, quirks = load(entry.protocol), quirks_of(provider, entry.protocol, entry.quirks, model)
    records: list[Any] = [server_tool_record(name, protocol.SPEC, provider, quirks) for name in names]
    request = Request(f"{provider}/{model}", model, provider, quirks=quirks)
    body: Object = loads(protocol.encode(Conversation([*records, USER]), request)[0].body)
    return body


NEW = ["web_search_20260318", "web_fetch_20260318", "code_execution_20260521"]
OLD = ["web_search_20250305", "web_fetch_20250910", "code_execution_20250825"]


@pytest.mark.parametrize(
    ("model", "types"),
    [
        ("claude-opus-5-5", NEW),
        ("claude-sonnet-5", NEW),
        ("claude-haiku-5-5-20261101", NEW),
        ("claude-fable-5-1", NEW),
        ("claude-mythos-preview", NEW),
        ("claude-opus-4-8", NEW),
        ("claude-sonnet-4.6", NEW),
        ("claude-opus-4-6-20260205", NEW),
        ("claude-haiku-4-5", OLD),
        ("claude-sonnet-4-5-20250929", OLD),
        ("claude-opus-4-20250514", OLD),
        ("claude-opus-4-1", OLD),
        ("claude-3-7-sonnet-latest", OLD),
        ("claude-3-5-haiku-20241022", OLD),
    ],
)
def test_claude_gets_the_newest_version_that_it_takes(model: str, types: list[str]) -> None:
    referees.require()
    body = body_of("anthropic", model, "web_search", "url_fetch", "code_execution")
    assert [tool["type"] for tool in body["tools"]] == types
    referees.judge("anthropic", body)


def test_a_type_of_the_users_own_wins() -> None:
    body = body_of("anthropic", "claude-opus-5", 'web_search={"type": "web_search_20250305", "max_uses": 2}')
    assert body["tools"] == [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]


@pytest.mark.parametrize(
    ("provider", "model", "name", "expected"),
    [
        ("openai", "gpt-5.5", "tool_search", {"tools": [{"type": "tool_search"}]}),
        ("openai", "gpt-5.5", "shell", {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}),
        ("openai", "gpt-5.5", "web_search", {"tools": [{"type": "web_search"}]}),
        ("anthropic", "claude-opus-5", "tool_search", {"tools": [{
            "type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}]}),
        ("gemini", "gemini-2.0-flash", "web_search", {"tools": [{"googleSearch": {}}]}),
        ("gemini", "gemini-2.0-flash", "maps", {"tools": [{"googleMaps": {}}]}),
        ("gemini", "gemini-2.0-flash", 'mcp={"mcpServers": [{"name": "d"}]}', {"tools": [{"mcpServers": [
            {"name": "d"}]}]}),
        ("vertex", "gemini-2.0-flash", "enterprise_web_search", {"tools": [{"enterpriseWebSearch": {}}]}),
    ],
)  # fmt: skip
def test_the_vendors_own_types_allow_it(provider: str, model: str, name: str, expected: Object) -> None:
    referees.require()
    body = body_of(provider, model, name)
    assert body.items() >= expected.items()
    referees.judge(PROVIDERS[provider].protocol, body)


@pytest.mark.parametrize(
    ("provider", "model", "name", "expected"),
    [
        ("openrouter", "x/y", "web_search", {"tools": [{"type": "openrouter:web_search"}]}),
        ("openrouter", "x/y", "url_fetch", {"tools": [{"type": "openrouter:web_fetch"}]}),
        ("openrouter", "x/y", "image_generation", {"tools": [{"type": "openrouter:image_generation"}]}),
        ("groq", "openai/gpt-oss-120b", "web_search", {"tools": [{"type": "browser_search"}]}),
        ("groq", "openai/gpt-oss-20b", "code_execution", {"tools": [{"type": "code_interpreter"}]}),
        ("alibaba", "qwen-max", "web_search", {"enable_search": True}),
        ("perplexity", "sonar", "web_search", {"web_search_options": {}}),
        ("azure", "gpt-5", "web_search", {"web_search_options": {}}),
    ],
)
def test_servers_of_chat(provider: str, model: str, name: str, expected: Object) -> None:
    assert body_of(provider, model, name).items() >= expected.items()


@pytest.mark.parametrize(
    ("provider", "model", "name", "names"),
    [
        ("groq", "llama-4-scout", "code_execution", "web_search"),
        ("openrouter", "x/y", "telepathy", "web_search, url_fetch, image_generation"),
        ("ollama", "m", "web_search", "none"),
        ("anthropic", "claude-opus-5", "maps", "web_search, url_fetch, code_execution, tool_search"),
        ("openai", "gpt-5", "maps", "web_search, code_execution"),
    ],
)
def test_a_name_that_a_provider_does_not_have(provider: str, model: str, name: str, names: str) -> None:
    with pytest.raises(UsageError, match=f"has {names}"):
        body_of(provider, model, name)
