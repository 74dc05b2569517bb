"""Lists of models as the providers write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtools.providers.list_formats import decode_list
from support.paths import RECORDINGS

LISTS = RECORDINGS / "models"


def read_recorded(name: str, provider: str) -> dict[str, dict[str, Any]]:
    """Return the models of a recorded list by their ids."""
    if not LISTS.exists():
        pytest.skip("the recordings are not here")
    body = json.loads((LISTS / name).read_bytes())
    return {model["id"]: model for model in decode_list(provider, body)}


@pytest.mark.parametrize(
    ("file", "count", "chats", "model", "facts"),
    [
        ("chatlas__generativelanguage_get_v1beta_models_200.json", 50, None, "gemini-2.5-flash",
         {"title": "Gemini 2.5 Flash", "context": 1048576, "max_output": 65536}),
        ("chatlas__router_get_v1_models_200.json", 4, 4, "zai-org/GLM-4.7", {}),
        ("pydantic-ai__cerebras_get_v1_models_200.json", 3, 3, "gpt-oss-120b", {}),
        ("rig__anthropic_get_v1_models_200.json", 9, 9, "claude-opus-4-7",
         {"title": "Claude Opus 4.7", "context": 1000000, "max_output": 128000}),
        ("rig__copilot_get_models_200.json", 39, None, "claude-opus-4.7", {"context": 264000, "max_output": 64000}),
        ("rig__deepseek_get_models_200.json", 2, 2, "deepseek-v4-pro", {}),
        ("rig__gemini_get_v1beta_models_200.json", 52, None, "gemini-2.5-flash", {"context": 1048576}),
        ("rig__groq_get_openai_v1_models_200.json", 15, None, "meta-llama/llama-prompt-guard-2-22m",
         {"context": 512, "prices": {"input": 0.03, "output": 0.03, "cached": 0.015}}),
        ("rig__llamacpp_get_v1_models_200.json", 1, 1, "/REDACTED_PATH/Qwen3-1.7B-Q4_K_M.gguf", {"context": 4096}),
        ("rig__mistral_get_v1_models_200.json", 55, None, "mistral-medium-2505", {"context": 131072}),
        ("rig__ollama_get_api_tags_200.json", 5, 4, "llama3.2:latest", {}),
        ("rig__openai_get_v1_models_200.json", 126, None, "gpt-4-0613", {}),
        ("rig__openrouter_get_api_v1_models_200.json", 4, 4, "qwen/qwen3.8-27b",
         {"context": 262144, "prices": {"input": 0.45, "output": 3.2}}),
        ("rig__venice_get_api_v1_models_200.json", 4, 4, "gemini-3-6-flash",
         {"context": 1000000, "max_output": 65536, "prices": {"input": 1.875, "cached": 0.1875}}),
        ("ruby_llm__bedrock-mantle_get_v1_models_200.json", 48, None, "google.gemma-3-4b-it", {}),
    ],
)  # fmt: skip
def test_a_recorded_list(file: str, count: int, chats: int | None, model: str, facts: dict[str, Any]) -> None:
    models = read_recorded(file, "p")
    assert len(models) == count
    assert models[model]["name"] == f"p/{model}"
    entry = dict(models[model])
    if "prices" in facts:
        entry["prices"] = {name: entry["prices"][name] for name in facts["prices"]}
    assert {name: entry.get(name) for name in facts} == facts
    if not facts:
        assert entry.keys() & {"context", "prices"} == set(), "nothing is added to a list without facts"
    conversing = [each for each in models.values() if each.get("chat") is not False]
    assert len(conversing) == chats if chats is not None else 0 < len(conversing) < count


@pytest.mark.parametrize(
    ("file", "model", "converses"),
    [
        ("rig__openai_get_v1_models_200.json", "gpt-4", True),
        ("rig__openai_get_v1_models_200.json", "whisper-1", False),
        ("rig__openai_get_v1_models_200.json", "text-embedding-3-small", False),
        ("rig__openai_get_v1_models_200.json", "tts-1", False),
        ("rig__groq_get_openai_v1_models_200.json", "groq/compound-mini", True),
        ("rig__groq_get_openai_v1_models_200.json", "whisper-large-v3-turbo", False),
        ("rig__mistral_get_v1_models_200.json", "voxtral-mini-tts-latest", False),
        ("rig__gemini_get_v1beta_models_200.json", "gemini-3.5-live-translate-preview", False),
        ("rig__copilot_get_models_200.json", "text-embedding-ada-002", False),
        ("rig__ollama_get_api_tags_200.json", "all-minilm:latest", False),
    ],
)
def test_models_that_are_not_for_conversations(file: str, model: str, converses: bool) -> None:
    assert (read_recorded(file, "p")[model].get("chat") is not False) == converses


@pytest.mark.parametrize(
    ("entry", "facts"),
    [
        ({"id": "a", "pricing": {"prompt": "0", "completion": "0"}}, {"prices": {"input": 0.0, "output": 0.0}}),
        ({"id": "a", "pricing": {"prompt": "-1", "completion": "-1"}}, {}),
        ({"id": "a", "pricing": {"prompt": "free"}}, {}),
        ({"id": "a", "pricing": {"prompt": "NaN", "completion": "1e-6"}}, {"prices": {"output": 1.0}}),
        ({"id": "a", "pricing": {"input": 0.88, "output": 1, "hourly": 0}}, {"prices": {"input": 0.88, "output": 1.0}}),
        ({"id": "a", "pricing": "cheap", "context_length": "much", "max_tokens": True}, {}),
        ({"id": "a", "pricing": {"prompt": True}}, {}),
        ({"id": "a", "context_length": 0}, {}),
        ({"id": "a", "limits": {"max_input_tokens": 9, "max_output_tokens": 3}}, {"context": 9, "max_output": 3}),
        ({"id": "a", "top_provider": {"max_completion_tokens": 7}}, {"max_output": 7}),
        ({"id": "a", "max_model_len": 99}, {"context": 99}),
    ],
)  # fmt: skip
def test_the_facts_of_an_entry(entry: dict[str, Any], facts: dict[str, Any]) -> None:
    model = decode_list("p", {"data": [entry]})[0]
    assert {name: model[name] for name in model if name not in ("name", "provider", "id")} == facts


@pytest.mark.parametrize(
    "body", [[{"id": "a"}], {"data": [{"id": "a"}, 7, {"id": 3}, {}]}, {"models": [{"name": "models/a"}]}]
)
def test_every_form_of_a_list_is_read(body: Any) -> None:
    assert [model["name"] for model in decode_list("p", body)] == ["p/a"]
