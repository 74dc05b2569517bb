"""The copies that are kept of the providers' lists of models.

Rule: a copy knows where it is from. The list of another base URL is another list.
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

    from .list_formats import Model


def _path(name: str) -> Path:
    return cache_folder() / "models" / f"{name}.json"


def keep(name: str, base_url: str, models: list[Model]) -> None:
    """Keep the list of a provider. One that cannot be kept is asked for again, no more."""
    said = {"fetched": int(time.time()), "base_url": base_url, "models": models}
    try:
        write_file(_path(name), dumps(said) + b"\n")
    except CreateError:
        pass


def kept(name: str, base_url: str, age: float | None = None) -> Listing | None:
    """Return the list of a provider that is kept, if it is from there and not older than `age`."""
    try:
        said = loads(_path(name).read_bytes())
        models = [model for model in said["models"] if isinstance(model["name"], str)]
        listing = Listing(name, models, None, float(said["fetched"]))
        is_young = age is None or 0 <= time.time() - listing.fetched < age
    except (OSError, InputError, KeyError, TypeError, ValueError):
        return None
    return listing if said.get("base_url") == base_url and is_young else None


def cached() -> dict[str, list[str]]:
    """Return the names in the lists that are kept, however old, by provider."""
    found = {}
    for path in sorted(_path("").parent.glob("*.json")):
        try:
            found[path.stem] = [str(model["id"]) for model in loads(path.read_bytes())["models"]]
        except (OSError, InputError, KeyError, TypeError):
            continue
    return found
