"""Cases of faults, one TOML file each, in the manner of curl's: what the server does, the command, the request
that must be on the wire, stdout, stderr, and the exit status.

    statement = 19                     # the number of the promise, see statements.toml
    title = "A stream that ends without its end is cut off"
    server = [["head", "said Hel|lo", "fin"]]          # the steps of each answer, in order
    command = "llm-msg -n user hi | llm-send --base-url $URL -m tiny"
    stdin = "…"                        # a text; without it stdin is /dev/null
    files = {"talk.jsonl" = "…"}       # in the folder of the command
    environment = {NAME = "value"}
    status = 75
    requests = ["POST /v1/chat/completions"]
    body = '…'                         # the JSON of the first request
    stdout = '''…'''                   # exact, after `plain`
    stderr = '''…'''

Steps: `head [STATUS] [NAME:VALUE]…`, `said TEXT|TEXT…` and `called PIECE|PIECE…` (chunks of Chat Completions),
`ended [REASON]`, `event JSON`, `send TEXT`, `wait SECONDS`, `fin`, `rst`; `whole STATUS JSON` is an answer in one
piece. $URL, $ORIGIN and $CLOSED (a port at which nothing listens) stand for addresses.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.harness import Shell
from support.server import FIN, RST, Answer, Server, called, closed_port, ended, event, head, said, whole

_VARIABLE = (
    (re.compile(r'"created":"[^"]*"'), '"created":"TIME"'),
    (re.compile(r'"timing":\{[^}]*\}'), '"timing":{}'),
    (re.compile(r'"stderr":"[0-9a-f]+"'), '"stderr":"ID"'),
    (re.compile(r"(resp|tools)_[0-9a-f]{24}"), r"\1_ID"),
    (re.compile(r"again in [0-9.]+ s"), "again in N s"),
    (re.compile(r"^STATUSES", re.MULTILINE), "STATUSES"),
)


@dataclass(frozen=True)
class Case:
    """A case as it is in its file."""

    name: str
    statement: int
    title: str
    command: str
    server: list[list[str]] = field(default_factory=list)
    stdin: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    status: int = 0
    requests: list[str] = field(default_factory=list)
    body: str | None = None
    stdout: str = ""
    stderr: str = ""


def read_case(path: Path) -> Case:
    """Return the case of a file. A field that is not known is a TypeError."""
    return Case(name=path.stem, **tomllib.loads(path.read_text("utf-8")))


def run_case(case: Case, shell: Shell) -> dict[str, Any]:
    """Run a case; return what there was: status, requests, body, stdout and stderr."""
    for name, content in case.files.items():
        (shell.folder / name).write_text(content, "utf-8")
    with Server(*[_answer(steps) for steps in case.server]) as server:
        closed = f"127.0.0.1:{closed_port()}"
        addresses = {"URL": server.url, "ORIGIN": server.origin, "CLOSED": closed}
        stdin = None if case.stdin is None else case.stdin.encode()
        done = shell.run(case.command, stdin, env={**addresses, **case.environment})
        requests = [" ".join(received.line.split()[:2]) for received in server.requests]
        body = server.requests[0].json if server.requests and server.requests[0].body else None

    def plain(text: str) -> str:
        for origin, name in ((server.origin, "http://ORIGIN"), (closed, "CLOSED"), (str(shell.folder), "FOLDER")):
            text = text.replace(origin, name)
        for pattern, replacement in _VARIABLE:
            text = pattern.sub(replacement, text)
        return text

    out, err = plain(done.out.decode("utf-8", "replace")), plain(done.err)
    return {"status": done.status, "requests": requests, "body": body, "stdout": out, "stderr": err}


def expected_of(case: Case) -> dict[str, Any]:
    """Return what a case says there must be, in the form of `run_case`."""
    fields = {"status": case.status, "requests": case.requests, "stdout": case.stdout, "stderr": case.stderr}
    return {**fields, "body": None if case.body is None else json.loads(case.body)}


def _answer(steps: list[str]) -> Answer:
    answer: Answer = []
    for step in steps:
        word, _, rest = step.partition(" ")
        if word == "whole":
            status, _, body = rest.partition(" ")
            answer += whole(int(status), json.loads(body))
        elif word in ("fin", "rst"):
            answer.append(FIN if word == "fin" else RST)
        elif word == "wait":
            answer.append(float(rest))
        else:
            answer.append(_bytes_of(word, rest))
    return answer


def _bytes_of(word: str, rest: str) -> bytes:
    if word == "head":
        status, *fields = rest.split() or ["200"]
        return head(
            int(status), **{name.replace("-", "_"): value for name, _, value in (f.partition(":") for f in fields)}
        )
    if word == "said":
        return said(*rest.split("|"))
    if word == "called":
        return called(*rest.split("|"))
    if word == "ended":
        return ended(rest or "stop")
    if word == "event":
        return event(rest.encode())
    if word == "send":
        return rest.encode()
    raise ValueError(f"not a step: {word} {rest}")
