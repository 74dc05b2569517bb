"""Which log an option of llm-log names."""

from __future__ import annotations

from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def log_path(options: dict[str, Any]) -> Path | None:
    """Return the path that --database names, None for the usual log."""
    return Path(options["database"]).expanduser() if options["database"] else None
