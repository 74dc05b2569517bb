"""Where things lie: every path that a test needs is made from one of these."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
RECORDINGS = Path(os.environ.get("LLMTOOLS_RECORDINGS") or ROOT.parent / "shared" / "recordings")
"""Recorded traffic of providers. Tests that need it are skipped where it is not."""
