"""The catalogue: its content, the quirks of models, and the providers of bare names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import llmtools
from llmtools.errors import NoModelError
from llmtools.protocols import PROTOCOLS, load
from llmtools.protocols.options import REFUSED
from llmtools.providers.catalogue import MODEL_QUIRKS, PROVIDERS, QUIRKS, provider_of, quirks_of
from llmtools.providers.config import Config
from llmtools.providers.resolve import split_name
from support.paths import ROOT


def test_the_catalogue_names_only_known_protocols_and_quirks() -> None:
    for provider in PROVIDERS.values():
        assert provider.protocol in PROTOCOLS
        assert provider.quirks <= QUIRKS
        assert provider.key in ("required", "optional", "remote")
        assert provider.base_url.startswith(("https://", "http://127.0.0.1:", "{endpoint}/"))
    for names, _, words in MODEL_QUIRKS:
        assert set(names.split()) <= PROVIDERS.keys() | set(PROTOCOLS)
        assert {word.lstrip("-") for word in words.split()} <= QUIRKS


def test_the_manual_lists_the_catalogue() -> None:
    page = (ROOT / "man" / "llm-config.5").read_text("utf-8")
    rows = re.findall(r"^\.It (\S+) Ta Ev (.*)$", page, re.MULTILINE)
    assert {name: tuple(keys.split(" , ")) for name, keys in rows} == {
        name: provider.keys for name, provider in PROVIDERS.items()
    }
    section = re.search(r"^\.Sh QUIRKS\n(.*?)^\.Sh ", page, re.MULTILINE | re.DOTALL)
    assert section
    words = [word for line in re.findall(r"^\.It Li (.*)$", section[1], re.MULTILINE) for word in line.split(" , ")]
    assert sorted(words) == sorted(QUIRKS)
    variables = set(re.findall(r"[A-Z][A-Z_]{4,}", page))
    assert {provider.url_variable for provider in PROVIDERS.values() if provider.url_variable} <= variables


def test_every_quirk_of_the_code_can_be_configured() -> None:
    sources = [path.read_text("utf-8") for path in Path(llmtools.__file__).parent.rglob("*.py")]
    used = {name for source in sources for name in re.findall(r'"([a-z_]+)" (?:not )?in [\w.]*quirks\b', source)}
    for protocol in PROTOCOLS:
        spec = load(protocol).SPEC
        used |= spec.options.moved.keys() | spec.server_tools_by_quirk.keys() | spec.url_types_by_quirk.keys()
    assert used | REFUSED.keys() == QUIRKS


@pytest.mark.parametrize(
    ("provider", "model", "has", "lacks"),
    [
        ("anthropic", "claude-3-7-sonnet-20250219", {"budget_tokens", "no_late_system"}, set()),
        ("anthropic", "claude-opus-4-6", {"no_late_system"}, {"budget_tokens"}),
        ("anthropic", "claude-sonnet-5", set(), {"budget_tokens", "no_late_system"}),
        ("vertex", "gemini-2.5-pro", {"thinking_budget"}, {"thought_signatures"}),
        ("gemini", "gemini-3-pro", {"thought_signatures"}, {"thinking_budget"}),
        ("interactions", "gemini-2.5-pro", set(), {"thinking_budget", "unreasoning"}),
        ("interactions", "gemini-3-pro-image-preview", set(), {"thought_signatures", "unreasoning"}),
        ("interactions", "gemini-2.0-flash", {"unreasoning"}, set()),
        ("openai", "gpt-4o", {"unreasoning"}, {"no_sampling"}),
        ("openai", "o3", {"no_sampling", "no_stop"}, {"unreasoning"}),
        ("openai", "gpt-5-mini", {"no_sampling"}, {"no_stop"}),
        ("openai", "gpt-5-chat-latest", set(), {"no_sampling"}),
        ("openai", "gpt-5.5", set(), {"no_sampling"}),
        ("openai", "gpt-4.1", {"max_completion_tokens"}, {"no_sampling"}),
        ("github", "openai/o4-mini", {"max_completion_tokens", "no_sampling", "no_stop"}, set()),
        ("github", "meta/llama-4", set(), {"max_completion_tokens"}),
        ("moonshot", "kimi-k2.6", {"thinking", "no_sampling"}, set()),
        ("moonshot", "kimi-k3", {"no_sampling"}, {"thinking"}),
        ("moonshot", "moonshot-v1-8k", set(), {"thinking", "no_sampling"}),
        ("vllm", "Qwen/Qwen3", {"chat_template_kwargs"}, set()),
        ("vllm", "openai/gpt-oss-20b", set(), {"chat_template_kwargs"}),
        ("openrouter", "openai/o3", {"reasoning_object"}, {"no_sampling"}),
    ],
)
def test_the_quirks_of_a_model(provider: str, model: str, has: set[str], lacks: set[str]) -> None:
    entry = PROVIDERS[provider]
    quirks = quirks_of(provider, entry.protocol, entry.quirks, model)
    assert has <= quirks
    assert not lacks & quirks


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-5.5", "openai"),
        ("o3", "openai"),
        ("o4-mini", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("claude-sonnet-4.6", "anthropic"),
        ("gemini-3-pro", "gemini"),
        ("grok-4.5", "xai"),
        ("deepseek-chat", "deepseek"),
        ("mistral-large-latest", "mistral"),
        ("codestral-2508", "mistral"),
        ("sonar", "perplexity"),
        ("sonar-pro", "perplexity"),
        ("kimi-k2.6", "moonshot"),
        ("glm-5", "zai"),
        ("qwen3-max", "alibaba"),
    ],
)
def test_a_bare_name_of_a_known_family(model: str, provider: str) -> None:
    assert split_name(model, Config()) == (provider, model)


@pytest.mark.parametrize("model", ["gpt-oss-120b", "llama3.2", "qwen3:4b", "o", "gpt", "deepseek-r1:8b", "sonarqube"])
def test_a_bare_name_of_no_known_family(model: str) -> None:
    assert provider_of(model) is None


@pytest.mark.parametrize("model", ["openrouter/openai/gpt-5.5", "fireworks/accounts/f/models/m", "ollama/hf.co/a/b:Q4"])
def test_the_first_slash_ends_the_name_of_the_provider(model: str) -> None:
    provider, _, name = model.partition("/")
    assert split_name(model, Config()) == (provider, name)


def test_an_unknown_provider_suggests_a_similar_one() -> None:
    with pytest.raises(NoModelError, match="perhaps openai/x"):
        split_name("opnai/x", Config())
