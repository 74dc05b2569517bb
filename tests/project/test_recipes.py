"""The recipes of README, part "Working on it": each is followed in a copy of the project.

A recipe is complete if what it adds works, and if the project's own checks pass then. It has no file
too many if each of its files had to change.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.harness import LIMIT, environment
from support.paths import ROOT
from support.server import Server, whole

README = (ROOT / "README.md").read_text("utf-8")
HI = '{"type":"message","role":"user","parts":[{"type":"text","text":"hi"}]}\n'


def recipe(what: str) -> list[str]:
    """Return the files that README names for what is to be added."""
    row = re.search(rf"^\| {what} \|(.*)\|$", README, re.MULTILINE)
    assert row, f"README has no recipe for {what}"
    return re.findall(r"`([\w-]+[./][\w./-]*)`", row[1])


@dataclass
class Copy:
    """A copy of the project."""

    root: Path
    changed: set[str] = field(default_factory=set)

    def add(self, path: str, text: str) -> None:
        """Write a new file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        assert not file.exists()
        file.write_text(text)
        self.changed.add(path)

    def insert(self, path: str, before: str, text: str) -> None:
        """Insert a text before the first place that begins with `before`."""
        file = self.root / path
        old = file.read_text("utf-8")
        assert before in old, f"{path} has no {before!r}"
        file.write_text(old.replace(before, text + before, 1))
        self.changed.add(path)

    def run(self, *command: str, stdin: str = "", **env: str) -> str:
        """Run a Python command in the copy; return its stdout."""
        variables = {**environment(self.root), "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1", **env}
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env=variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=2 * LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        return done.stdout

    def llm(self, name: str, *arguments: str, stdin: str = "", **env: str) -> str:
        """Run an executable of the copy; return its stdout."""
        begin = f"import llmtools.cli as cli; cli.llm_{name}()"
        return self.run("-c", begin, *arguments, stdin=stdin, **env)

    def complete(self) -> None:
        """Write the completions again."""
        self.run("tests/completions.py", "--write")
        self.changed.add("llmtools/completions/")

    def check(self, what: str, *tests: str) -> None:
        """Run the checks that every recipe must pass, and `tests`; then hold the files against README."""
        always = ("tests/project/test_docs.py", "tests/project/test_completions.py", "tests/project/test_names.py")
        choice = ["-p", "no:cacheprovider", "-q", "-m", "not slow and not process"]
        self.run("-m", "pytest", *choice, *always, *tests)
        lint = "import sys; from importlinter.cli import lint_imports; "
        self.run("-c", f"{lint}sys.exit(lint_imports(config_filename='tests/importlinter.ini', no_cache=True))")
        listed = [path.replace("NAME", "acme") for path in recipe(what)]
        for path in self.changed:
            assert any(path == name or (name.endswith("/") and path.startswith(name)) for name in listed), path
        for name in listed:
            assert any(path.startswith(name) for path in self.changed), f"{name} did not have to change"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    root = tmp_path / "project"
    root.mkdir()
    for name in ("llmtools", "man", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    return Copy(root)


@pytest.mark.slow
def test_add_a_provider(copy: Copy) -> None:
    url = "https://api.acme.example/v1"
    copy.insert(
        "llmtools/providers/catalogue.py", '    "lmstudio":', f'    "acme": _of(_CHAT, "{url}", "ACME_API_KEY"),\n'
    )
    copy.insert("man/llm-config.5", ".It lmstudio Ta", ".It acme Ta Ev ACME_API_KEY\n")
    row = f'    "acme": ("m", f"{url}{{CHAT}}", "ACME_API_KEY", BEARER),\n'
    copy.insert("tests/pipes/test_providers.py", '    "lmstudio":', row)

    request = json.loads(copy.llm("send", "-m", "acme/m", "--dry-run", stdin=HI, ACME_API_KEY="k"))
    assert request["url"] == f"{url}/chat/completions"
    copy.check("a provider", "tests/providers/test_catalogue.py")


PROTOCOL = {
    "__init__.py": '''"""Acme: the folder of the protocol `acme`. Facts: https://acme.example/docs"""

from ...http.failure import failure_from_response as error_of
from .decoder import Decoder
from .request import encode
from .spec import SPEC

__all__ = ["SPEC", "Decoder", "encode", "error_of"]
''',
    "spec.py": '''"""Acme: its data."""

from ..options import Places
from ..spec import Spec

SPEC = Spec(name="acme", options=Places({"temperature": "heat"}), key_header=("x-acme", ""))
''',
    "request.py": '''"""Acme: the request. The last message is asked; the options stand beside it."""

from __future__ import annotations

from typing import Any

from ...http.request import HttpRequest
from ...records.conversation import Conversation, text_of
from ...records.jsonl import dumps
from ..request import Request


def encode(conversation: Conversation, request: Request) -> tuple[HttpRequest, list[dict[str, Any]]]:
    """Return the HTTP request; nothing is left out of it."""
    body = {"model": request.served_name, "ask": text_of(conversation.messages[-1]), **request.options}
    return HttpRequest("/ask", dumps(body), {"content-type": "application/json"}), []
''',
    "decoder.py": '''"""Acme: the reply. It is plain text, which ends with the connection."""

from __future__ import annotations

import codecs
from typing import Any


class Decoder:
    """Turns the bytes of a reply into records."""

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        self.seen = 0
        self.failure = None
        self._text = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take the next bytes."""
        self.seen += 1
        text = self._text.decode(data)
        return [{"type": "text", "chunk": text, "part_index": 0}] if text else []

    def eof(self) -> list[dict[str, Any]]:
        """Take the end of the bytes."""
        return [{"type": "end", "status": "ok", "finish_reason": "stop"}]

    def body(self, data: bytes) -> list[dict[str, Any]]:
        """Return the records of a body that is not a stream."""
        return [*self.feed(data), *self.eof()]

    def known_end(self) -> dict[str, Any]:
        """Return nothing: the end has no fields."""
        return {}
''',
}
PROTOCOL_TEST = '''"""The protocol acme, from bytes."""

from llmtools.protocols import load


def test_a_reply_is_text() -> None:
    decoder = load("acme").Decoder("acme")
    records = [record for byte in "hé".encode() for record in decoder.feed(bytes([byte]))]
    assert "".join(record["chunk"] for record in records) == "hé"
'''


@pytest.mark.slow
def test_add_a_protocol(copy: Copy) -> None:
    for name, text in PROTOCOL.items():
        copy.add(f"llmtools/protocols/acme/{name}", text)
    copy.insert("llmtools/protocols/__init__.py", '"openai-chat", "openai-resp', '"acme", ')
    copy.insert("tests/importlinter.ini", "anthropic | gemini", "acme | ")
    copy.add("tests/protocols/test_acme.py", PROTOCOL_TEST)
    copy.insert("man/llm-send.1", ".It Cm ollama", ".It Cm acme\nThe protocol of Acme, at\n.Pa /ask .\n")
    copy.complete()

    with Server(whole(200, b"hello", content_type="text/plain")) as server:
        asked = ("-m", "m", "--base-url", server.url, "--protocol", "acme", "--key-env", "KEY", "-o", "heat", "2")
        records = copy.llm("send", *asked, stdin=HI, KEY="k-1")
    assert server.only.headers["x-acme"] == "k-1"
    assert server.only.json == {"model": "m", "ask": "hi", "heat": 2}
    assert copy.llm("parts", stdin=records) == "hello\n"
    copy.check("a protocol", "tests/protocols/test_acme.py")


EXECUTABLE = '''"""llm-acme: counts the messages of a stream, which it copies."""

from __future__ import annotations

import click

from ..records.state import StreamState
from .main import main
from .options import Command, filter_options
from .process import Process

EXAMPLES = """
llm-msg user hi | llm-acme
"""


@click.command(name="llm-acme", cls=Command, examples=EXAMPLES, short_help="Count messages.")
@filter_options
@click.pass_obj
def command(process: Process, wait: float, no_stdin: bool, color: str) -> None:
    """Count messages.

    Copies the stream; the count goes to stderr.
    """
    messages = 0
    for lines in process.batches(wait):
        messages += sum(record["type"] == "message" for record, _ in lines)
        process.write_lines([raw for _, raw in lines])
    process.say(f"{messages} messages")


def run() -> None:
    """Run llm-acme."""
    main(command, writes_records=True)
'''
BEGIN = '''def llm_acme() -> None:
    """Run llm-acme."""
    _begin()
    from .acme import run

    run()


'''


def manual(page: str) -> str:
    """Return the man page of llm-acme: that of a filter, with its own words."""
    options = re.search(r"^\.It Fl n.*?(?=^\.El)", page, re.MULTILINE | re.DOTALL)
    assert options
    return f""".Dd November 25, 2026
.Dt LLM-ACME 1
.Os
.Sh NAME
.Nm llm-acme
.Nd count the messages of a stream
.Sh SYNOPSIS
.Nm
.Op Fl nqv
.Op Fl -color Ar WHEN
.Op Fl -wait Ar SECONDS
.Sh DESCRIPTION
.Nm
copies a stream and counts its messages.
.Sh OPTIONS
.Bl -tag -width Ds
{options[0].strip()}
.El
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev LLMTOOLS_WAIT
The default of
.Fl -wait .
.El
.Sh FILES
None.
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
Success.
.It 2
Wrong arguments.
.It 65
A line is not a record.
.It 70
A bug.
.It 74
Reading or writing failed.
.El
.Sh EXAMPLES
.Bd -literal -offset indent
llm\\-msg user hi | llm\\-acme >/dev/null
.Ed
.Bd -literal -offset indent
llm\\-msg user hi | llm\\-send \\-m echo | llm\\-acme | llm\\-parts >/dev/null
.Ed
.Bd -literal -offset indent
llm\\-msg user hi | llm\\-acme \\-q | llm\\-send \\-m echo >/dev/null
.Ed
.Sh SEE ALSO
.Xr llmtools 7
"""


@pytest.mark.slow
def test_add_an_executable(copy: Copy) -> None:
    copy.add("llmtools/cli/acme.py", EXECUTABLE)
    copy.insert("llmtools/cli/__init__.py", "def llm_send", BEGIN)
    copy.insert("pyproject.toml", "llm-send =", 'llm-acme = "llmtools.cli:llm_acme"\n')
    copy.insert("pyproject.toml", '"man/llm-config.5"', '"man/llm-acme.1" = "share/man/man1/llm-acme.1"\n')
    copy.add("man/llm-acme.1", manual((ROOT / "man" / "llm-parts.1").read_text("utf-8")))
    copy.insert("tests/importlinter.ini", "msg | send", "acme | ")
    copy.complete()

    assert copy.llm("acme", stdin=HI) == HI
    copy.check("an executable")


@pytest.mark.slow
def test_add_an_option(copy: Copy) -> None:
    copy.insert("llmtools/cli/parts/command.py", "@filter_options", '@flag("--acme", help="Say acme on stderr.")\n')
    lines = 'if options["acme"]:\n        process.say("acme")\n    '
    copy.insert("llmtools/cli/parts/command.py", "printer = Printer(", lines)
    copy.insert("man/llm-parts.1", ".Op Fl -color", ".Op Fl -acme\n")
    copy.insert("man/llm-parts.1", ".It Fl -color", ".It Fl -acme\nSay acme on standard error.\n")
    copy.complete()

    assert copy.llm("parts", "--acme", "--all", stdin=HI) == "hi\n"
    assert "--acme" in copy.llm("parts", "--help")
    copy.check("an option")


SOURCE = '''"""Tools of Acme: one that answers with the word that its source names."""

from __future__ import annotations

from typing import Any

from ..records.types import ToolRecord
from .calls import Result
from .process import CallLimits


class AcmeSource:
    """acme:WORD"""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notices: list[str] = []
        self.tools: dict[str, ToolRecord] = {
            "word": {"type": "tool", "name": "word", "input_schema": {"type": "object", "properties": {}}}
        }

    def call(self, name: str, arguments: dict[str, Any], limits: CallLimits) -> Result:
        """Return the word."""
        return Result(self.name.partition(":")[2])

    def close(self) -> None:
        """Nothing runs on."""
'''


@pytest.mark.slow
def test_add_a_tool_source(copy: Copy) -> None:
    copy.add("llmtools/tools/acme.py", SOURCE)
    lines = '    if text.startswith("acme:"):\n        return AcmeSource(text)\n'
    copy.insert("llmtools/tools/source.py", '    if text.startswith(("mcp:"', lines)
    copy.insert("llmtools/tools/source.py", "from .command import", "from .acme import AcmeSource\n")
    copy.insert("man/llm-tools.1", ".It Li @", ".It Li acme: Ns Ar WORD\nA tool that answers with WORD.\n")
    copy.insert("tests/importlinter.ini", "command | worker_main", "acme | ")

    assert copy.llm("tools", "call", "acme:hello", "word", "{}") == "hello\n"
    copy.check("a tool source")
