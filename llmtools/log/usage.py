"""What was spent: tokens, and dollars where genai-prices is installed, by model, day or name.

Rules:
* Every response counts once, whatever number of conversations share it, a failed one too. By
  name each counts for every name whose conversation it is in, and one in none for `-`.
* The provider's own figure, where it tells one (response.details[ISSUER].cost), comes first.
"""

from __future__ import annotations

from datetime import datetime

from ..providers.prices import PRICED_AS
from . import database
from .node import stored_response
from .store import UP, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Row = dict[str, Any]

COUNTS = ("input", "output", "cached", "reasoning")
BAR = 40
_NAMES = """
WITH RECURSIVE up (name, id) AS (
    SELECT name, node FROM name
    UNION SELECT up.name, node.parent FROM up JOIN node USING (id) WHERE node.parent IS NOT NULL
) SELECT id, name FROM up ORDER BY name
"""


def usage(store: Store, by: str, **given: Any) -> list[Row]:
    """Return a row for each group: responses, the tokens, and the cost where it is known of any.

    given: since (ms) and model, as for a search; name, of one conversation.
    """
    with database.sqlite_errors(store.path):
        names: dict[int, list[str]] = {}
        if by == "name":
            for node, name in store.connection.execute(_NAMES):
                names.setdefault(node, []).append(name)
        within = _conversation(store, given["name"]) if given.get("name") else None
        price = _prices()
        groups: dict[str, Row] = {}
        for row in _responses(store, given):
            if within is not None and row["node"] not in within:
                continue
            cost = _cost(row["body"], price)
            for key in names.get(row["node"], ["-"]) if by == "name" else [row[by] or "-"]:
                _add(groups.setdefault(key, {by: key, "responses": 0, **dict.fromkeys(COUNTS, 0)}), row["body"], cost)
    return [groups[key] for key in sorted(groups)]


def _conversation(store: Store, ref: str) -> set[int]:
    """Return the messages of one conversation. Raises NoInputError where there is none."""
    node, _ = store.resolve(ref)
    return {row[0] for row in store.connection.execute(UP + "SELECT id FROM up", (node,))}


def _responses(store: Store, given: Row) -> Iterator[Row]:
    statement = (
        "SELECT ifnull(node, asked), model, date(response.created, 'localtime'), response.body"
        " FROM response LEFT JOIN node ON node.id = response.node"
        " WHERE key IS NOT NULL AND ifnull(role, 'assistant') = 'assistant'"
        " AND (?1 IS NULL OR strftime('%s', response.created) * 1000 >= ?1)"
        " AND (?2 IS NULL OR model = ?2 OR model LIKE '%/' || ?2)"
    )
    for node, model, day, body in store.connection.execute(statement, (given.get("since"), given.get("model"))):
        yield {"node": node, "model": model, "day": day, "body": stored_response(body)}


def _add(row: Row, response: Row, cost: float | None) -> None:
    used = response.get("usage", {})
    details = used.get("details", {})
    row["responses"] += 1
    for name in COUNTS:
        row[name] += used.get(name, details.get(name, 0))
    if cost is not None:
        row["cost"] = row.get("cost", 0.0) + cost


def _cost(response: Row, price: Callable[[Row], float | None]) -> float | None:
    for told in response.get("details", {}).values():
        if isinstance(told, dict) and isinstance(told.get("cost"), int | float):
            return float(told["cost"])
    return price(response)


def _prices() -> Callable[[Row], float | None]:
    """Return what says how many dollars a response cost, None where that is not known."""
    try:
        from importlib import import_module

        prices = import_module("genai_prices")
    except ImportError:
        return lambda response: None

    def price(response: Row) -> float | None:
        used, model = response.get("usage", {}), str(response.get("model", "")).removeprefix("llm/")
        details = used.get("details", {})
        provider, slash, name = model.partition("/")
        try:
            spent = prices.Usage(
                input_tokens=used.get("input"),
                output_tokens=used.get("output"),
                cache_read_tokens=details.get("cached"),
                cache_write_tokens=details.get("cache_write"),
            )
            moment = datetime.fromisoformat(response["created"]) if "created" in response else None
            asked = {"provider_id": PRICED_AS.get(provider, provider)} if slash else {}
            known = prices.calc_price(spent, model_ref=name or model, genai_request_timestamp=moment, **asked)
            return float(known.total_price)
        except Exception:  # a model or an amount that it does not know, or another version of it
            return None

    return price


def table(rows: list[Row], by: str) -> Iterator[str]:
    """Yield the rows as columns with tabs, a head first."""
    has_cost = any("cost" in row for row in rows)
    columns = [by, "responses", *COUNTS, *(["cost"] if has_cost else [])]
    yield "\t".join(columns)
    for row in rows:
        cost = [f"{row['cost']:.4f}" if "cost" in row else "-"] if has_cost else []
        yield "\t".join([*(str(row[name]) for name in (by, "responses", *COUNTS)), *cost])


def bars(rows: list[Row], by: str) -> Iterator[str]:
    """Yield a bar for each row: dollars where any are known, else tokens."""
    has_cost = any("cost" in row for row in rows)
    amounts = [row.get("cost", 0.0) if has_cost else row["input"] + row["output"] for row in rows]
    most = max(amounts, default=0) or 1
    width = max((len(str(row[by])) for row in rows), default=0)
    for row, amount in zip(rows, amounts, strict=True):
        bar = "█" * round(amount / most * BAR) or ("▏" if amount else "")
        yield f"{row[by]:{width}}  {bar} " + (f"${amount:.4f}" if has_cost else str(amount))
