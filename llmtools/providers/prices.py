"""What models cost, by the package genai-prices: used where it is installed, in dollars a million tokens.

Rule: what a provider's own list says comes first; nothing is guessed.
"""

from __future__ import annotations

from .list_formats import dollars

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .list_formats import Model

PRICED_AS = {"gemini": "google", "vertex": "google", "xai": "x-ai", "moonshot": "moonshotai"}
"""Providers that genai-prices calls otherwise."""


def priced(model: Model) -> Model:
    """Return a model with the context and the prices that genai-prices knows, where its
    provider's list says none and the package is installed."""
    try:
        from datetime import UTC, datetime
        from importlib import import_module

        snapshot = import_module("genai_prices.data_snapshot").get_snapshot()
        name = PRICED_AS.get(model["provider"], model["provider"])
        _, known = snapshot.find_provider_model(model["id"], None, name, None)
        said = known.get_prices(datetime.now(UTC))
    except Exception:  # not installed, another version of it, or a model it does not know
        return model
    more: Model = {}
    if isinstance(known.context_window, int):
        more["context"] = known.context_window
    fields = {"input": "input_mtok", "output": "output_mtok", "cached": "cache_read_mtok"}
    values = {name: getattr(said, field, None) for name, field in fields.items()}
    prices = {name: dollars(str(getattr(value, "base", value))) for name, value in values.items()}
    prices = {name: price for name, price in prices.items() if price is not None}
    if prices and "prices" not in model:
        more.update(prices=prices, prices_from="genai-prices")
    return {**model, **{field: value for field, value in more.items() if field not in model}}
