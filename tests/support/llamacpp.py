"""A real server to test against: llama.cpp's own, with a model that recites.

It comes from the dependency group `real` (the packages xllamacpp and gguf). As a program
this module is the server: `python -m support.llamacpp MODEL` writes its address and serves until
stdin ends, so that it never outlives the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest

from support.llamacpp_model import CONTEXT
from support.paths import TESTS

KEY = "sekrit-of-the-test-server"
STARTED = 60
"""Seconds in which a server must have started."""
NEEDED = "import gguf, numpy, xllamacpp"


def require() -> None:
    """Skip the test where the packages are not; fail it where they must be."""
    command = [sys.executable, "-c", NEEDED]
    tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=STARTED)
    if tried.returncode == 0:
        return
    said = tried.stderr.strip().splitlines()
    reason = f"no llama.cpp: {said[-1] if said else f'status {tried.returncode}'} (tests/run --slow installs it)"
    if os.environ.get("LLMTOOLS_TEST_REAL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Server:
    """A server process; `port` is where it listens on 127.0.0.1."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.port = 0
        self._address, self._log = folder / "address", folder / "log"
        with self._address.open("wb") as address, self._log.open("wb") as log:
            command = [sys.executable, "-m", "support.llamacpp", str(model)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=address, stderr=log, cwd=TESTS)
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _wait(self) -> None:
        """Wait for its address, then until the model can be asked."""
        deadline = time.monotonic() + STARTED
        while time.monotonic() < deadline and self._process.poll() is None:
            address = self._address.read_text()
            if address.endswith("\n"):
                self.port = int(address.rpartition(":")[2])
                if self._get("/v1/models") is not None:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"llama.cpp did not start:\n{self._said()}")

    def _said(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-4000:]

    def _get(self, path: str) -> Any:
        """Return the JSON at a path, None where the server does not answer with 200."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
            response = connection.getresponse()
            return json.loads(response.read()) if response.status == 200 else None
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    @property
    def is_busy(self) -> bool:
        """Whether it is working on an answer."""
        slots = self._get("/slots")
        assert slots is not None, self._said()
        return any(slot["is_processing"] for slot in slots)

    def close(self) -> None:
        """End it, by asking or else by force."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL, whatever it is doing."""
        assert self._process.stdin
        self._process.kill()
        self._process.wait(10)
        self._process.stdin.close()


def serve(model: str) -> NoReturn:
    """Serve the model on a free port of 127.0.0.1 until stdin ends."""
    library: Any = import_module("xllamacpp")
    given = library.CommonParams()
    given.model.path = model
    given.model_alias = {"tiny"}
    given.hostnames = ["127.0.0.1"]
    given.port = 0
    given.api_keys = [KEY]
    given.n_parallel = 2
    given.n_ctx = CONTEXT * given.n_parallel
    given.ctx_shift = True  # the long text has no end
    given.cache_prompt = False  # equal requests have equal usage
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = 1
    given.use_jinja = True
    given.sampling.temp = 0
    given.endpoint_slots = True
    server = library.Server(given)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
