"""Decodes the providers' lists of models.

Rules:
* Nothing is guessed: a context size or a price in an unknown form is left out.
* Prices are in dollars for a million tokens.

The forms are those of the vendors' endpoints, as their documentation describes them:
https://platform.openai.com/docs/api-reference/models/list, https://openrouter.ai/docs/api-reference/list-available-models,
https://ai.google.dev/api/models, https://docs.anthropic.com/en/api/models-list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import (
    LlmToolsError,
    ProtocolError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    ModelEntry = dict[str, Any]
    """{name, provider, id}, and what the list has of title, context, max_output, prices, chat."""

_CONTEXT = ("context_length", "context_window", "max_context_length", "max_model_len", "inputTokenLimit",
            "max_input_tokens", "max_context_window_tokens", "availableContextTokens", "n_ctx")  # fmt: skip
_OUTPUT = ("max_completion_tokens", "outputTokenLimit", "max_output_tokens", "max_tokens", "maxCompletionTokens",
           "max_output_length")  # fmt: skip
_INNER = ("top_provider", "model_spec", "meta", "limits")
"""The inner objects in which some lists have these fields."""

_NO_CHAT = re.compile(
    r"(?i)embed|whisper|\btts\b|-tts|dall-e|moderation|davinci|babbage|transcribe|realtime|rerank|ocr|stable-diffusion"
    r"|^sora|gpt-image|chatgpt-image|gpt-3\.5-turbo-instruct|minilm|\bbge\b|guard"
)
"""Matches the names of models that are not for conversations, if the list does not tell."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The models of one provider. failure: why the list could not be fetched. fetched: when it was, in
    seconds of Unix time, 0 for never."""

    provider: str
    models: list[ModelEntry]
    failure: LlmToolsError | None = None
    fetched: float = 0.0


def list_items(body: Any) -> list[dict[str, Any]]:
    """Return the entries of a decoded list. Raises ProtocolError for an unknown form."""
    if isinstance(body, dict):
        body = next((body[key] for key in ("data", "models") if isinstance(body.get(key), list)), None)
    if not isinstance(body, list):
        raise ProtocolError("the list of models has an unknown form")
    return [item for item in body if isinstance(item, dict)]


def decode_list(provider: str, body: Any) -> list[ModelEntry]:
    """Return the models of a decoded list. Raises ProtocolError for an unknown form."""
    models = []
    for item in list_items(body):
        identity = item.get("id") or item.get("name") or item.get("model")
        if isinstance(identity, str) and identity:
            models.append(_decode_entry(provider, identity.removeprefix("models/"), item))
    return models


def _decode_entry(provider: str, identity: str, item: dict[str, Any]) -> ModelEntry:
    model: ModelEntry = {"name": f"{provider}/{identity}", "provider": provider, "id": identity}
    title = item.get("display_name") or item.get("displayName") or item.get("name")
    if isinstance(title, str) and title.removeprefix("models/") != identity:
        model["title"] = title
    for field, names in (("context", _CONTEXT), ("max_output", _OUTPUT)):
        count = _first_count(item, names)
        if count:
            model[field] = count
    prices = _decode_prices(item)
    if prices:
        model["prices"] = prices
    if not _is_chat(identity, item):
        model["chat"] = False
    return model


def _first_count(item: dict[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first positive integer under one of the names, in an entry or an inner object."""
    inner = [item.get(key) for key in _INNER]
    capabilities = item.get("capabilities")
    if isinstance(capabilities, dict):
        inner.append(capabilities.get("limits"))
    for table in (item, *inner):
        for name in names:
            value = table.get(name) if isinstance(table, dict) else None
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _decode_prices(item: dict[str, Any]) -> dict[str, float]:
    """Return the prices of an entry. OpenRouter and Groq write them for one token, as strings; Venice
    and Together for a million tokens, as numbers."""
    spec = item.get("model_spec")
    pricing = item.get("pricing") or (spec.get("pricing") if isinstance(spec, dict) else None)
    if not isinstance(pricing, dict):
        return {}
    if "prompt" in pricing:
        names = {"input": "prompt", "output": "completion", "cached": "input_cache_read"}
        prices = {name: to_dollars(pricing.get(key), 1_000_000) for name, key in names.items()}
    else:
        names = {"input": "input", "output": "output", "cached": "cache_input"}
        prices = {name: to_dollars(pricing.get(key)) for name, key in names.items()}
    return {name: price for name, price in prices.items() if price is not None}


def to_dollars(value: Any, times: int = 1) -> float | None:
    """Return a price, multiplied by `times`, in dollars; None if the value is not a price."""
    from decimal import Decimal, InvalidOperation

    if isinstance(value, dict):
        value = value.get("usd")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        price = Decimal(str(value)) * times
    except InvalidOperation:
        return None
    return float(price) if price.is_finite() and price >= 0 else None


def _is_chat(identity: str, item: dict[str, Any]) -> bool:
    """Whether a model is for conversations: by the list, or by its name if the list does not tell."""
    methods = item.get("supportedGenerationMethods")
    if isinstance(methods, list):
        return "generateContent" in methods and not _NO_CHAT.search(identity)
    capabilities, architecture = item.get("capabilities"), item.get("architecture")
    if isinstance(capabilities, dict) and "completion_chat" in capabilities:
        return bool(capabilities["completion_chat"]) and not capabilities.get("ocr")
    kind = capabilities.get("type") if isinstance(capabilities, dict) else item.get("type")
    if isinstance(kind, str) and kind in ("chat", "embeddings", "embedding", "image", "moderation", "rerank", "audio"):
        return kind == "chat"
    outputs = item.get("output_modalities") or item.get("supported_output_modalities")
    if isinstance(architecture, dict):
        outputs = architecture.get("output_modalities") or outputs
    if isinstance(outputs, list):
        return "text" in outputs
    return not _NO_CHAT.search(identity)
