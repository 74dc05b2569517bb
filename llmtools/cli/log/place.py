"""Which log an option of llm-log names."""

from __future__ import annotations

from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def given_path(given: dict[str, Any]) -> Path | None:
    """Return the path that --database names, None for the usual log."""
    return Path(given["database"]).expanduser() if given["database"] else None
