"""Usage: tokens, and dollars if genai-prices is installed, by model, day or name.

Rules:
* Every response counts once, also a failed one, however many conversations share it. By name, it
  counts for every name whose conversation has it, or for `-` if there is none.
* The cost that the provider reports (response.details[ISSUER].cost) comes before a computed one.
"""

from __future__ import annotations

from datetime import datetime

from ..providers.prices import PRICED_AS
from . import database
from .node import load_response
from .store import UP, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .database import Row

TOKEN_COUNTS = ("input", "output", "cached", "reasoning")
BAR_WIDTH = 40
"""The characters of the longest bar."""
_NODES_AND_NAMES = """
WITH RECURSIVE up (name, id) AS (
    SELECT name, node FROM name
    UNION SELECT up.name, node.parent FROM up JOIN node USING (id) WHERE node.parent IS NOT NULL
) SELECT id, name FROM up ORDER BY name
"""


def usage(store: Store, by: str, **filters: Any) -> list[Row]:
    """Return a row for each group: {by: group, responses, input, output, cached, reasoning, cost}. `cost`
    is in dollars, and missing if it is known of no response.

    by: "model", "day" or "name". filters: since (Unix time in ms) and model, as for `search`; name,
    a reference: only the responses of that conversation. Raises NoInputError, UsageError, OutputError.
    """
    with database.sqlite_errors(store.path):
        names: dict[int, list[str]] = {}
        if by == "name":
            for node, name in store.connection.execute(_NODES_AND_NAMES):
                names.setdefault(node, []).append(name)
        selected = _conversation_nodes(store, filters["name"]) if filters.get("name") else None
        price = _price_function()
        groups: dict[str, Row] = {}
        for row in _select_responses(store, filters):
            if selected is not None and row["node"] not in selected:
                continue
            cost = _cost_of(row["body"], price)
            for key in names.get(row["node"], ["-"]) if by == "name" else [row[by] or "-"]:
                group = groups.setdefault(key, {by: key, "responses": 0, **dict.fromkeys(TOKEN_COUNTS, 0)})
                _add_response(group, row["body"], cost)
    return [groups[key] for key in sorted(groups)]


def _conversation_nodes(store: Store, ref: str) -> set[int]:
    """Return the ids of the messages of one conversation. Raises NoInputError, UsageError."""
    node, _ = store.resolve(ref)
    return {row[0] for row in store.connection.execute(UP + "SELECT id FROM up", (node,))}


def _select_responses(store: Store, filters: Row) -> Iterator[Row]:
    statement = (
        "SELECT ifnull(node, asked), model, date(response.created, 'localtime'), response.body"
        " FROM response LEFT JOIN node ON node.id = response.node"
        " WHERE key IS NOT NULL AND ifnull(role, 'assistant') = 'assistant'"
        " AND (?1 IS NULL OR strftime('%s', response.created) * 1000 >= ?1)"
        " AND (?2 IS NULL OR model = ?2 OR model LIKE '%/' || ?2)"
    )
    for node, model, day, body in store.connection.execute(statement, (filters.get("since"), filters.get("model"))):
        yield {"node": node, "model": model, "day": day, "body": load_response(body)}


def _add_response(row: Row, response: Row, cost: float | None) -> None:
    counts = response.get("usage", {})
    details = counts.get("details", {})
    row["responses"] += 1
    for name in TOKEN_COUNTS:
        row[name] += counts.get(name, details.get(name, 0))
    if cost is not None:
        row["cost"] = row.get("cost", 0.0) + cost


def _cost_of(response: Row, price: Callable[[Row], float | None]) -> float | None:
    for details in response.get("details", {}).values():
        if isinstance(details, dict) and isinstance(details.get("cost"), int | float):
            return float(details["cost"])
    return price(response)


def _price_function() -> Callable[[Row], float | None]:
    """Return a function from a response to its cost in dollars, None if it is unknown."""
    try:
        from importlib import import_module

        prices = import_module("genai_prices")
    except ImportError:
        return lambda response: None

    def price(response: Row) -> float | None:
        counts, model = response.get("usage", {}), str(response.get("model", "")).removeprefix("llm/")
        details = counts.get("details", {})
        provider, slash, name = model.partition("/")
        try:
            tokens = prices.Usage(
                input_tokens=counts.get("input"),
                output_tokens=counts.get("output"),
                cache_read_tokens=details.get("cached"),
                cache_write_tokens=details.get("cache_write"),
            )
            moment = datetime.fromisoformat(response["created"]) if "created" in response else None
            of_provider = {"provider_id": PRICED_AS.get(provider, provider)} if slash else {}
            result = prices.calc_price(tokens, model_ref=name or model, genai_request_timestamp=moment, **of_provider)
            return float(result.total_price)
        except Exception:  # it does not know the model or a count, or is another version
            return None

    return price


def table_lines(rows: list[Row], by: str) -> Iterator[str]:
    """Yield the rows as columns with tabs, after a line of headings."""
    has_cost = any("cost" in row for row in rows)
    columns = [by, "responses", *TOKEN_COUNTS, *(["cost"] if has_cost else [])]
    yield "\t".join(columns)
    for row in rows:
        cost = [f"{row['cost']:.4f}" if "cost" in row else "-"] if has_cost else []
        yield "\t".join([*(str(row[name]) for name in (by, "responses", *TOKEN_COUNTS)), *cost])


def bar_lines(rows: list[Row], by: str) -> Iterator[str]:
    """Yield a bar for each row: of dollars if any cost is known, else of tokens."""
    has_cost = any("cost" in row for row in rows)
    amounts = [row.get("cost", 0.0) if has_cost else row["input"] + row["output"] for row in rows]
    most = max(amounts, default=0) or 1
    width = max((len(str(row[by])) for row in rows), default=0)
    for row, amount in zip(rows, amounts, strict=True):
        bar = "█" * round(amount / most * BAR_WIDTH) or ("▏" if amount else "")
        yield f"{row[by]:{width}}  {bar} " + (f"${amount:.4f}" if has_cost else str(amount))
