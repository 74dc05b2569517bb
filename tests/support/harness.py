"""Real processes through real pipes: how the tests run the commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

import llmtools
from llmtools.http.endpoint import Endpoint
from llmtools.protocols.request import Request
from llmtools.providers.address import target_at
from support.paths import ROOT

SCRIPTS = sysconfig.get_path("scripts")
_FILE = ROOT / "llmtools" / "records" / "stream.schema.json"
SCHEMA = json.loads(_FILE.read_bytes()) if _FILE.exists() else {}
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
WRITES_RECORDS = re.compile(r"(^|[|(])\s*llm-(msg|send)\b(?![^|;&]*(--(help|version|dry-run)|-h\b))[^|;&>()]*$")
"""A script whose stdout is a stream: every record of it is held against the schema."""
LIMIT = 60
"""Seconds after which nothing is waited for any more: a script that hangs is ended."""


def environment(home: Path, **more: str) -> dict[str, str]:
    """What `env -i HOME PATH` leaves, with the commands on PATH."""
    path = os.pathsep.join([SCRIPTS, os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin"])
    return {"HOME": str(home), "PATH": path, **more}


@dataclass(frozen=True)
class Done:
    """A script that has run."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records on stdout, each held against the published schema."""
        return valid_records(self.out)


def wait_for(path: Path, text: bytes) -> None:
    """Wait until a file holds a text."""
    for _ in range(LIMIT * 20):
        if path.exists() and text in path.read_bytes():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path.name} never held {text!r}")


def valid_records(data: bytes) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in data.splitlines()]
    for record in records:
        VALIDATOR.validate(record)
    return records


class Watchdog(threading.Timer):
    """Kills a process that runs for too long, with its group where it leads one."""

    def __init__(self, process: subprocess.Popen[Any], seconds: float = 2 * LIMIT) -> None:
        super().__init__(seconds, self._kill)
        self.daemon = True
        self.has_killed = False
        self._process = process
        self.start()

    def _kill(self) -> None:
        if self._process.poll() is not None:
            return
        self.has_killed = True
        with suppress(ProcessLookupError):
            if os.getpgid(self._process.pid) == self._process.pid:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()


class Shell:
    """Runs bash scripts in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment(folder)
        self._started: list[subprocess.Popen[bytes]] = []
        self._watchdogs: list[Watchdog] = []

    def close(self) -> None:
        """End what is still running, by its process group, and close every stream."""
        for watchdog in self._watchdogs:
            watchdog.cancel()
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(LIMIT)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None and not stream.closed:
                    with suppress(BrokenPipeError):
                        stream.close()
        assert not any(watchdog.has_killed for watchdog in self._watchdogs), "a script hung, and was killed"

    def start(self, script: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a script in a session of its own, with pipes for its three streams. It is
        killed when it hangs, so that whoever reads from it comes to an end."""
        process = self._start(script, **options)
        self._watchdogs.append(Watchdog(process))
        return process

    def _start(self, script: str, **options: Any) -> subprocess.Popen[bytes]:
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**self.environment, **options.pop("env", {})},
            start_new_session=True,
            **{**streams, **options},
        )
        self._started.append(process)
        return process

    def run(self, script: str, stdin: bytes | None = None, **options: Any) -> Done:
        """Run a script to its end; without `stdin` its stdin is /dev/null. No output
        of any test may hold a traceback, and every stream must be one."""
        if stdin is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        process = self._start(script, **options)
        try:
            out, err = process.communicate(stdin, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=LIMIT)
            raise
        words = (err or b"").decode()
        assert "Traceback" not in words, words
        if WRITES_RECORDS.search(script) and len(out or b"") < 1 << 20:
            valid_records(out or b"")
        return Done(process.returncode, out or b"", words)

    def statuses(self, script: str, **options: Any) -> tuple[Done, list[int]]:
        """Run one pipe; return also the status of each of its commands."""
        done = self.run(f'{script}; echo "STATUSES ${{PIPESTATUS[@]}}" >&2', **options)
        found = re.search(r"STATUSES ([0-9 ]+)\n", done.err)
        assert found, done.err
        return done, [int(number) for number in found[1].split()]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, within a moment: one that was killed may still be a zombie."""
    for _ in range(400):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def texts(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (role, text) of each message."""
    return [
        (record["role"], "".join(part.get("text", "") for part in record["parts"]))
        for record in records
        if record["type"] == "message"
    ]


def request_to(protocol: str, model: str, issuer: str, quirks: Iterable[str] = (), **asked: Any) -> Request:
    """A request to a model, with what the catalogue knows of it."""
    options = asked.pop("options", {})
    endpoint = Endpoint(issuer, "http://127.0.0.1", protocol, quirks=frozenset(quirks))
    return target_at(endpoint, model, "m").request(options, **asked)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


def chunks(records: list[dict[str, Any]], kind: str) -> list[str]:
    """Return the chunks of the events of a kind."""
    return [record["chunk"] for record in records if record["type"] == kind]


def reply_of(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the last message, which must be what its events make."""
    message = [record for record in records if record["type"] == "message"][-1]
    assert dict(llmtools.message_of(records)) == message
    return message
