"""Prices of models from the package genai-prices, if it is installed: dollars for a million tokens.

Rule: the prices in a provider's own list come first; nothing is guessed.
"""

from __future__ import annotations

from .list_formats import to_dollars

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .list_formats import ModelEntry

PRICED_AS = {
    **dict.fromkeys(("gemini", "interactions", "vertex"), "google"),
    "xai": "x-ai",
    "moonshot": "moonshotai",
}
"""The names in genai-prices of providers that have another name in our catalogue."""


def with_prices(model: ModelEntry) -> ModelEntry:
    """Return a model with the context and the prices of genai-prices, if the package is installed
    and the provider's list has none."""
    try:
        from datetime import UTC, datetime
        from importlib import import_module

        snapshot = import_module("genai_prices.data_snapshot").get_snapshot()
        name = PRICED_AS.get(model["provider"], model["provider"])
        _, entry = snapshot.find_provider_model(model["id"], None, name, None)
        current = entry.get_prices(datetime.now(UTC))
    except Exception:  # not installed, another version of it, or an unknown model
        return model
    more: ModelEntry = {}
    if isinstance(entry.context_window, int):
        more["context"] = entry.context_window
    fields = {"input": "input_mtok", "output": "output_mtok", "cached": "cache_read_mtok"}
    values = {name: getattr(current, field, None) for name, field in fields.items()}
    prices = {name: to_dollars(str(getattr(value, "base", value))) for name, value in values.items()}
    prices = {name: price for name, price in prices.items() if price is not None}
    if prices and "prices" not in model:
        more.update(prices=prices, prices_from="genai-prices")
    return {**model, **{field: value for field, value in more.items() if field not in model}}
