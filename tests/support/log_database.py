"""A database of the log: what is in it, and many who write to it at once."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmtools.log.store import Store
from llmtools.log.upkeep import verify
from support.harness import LIMIT, Watchdog

WRITER = """
import sys
from pathlib import Path
from llmtools.log.recorder import Recorder
from llmtools.log.store import Store
me, count, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
def text(role, said, **more):
    return {"type": "message", "role": role, "parts": [{"type": "text", "text": said}], **more}
print("ready", flush=True)
sys.stdin.read()
store = Store(path)
for number in range(count):
    recorder = Recorder()
    recorder.feed({"type": "tool", "name": f"t{number % 7}"})
    recorder.feed(text("system", "Be brief"))
    recorder.feed(text("user", f"{number} of {me}"))
    recorder.feed(text("assistant", f"answer {number} to {me}", response={"id": f"{me}-{number}", "status": "ok"}))
    store.write(recorder.unsaved_conversations())
print("done", flush=True)
"""


@contextlib.contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def responses(path: Path) -> list[str]:
    with changed(path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'response'").fetchone():
            return []  # killed before its tables were there
        return [row[0] for row in connection.execute("SELECT json_extract(body, '$.id') FROM response")]


def assert_clean(path: Path) -> dict[str, int]:
    store = Store(path, writes=False)
    counts, wrong = verify(store)
    store.close()
    assert wrong == []
    return counts


def write_at_once(path: Path, writers: int, each: int) -> None:
    """Start all, wait until all have started, and let them loose on no database at all."""
    arguments = [sys.executable, "-c", WRITER]
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started = [
        subprocess.Popen([*arguments, str(number), str(each), str(path)], text=True, **streams)
        for number in range(writers)
    ]
    watchdogs = [Watchdog(process, 250) for process in started]
    try:
        for process in started:
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin
            process.stdin.close()
            process.stdin = None
        ends = [process.communicate(timeout=250) for process in started]
    finally:
        for watchdog, process in zip(watchdogs, started, strict=True):
            watchdog.cancel()
            process.kill()
            process.wait(LIMIT)
    assert ends == [("done\n", "")] * writers
    counts = assert_clean(path)
    assert counts["messages"] == 1 + 2 * writers * each  # the instructions of all are one
    assert counts["conversations"] == counts["responses"] == writers * each
    assert len(set(responses(path))) == writers * each
