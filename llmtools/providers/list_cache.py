"""A cache of the providers' lists of models.

Rule: a list is saved with its base URL. For another base URL it does not count.
"""

from __future__ import annotations

import time

from ..errors import CreateError, InputError
from ..paths import cache_folder, write_file
from ..records.jsonl import dumps, loads
from .list_formats import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from .list_formats import ModelEntry


def _cache_path(name: str) -> Path:
    return cache_folder() / "models" / f"{name}.json"


def save_list(name: str, base_url: str, models: list[ModelEntry]) -> None:
    """Save the list of a provider. If that fails, the list is fetched again the next time."""
    content = {"fetched": int(time.time()), "base_url": base_url, "models": models}
    try:
        write_file(_cache_path(name), dumps(content) + b"\n")
    except CreateError:
        pass


def load_list(name: str, base_url: str, max_age: float | None = None) -> Listing | None:
    """Return the saved list of a provider; None if there is none for this base URL, or if it is older
    than `max_age` seconds."""
    try:
        content = loads(_cache_path(name).read_bytes())
        models = [model for model in content["models"] if isinstance(model["name"], str)]
        listing = Listing(name, models, None, float(content["fetched"]))
        is_fresh = max_age is None or 0 <= time.time() - listing.fetched < max_age
    except (OSError, InputError, KeyError, TypeError, ValueError):
        return None
    return listing if content.get("base_url") == base_url and is_fresh else None


def load_model_names() -> dict[str, list[str]]:
    """Return the names of the models in all saved lists, of any age, by provider."""
    names = {}
    for path in sorted(_cache_path("").parent.glob("*.json")):
        try:
            names[path.stem] = [str(model["id"]) for model in loads(path.read_bytes())["models"]]
        except (OSError, InputError, KeyError, TypeError):
            continue
    return names
