"""How the tests are laid out, and how they are run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.paths import ROOT, TESTS


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


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", f"tests/{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", ["run", "fix"])
def test_a_script_shows_its_usage(name: str) -> None:
    done = script(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"tests/{name}") and "#" not in done.stdout


def test_fast_and_slow_exclude_each_other() -> None:
    done = script("run", "--slow", "--fast")
    assert done.returncode == 1 and "--fast and --slow" in done.stderr
