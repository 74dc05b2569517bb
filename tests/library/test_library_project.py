"""A user's own project, in tests/support/user_project: it is held to the strict rules of mypy and of pyright, and
runs in processes of its own against a scripted server."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from support.library import DOGS, chat_calls
from support.paths import ROOT, TESTS
from support.protocol_replies import answer
from support.server import Server, failing

PROJECT = TESTS / "support" / "user_project"
PYRIGHT = ROOT / ".venv/node/node_modules/.bin/pyright"
CALLS = [(call, "Kennel_describe", arguments) for call, _, arguments in DOGS]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", PROJECT / "dogs.py", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_asks_and_another_process_goes_on(tmp_path: Path) -> None:
    database = tmp_path / "dogs.db"
    forbidden = ("c3", "Kennel_describe", '{"name": "No", "bio": "forbidden"}')
    with Server(chat_calls(*CALLS, forbidden), answer("openai-chat")) as server:
        asked = run("ask", server.origin, database, "Invent dogs")
        assert (asked.stderr, asked.returncode) == ("", 0)
        assert asked.stdout.startswith("Three dogs: [Kennel_describe")
        resumed = run("resume", server.origin, database)
        assert (resumed.stderr, resumed.returncode) == ("", 0)
        first, second = (request.json for request in server.requests)
    assert resumed.stdout.splitlines() == [
        "Kennel_describe Rex (big): old",
        "Kennel_describe Ida (big): new",
        "Kennel_describe Cancelled: Kennel_describe may not be called so",
        "Hello you",
        "[Dog(name='Rex', bio='old'), Dog(name='Ida', bio='new')] 2 stop",
    ]
    assert second["messages"][: len(first["messages"])] == first["messages"], "image, system message and all"
    assert (second["temperature"], second["seed"], second["tools"]) == (0.5, 7, first["tools"])
    assert "Tell me about them" in json.dumps(second["messages"][-1])
    assert run("usage", database).stdout == "11 ['assistant']\n"
    with sqlite3.connect(database) as connection:
        assert connection.execute("select count(*) from turn").fetchone() == (2,)
    connection.close()


def test_its_status_says_what_went_wrong(tmp_path: Path) -> None:
    for status, code, said in ((401, 77, "the key: "), (500, 1, "failed: "), (429, 75, "later: ")):
        with Server(*[failing(status, retry_after_ms=1)] * 2) as server:
            done = run("ask", server.origin, tmp_path / "none.db", "hi")
        assert done.returncode == code and done.stderr.startswith(said), done.stderr


@pytest.mark.slow
def test_mypy_knows_every_type() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file", os.devnull, PROJECT],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_pyright_knows_every_type(tmp_path: Path) -> None:
    pyright = str(PYRIGHT) if PYRIGHT.exists() else shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not here: tests/run --slow installs it where npm is")
    rules = {
        "include": [str(PROJECT)],
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(rules))
    done = subprocess.run(
        [pyright, "--project", tmp_path, "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
