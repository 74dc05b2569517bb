"""Real MCP servers to test against: from PyPI (the group `real`), from npm (tests/run --slow installs
them beside aimock), and one of our own, written with the official SDK.

None listens on other than 127.0.0.1: those of node are held to it by a file that is loaded first.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

BIN = Path(sys.prefix) / "node" / "node_modules" / ".bin"
PACKAGES = ("mcp", "mcp_server_time", "mcp_server_git")
STARTED = 60
"""Seconds in which a server must have started."""

LOOPBACK = """
const { Server } = require('net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
    this.once('listening', () => console.error(`port: ${this.address().port}`));
    return listen.call(this, { port: Number(port), host: '127.0.0.1' }, rest.find(each => typeof each === 'function'));
};
"""

OWN = """
import os, sys, time
from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from pydantic import BaseModel

server = MCPServer("own", log_level="INFO" if sys.argv[1:] else "WARNING")
count = 0

class Weather(BaseModel):
    city: str
    degrees: float

@server.tool(name="count.up", description=os.environ.get("SAYS", "Count up."))
def up() -> str:
    global count
    count += 1
    return str(count)

@server.tool()
def count_up() -> str:
    return "the other one"

@server.tool()
def weather(city: str) -> Weather:
    return Weather(city=city, degrees=18.5)

@server.tool()
def draw() -> list:
    return ["two", Image(data=b"\\x89PNG\\r\\n\\x1a\\n", format="png"), Image(data=b"GIF89a\\x01\\x00", format="gif")]

@server.tool()
def boom() -> str:
    raise ValueError("no luck")

@server.tool()
def echo(value: object) -> str:
    return repr(value)

@server.tool()
def die() -> str:
    os._exit(3)

@server.tool()
def hang() -> str:
    with open("hanging", "w") as file:
        file.write(str(os.getpid()))
    while True:
        time.sleep(60)

@server.tool()
def flood() -> str:
    for _ in range(40):
        sys.stderr.write("x" * 100_000)
    return "y" * 3_000_000

if sys.argv[1:]:
    server.run(sys.argv[1], host="127.0.0.1", port=0)
else:
    server.run()
"""

ODD = """
import json, os, sys

script = json.load(open("odd.json"))
print("Odd server v1 {starting", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    method, number = request["method"], request.get("id")
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "serverInfo": {"name": "odd"}}
    elif method == "tools/list":
        result = {"tools": script["tools"], "nextCursor": "again"}
    elif method == "tools/call":
        name = request["params"]["name"]
        reply = script["replies"][name]
        if reply == "DIE":
            sys.stderr.write("starting\\nout of luck\\n")
            os._exit(7)
        data = reply.replace("ID", json.dumps(number)).encode(errors="surrogateescape")
        sys.stdout.buffer.write(data + b"\\n")
        sys.stdout.buffer.flush()
        continue
    elif number is None:
        continue
    else:
        print(json.dumps({"id": number, "error": "unheard of"}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)
"""
"""A server that keeps to nothing. `odd.json` has its tools, as it lists them, and the line that answers
the call of each, in which ID is the id of the call; DIE ends it."""


def require_sdk() -> None:
    """Skip the test where the packages are not; fail it where they must be."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        _missing(f"{', '.join(missing)} is not installed")


def node(name: str) -> Path:
    """Return the program of a server from npm; skip or fail the test where it is not."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no servers from npm: node or npm is not here")
    if not (BIN / name).exists():
        _missing(f"{BIN / name} is not there")
    return BIN / name


def _missing(reason: str) -> None:
    reason = f"no MCP: {reason} (tests/run --slow installs it)"
    if os.environ.get("LLMTOOLS_TEST_REAL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Web:
    """A server that listens on a free port of 127.0.0.1."""

    def __init__(self, command: list[str], folder: Path, port: str) -> None:
        self._log = folder / "log"
        with self._log.open("wb") as log:
            env = {**os.environ, "PORT": "0"}
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=folder
            )
        try:
            self.origin = f"http://127.0.0.1:{self._wait(port)}"
        except BaseException:
            self.close()
            raise

    def _wait(self, port: str) -> str:
        deadline = time.monotonic() + STARTED
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := re.search(port, self._log.read_text(errors="replace")):
                return found[1]
            time.sleep(0.02)
        raise RuntimeError(f"the server did not start:\n{self._log.read_text(errors='replace')}")

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


def own_on_the_web(folder: Path, transport: str) -> Web:
    """Start our own server over `sse` or `streamable-http`."""
    (folder / "own.py").write_text(OWN)
    return Web([sys.executable, "own.py", transport], folder, r"running on http://127\.0\.0\.1:(\d+)")


def everything_on_the_web(folder: Path) -> Web:
    """Start server-everything over streamable HTTP."""
    (folder / "loopback.cjs").write_text(LOOPBACK)
    program = str(node("mcp-server-everything"))
    return Web(["node", "-r", "./loopback.cjs", program, "streamableHttp"], folder, r"port: (\d+)")
