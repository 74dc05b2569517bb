"""What a command imports, counted: start-up is paid by every stage of every pipe."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support.counted_imports import COUNT, STREAM
from support.harness import LIMIT, Shell

HEAVY = {"httpx", "keyring", "asyncio", "ssl", "sqlite3", "importlib.metadata", "platformdirs", "socket", "subprocess"}
SETTINGS = {
    "tomllib",
    "tomlkit",
    "llmtools.providers.config",
    "llmtools.providers.catalogue",
    "llmtools.providers.resolve",
    "llmtools.providers.keys",
}


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["msg", "user", "hi"], 20),
        (["parts", "-t", "text"], 20),
        (["parts"], 20),
        (["send", "-m", "echo", "--prefill"], 30),
    ],
)
def test_a_command_imports_little_beside_click_and_orjson(arguments: list[str], allowed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", COUNT, *arguments], input=STREAM, capture_output=True, check=False, timeout=LIMIT
    )
    status, modules = json.loads(done.stderr)
    assert status == 0
    assert len(modules) <= allowed, modules
    assert (HEAVY | SETTINGS).isdisjoint(modules), (HEAVY | SETTINGS) & set(modules)


def test_a_key_in_a_variable_needs_no_keyring() -> None:
    """Nor a process, nor the lists of models, nor what only writes a configuration."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", COUNT, "send", "-m", "openai/gpt-5.5", "--dry-run"],
        input=STREAM[: STREAM.index(b"\n") + 1],
        env={"HOME": "/nonexistent", "OPENAI_API_KEY": "k"},
        capture_output=True,
        check=False,
        timeout=LIMIT,
    )
    status, modules = json.loads(done.stderr)
    assert status == 0
    unwanted = (HEAVY - {"platformdirs"}) | {"tomlkit", "difflib", "llmtools.providers.lists"}
    assert unwanted.isdisjoint(modules), unwanted & set(modules)


def test_the_package_alone_imports_nothing(shell: Shell) -> None:
    program = "import sys; before=set(sys.modules); import llmtools; print(sorted(set(sys.modules)-before))"
    assert shell.run(f'python -I -c "{program}"').text == "['llmtools']\n"
