"""Lists of models as the providers write them.

Rules:
* A list says what it says: a context or a price that it has in a form not seen before is none.
* Prices are in dollars a million tokens.

Lists: wire-protocols.md sections 1, 3, 4 and 5, and as recorded.
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

    Model = dict[str, Any]

_CONTEXT = ("context_length", "context_window", "max_context_length", "max_model_len", "inputTokenLimit",
            "max_input_tokens", "max_context_window_tokens", "availableContextTokens", "n_ctx")  # fmt: skip
_OUTPUT = ("max_completion_tokens", "outputTokenLimit", "max_output_tokens", "max_tokens", "maxCompletionTokens",
           "max_output_length")  # fmt: skip
_INNER = ("top_provider", "model_spec", "meta", "limits")
"""The objects in which a list keeps what others say on top."""

_NO_CHAT = re.compile(
    r"(?i)embed|whisper|\btts\b|-tts|dall-e|moderation|davinci|babbage|transcribe|realtime|rerank|ocr|stable-diffusion"
    r"|^sora|gpt-image|chatgpt-image|gpt-3\.5-turbo-instruct|minilm|\bbge\b|guard"
)
"""Names of models that hold no conversations, where a list does not say."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The models of one provider, and what went wrong with asking for them."""

    provider: str
    models: list[Model]
    failure: LlmToolsError | None = None
    fetched: float = 0.0


def items(body: Any) -> list[dict[str, Any]]:
    """Return the entries of a list, in whichever form it comes."""
    if isinstance(body, dict):
        body = next((body[key] for key in ("data", "models") if isinstance(body.get(key), list)), None)
    if not isinstance(body, list):
        raise ProtocolError("the list of models has another form")
    return [item for item in body if isinstance(item, dict)]


def decode(provider: str, body: Any) -> list[Model]:
    """Return the models of a list. Raises ProtocolError for what is none."""
    models = []
    for item in items(body):
        identity = item.get("id") or item.get("name") or item.get("model")
        if isinstance(identity, str) and identity:
            models.append(_model(provider, identity.removeprefix("models/"), item))
    return models


def _model(provider: str, identity: str, item: dict[str, Any]) -> Model:
    model: Model = {"name": f"{provider}/{identity}", "provider": provider, "id": identity}
    title = item.get("display_name") or item.get("displayName") or item.get("name")
    if isinstance(title, str) and title.removeprefix("models/") != identity:
        model["title"] = title
    for field, names in (("context", _CONTEXT), ("max_output", _OUTPUT)):
        count = _number(item, names)
        if count:
            model[field] = count
    prices = _prices(item)
    if prices:
        model["prices"] = prices
    if not _is_chat(identity, item):
        model["chat"] = False
    return model


def _number(item: dict[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first of some counts that an entry, or an object in it, has."""
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


def _prices(item: dict[str, Any]) -> dict[str, float]:
    """Return the prices of an entry: OpenRouter's and Groq's are for one token, as strings;
    Venice's and Together's for a million, as numbers."""
    spec = item.get("model_spec")
    said = item.get("pricing") or (spec.get("pricing") if isinstance(spec, dict) else None)
    if not isinstance(said, dict):
        return {}
    if "prompt" in said:
        names = {"input": "prompt", "output": "completion", "cached": "input_cache_read"}
        found = {name: dollars(said.get(key), 1_000_000) for name, key in names.items()}
    else:
        names = {"input": "input", "output": "output", "cached": "cache_input"}
        found = {name: dollars(said.get(key)) for name, key in names.items()}
    return {name: price for name, price in found.items() if price is not None}


def dollars(value: Any, times: int = 1) -> float | None:
    """Return a price as a number of dollars, None for what is none."""
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
    """Whether a model holds conversations: by what the list says, else by its name."""
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
