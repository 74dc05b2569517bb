"""How the tests are laid out."""

from __future__ import annotations

import os
import subprocess
import sys

from support.paths import TESTS


def test_no_folder_of_tests_hides_a_module() -> None:
    """Folders have the names of those in llmtools, `http` among them: none may become a package."""
    assert [path.parent.name for path in TESTS.glob("*/__init__.py")] == ["support"]
    done = subprocess.run(
        [sys.executable, "-c", "import http; print(http.__file__)"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert str(TESTS) not in done.stdout
