"""Blocks of a vendor's request, as every protocol builds them: plain JSON objects.

Rule: a block is built from the neutral fields, and what the issuer said beside them is laid
over it, so that it gets back what it sent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Wire = dict[str, Any]


def overlay(block: Wire, metadata: dict[str, Any]) -> Wire:
    """Return `block` with `metadata` laid over it, object by object."""
    laid = dict(block)
    for name, value in metadata.items():
        below = laid.get(name)
        laid[name] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return laid
