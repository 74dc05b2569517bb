"""A mock of every vendor at once: aimock, from npm, that answers from fixtures.

`tests/run --slow` installs it beside the tests' Python, at `node` in its prefix; it needs
node and npm. It says nothing of what a request must be, but its journal tells each as it
was understood, in the form of OpenAI Chat whatever the protocol was.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

Object = dict[str, Any]

SCRIPT = Path(sys.prefix) / "node" / "node_modules" / ".bin" / "llmock"
NEEDED = (20, 15)
"""The node that it needs."""
KEY = "sekrit-of-the-mock"
STARTED = 60
"""Seconds in which it must have started."""

BASES = {
    **dict.fromkeys(("openai-chat", "openai-responses"), "/v1"),
    **dict.fromkeys(("gemini", "gemini-interactions"), "/v1beta"),
    **dict.fromkeys(("anthropic", "ollama"), ""),
}
"""Protocol -> what stands before the vendor's own path."""


def require() -> None:
    """Skip the test where aimock cannot run; fail it where it can and was not installed."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("no aimock: node or npm is not here")
    command = [node, "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True, timeout=STARTED).stdout.strip()
    if tuple(map(int, version.removeprefix("v").split(".")[:2])) < NEEDED:
        pytest.skip(f"no aimock: it needs node {'.'.join(map(str, NEEDED))}, and here is {version}")
    if SCRIPT.exists():
        return
    reason = f"no aimock: {SCRIPT} is not there (tests/run --slow installs it)"
    if os.environ.get("LLMTOOLS_TEST_REAL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Mock:
    """A process of it on a free port of 127.0.0.1, that takes requests with KEY alone."""

    def __init__(self, fixtures: list[Object], folder: Path) -> None:
        (folder / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}))
        self._log = folder / "log"
        command = ["node", str(SCRIPT), "-h", "127.0.0.1", "-p", "0", "-f", str(folder / "fixtures.json")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-c", "4", "--validate-on-load"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "AIMOCK_API_KEYS": KEY},
            )
        try:
            self.port = self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _wait(self) -> int:
        deadline = time.monotonic() + STARTED
        while time.monotonic() < deadline and self._process.poll() is None:
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)\n", self._log.read_text())
            if found:
                return int(found[1])
            time.sleep(0.02)
        raise RuntimeError(f"aimock did not start:\n{self._log.read_text()}")

    def requests(self, said: str) -> list[Object]:
        """Return the requests whose last words of the user hold `said`, as they were understood."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/__aimock/journal", headers={"Authorization": f"Bearer {KEY}"})
            journal = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return [entry for entry in journal if said in _last_of_user(entry.get("body") or {})]

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


def _last_of_user(body: Object) -> str:
    said = [text_of(message) for message in body.get("messages", ()) if message["role"] == "user"]
    return said[-1] if said else ""


def text_of(message: Object) -> str:
    """Return the text of a message that was understood."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)
