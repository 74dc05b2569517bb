"""llm-tools before a person: the questions of --ask on a real terminal, and the view of llm-parts."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmtools.errors import LlmToolsError
from llmtools.records.types import Part, ToolRecord
from llmtools.tools import ToolError
from llmtools.tools.approval import APPROVED_FILE, QUESTION, Approval
from support.harness import LIMIT, Shell

Object = dict[str, Any]
CALC = '''
def multiply(a: int, b: int) -> int:
    """Multiply two\x1b[2J numbers."""
    return a * b

def draw() -> bytes:
    return b"\\x89PNG\\r\\n\\x1a\\n"

def boom() -> None:
    raise ValueError("no luck")
'''


class Terminal:
    """A script that runs with a terminal of its own, its stdin and stdout too unless it says otherwise."""

    def __init__(self, shell: Shell, script: str) -> None:
        self.shown = self.before = ""
        self._primary, secondary = pty.openpty()
        self.process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=shell.folder,
            env={**shell.environment, "TERM": "xterm"},
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
            preexec_fn=lambda: os.login_tty(secondary),
        )
        os.close(secondary)

    def until(self, said: str) -> None:
        """Read on until the terminal shows something that it has not been waited for yet."""
        deadline = time.monotonic() + LIMIT
        while said not in self.shown:
            assert time.monotonic() < deadline, f"{said!r} is not in {self.shown!r}"
            if select.select([self._primary], [], [], 1)[0]:
                self.shown += os.read(self._primary, 65536).decode(errors="replace")
        self.before, _, self.shown = self.shown.partition(said)

    def answer(self, said: str) -> None:
        self.until(QUESTION)
        self.type(f"{said}\n")

    def type(self, keys: str) -> None:
        os.write(self._primary, keys.encode())

    def end(self) -> int:
        """Read the rest; return the status."""
        while select.select([self._primary], [], [], LIMIT)[0]:
            try:
                piece = os.read(self._primary, 65536)
            except OSError:
                break
            if not piece:
                break
            self.shown += piece.decode(errors="replace")
        return self.process.wait(LIMIT)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(LIMIT)
        os.close(self._primary)


@pytest.fixture
def desk(shell: Shell) -> Shell:
    (shell.folder / "calc.py").write_text(CALC)
    return shell


@pytest.fixture
def terminal(desk: Shell) -> Iterator[Any]:
    opened: list[Terminal] = []

    def start(script: str) -> Terminal:
        opened.append(Terminal(desk, script))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def asked(shell: Shell, *made: tuple[str, Object]) -> None:
    """Write asked.jsonl, a conversation that ends in calls."""
    script = {"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in made]}
    (shell.folder / "script").write_text(json.dumps(script))
    done = shell.run("llm-msg user -f script | llm-tools offer calc.py | llm-send -m echo > asked.jsonl")
    assert done.status == 0, done.err


def results(shell: Shell, name: str) -> list[Object]:
    records = shell.run(f"cat {name}").records
    parts: list[Object] = [record for record in records if record.get("role") == "tool"][-1]["parts"]
    return parts


def test_a_person_is_asked_about_each_call(desk: Shell, terminal: Any) -> None:
    asked(desk, ("multiply", {"a": 12, "b": 34}), ("multiply", {"a": 1, "b": 1}), ("multiply", {"a": 2, "b": 2}))
    screen = terminal("llm-tools run calc.py --ask < asked.jsonl > out.jsonl")
    screen.until("calc.py: Multiply two␛[2J numbers.\r\n")
    screen.until('multiply({"a":12,"b":34})')
    screen.answer("y")
    screen.answer("what?")
    screen.answer("n")
    screen.answer("")
    assert screen.end() == 0
    first, *others = results(desk, "out.jsonl")
    assert first["output"] == "408"
    assert [part["exception"] for part in others] == ["the user denied the call of multiply"] * 2


def test_arguments_are_edited_and_the_model_is_told(desk: Shell, terminal: Any) -> None:
    desk.environment["EDITOR"] = "sh -c 'cat new > \"$1\"' sh"
    asked(desk, ("multiply", {"a": 12, "b": 34}))
    (desk.folder / "new").write_text("no JSON")
    screen = terminal("llm-tools run calc.py --ask < asked.jsonl > out.jsonl")
    screen.answer("e")
    screen.until("Nothing is changed: ")
    (desk.folder / "new").write_text('{"a": 2, "b": "x"}')
    screen.answer("e")
    screen.until('multiply({"a":2,"b":"x"})')
    (desk.folder / "new").write_text('{"a": 2, "b": 5}')
    screen.answer("e")
    screen.until('multiply({"a":2,"b":5})')
    screen.answer("y")
    assert screen.end() == 0
    [part] = results(desk, "out.jsonl")
    assert part["output"] == 'The user changed the arguments to {"a":2,"b":5}.\n10'


def test_always_holds_in_later_runs_until_the_tool_is_another(desk: Shell, terminal: Any) -> None:
    run = 'llm-tools call calc.py multiply \'{"a": 2, "b": 3}\' --ask'
    screen = terminal(run)
    screen.answer("always")
    screen.until("6\r\n")
    assert screen.end() == 0
    screen = terminal(run)
    assert (screen.end(), screen.shown) == (0, "6\r\n")
    (desk.folder / "calc.py").write_text(CALC.replace("Multiply two", "Multiply any two"))
    screen = terminal(run)
    screen.answer("n")
    assert screen.end() == 1
    assert "the user denied the call of multiply" in screen.shown


def test_ctrl_c_at_the_question_ends_it(desk: Shell, terminal: Any) -> None:
    asked(desk, ("multiply", {"a": 2, "b": 3}), ("boom", {}))
    screen = terminal("exec llm-tools run calc.py --ask < asked.jsonl > out.jsonl")
    screen.answer("y")
    screen.answer("\x03")
    assert screen.end() == -signal.SIGINT
    assert [part["exception"] for part in results(desk, "out.jsonl")] == ["cancelled", "cancelled"]


def test_what_was_typed_before_the_question_is_no_answer(desk: Shell, terminal: Any) -> None:
    asked(desk, ("multiply", {"a": 2, "b": 3}), ("multiply", {"a": 2, "b": 4}))
    screen = terminal("llm-tools run calc.py --ask < asked.jsonl > out.jsonl")
    screen.answer("n\ny")
    screen.answer("n")
    assert screen.end() == 0
    assert ["exception" in part for part in results(desk, "out.jsonl")] == [True, True]


def test_the_view_of_a_loop(desk: Shell, terminal: Any) -> None:
    asked(desk, ("multiply", {"a": 12, "b": 34}), ("draw", {}), ("boom", {}))
    for script in (
        "llm-tools run calc.py < asked.jsonl | llm-send | llm-parts",
        "llm-tools run calc.py < asked.jsonl | grep --line-buffered '\"message\"' | llm-parts",
    ):
        screen = terminal(f"export NO_COLOR=1; {script}")
        screen.end()
        lines = screen.shown.replace("\r", "").splitlines()
        told = [line for line in lines if line.startswith(("→", "←"))]
        assert told[:3] == ['→ multiply({"a":12,"b":34})', "→ draw({})", "→ boom({})"]
        assert sorted(told[3:]) == ["← 408", "← ValueError: no luck", "← image/png"], "each once"


def test_a_long_result_is_cut_for_people(desk: Shell, terminal: Any) -> None:
    (desk.folder / "calc.py").write_text("def much() -> str:\n    return 'x' * 5000\n")
    asked(desk, ("much", {}))
    screen = terminal(
        "llm-tools run calc.py < asked.jsonl | llm-parts 2>&1 | cat; llm-tools run calc.py < asked.jsonl | llm-parts"
    )
    screen.end()
    assert "x" * 2000 + "… (5000 characters)" in screen.shown
    assert "x" * 2001 not in screen.shown


def test_what_a_server_says_does_not_drive_the_terminal(desk: Shell, terminal: Any) -> None:
    screen = terminal(
        "llm-tools list calc.py; llm-tools call 'say: printf %s {x}' say '{\"x\": \"\\u001b]52;c;AA\\u0007\"}'"
    )
    assert screen.end() == 0
    assert "Multiply two␛[2J numbers." in screen.shown
    assert "␛]52;c;AA␇" in screen.shown
    assert not re.search("[\x1b\x07]", screen.shown)


# Without a terminal

CALL: Part = {"type": "tool_call", "name": "f", "arguments": {}, "tool_call_id": "~0"}
RECORD: ToolRecord = {"type": "tool", "name": "f", "description": "d"}


def test_always_is_of_one_source_and_one_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["a"])
    approval = Approval(ask=lambda question: next(answers), folder=tmp_path / "data")
    assert approval(CALL, RECORD, "one.py") == CALL
    assert approval(CALL, RECORD, "one.py") == CALL, "always is not asked again"
    assert stat.S_IMODE((tmp_path / "data" / APPROVED_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    for record, source in ((RECORD, "another.py"), ({**RECORD, "description": "another"}, "one.py")):
        with pytest.raises(StopIteration):
            approval(CALL, record, source)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StopIteration):
        approval(CALL, RECORD, "one.py")  # which is another file here


def test_an_editor_that_fails_changes_nothing() -> None:
    def fail(text: str) -> str:
        raise LlmToolsError("vi ended with status 1")

    answers = iter(["e", "n"])
    questions: list[str] = []

    def ask(question: str) -> str:
        questions.append(question)
        return next(answers)

    with pytest.raises(ToolError, match="the user denied the call of f"):
        Approval(ask=ask, edit=fail)(CALL, RECORD)
    assert "vi ended with status 1" in questions[1]


ASK = """
import signal
from llmtools.tools.approval import ask_on_terminal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
answer = ask_on_terminal("x" * 100_000 + "? ")
open("answer", "w").write(answer)
"""


def test_an_answer_to_half_a_question_does_not_count(desk: Shell, terminal: Any) -> None:
    (desk.folder / "ask.py").write_text(ASK)
    screen = terminal("python ask.py")
    screen.until("x" * 1000)  # then the terminal stalls, while signals come
    screen.type("y\n")
    time.sleep(0.3)
    assert not (desk.folder / "answer").exists()
    screen.until("x? ")
    screen.type("n\n")
    assert screen.end() == 0
    assert (desk.folder / "answer").read_text() == "n\n"


def test_a_long_question_is_short_and_its_arguments_can_be_viewed(desk: Shell, terminal: Any) -> None:
    desk.environment["PAGER"] = "wc -c"
    long = {"a": 2, "b": 3, "c": "\u009b" + "x" * 29_000 + "end"}
    data = json.dumps(long, separators=(",", ":"), ensure_ascii=False).encode()
    (desk.folder / "long.py").write_text('def f(a: int, b: int, c: str) -> str:\n    "%s"\n    return c' % ("D" * 9999))
    (desk.folder / "long.json").write_text(json.dumps(long))
    screen = terminal('llm-tools call long.py f "$(cat long.json)" --ask')
    screen.answer("v")
    shown = screen.before
    assert len(shown) < 3000 and "DDDD" in shown and '"a":2' in shown and "xxxend" in shown
    assert f"{len(data)} bytes in all, SHA-256 {hashlib.sha256(data).hexdigest()}" in shown
    screen.until(str(len(data) + len("<9B>") - len("\u009b".encode()) + len("\n")))
    screen.answer("n")
    assert screen.end() == 1
