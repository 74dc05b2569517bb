"""Tools from Python: `llmtools.tools` as a library, with functions of this process and other sources."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from llmtools import Conversation, dumps, user
from llmtools.errors import (
    ConfigError,
    InputError,
    RoundLimitError,
    UsageError,
)
from llmtools.records.types import Record
from llmtools.tools import (
    Approval,
    Limits,
    Result,
    Round,
    ToolError,
    Toolset,
)
from llmtools.tools.process import environment
from llmtools.tools.worker import Worker
from support.harness import LIMIT, is_gone, valid_records

Object = dict[str, Any]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def greet(name: str) -> str:
    return f"hello {name}"


def boom() -> None:
    raise SystemExit("gone")


def sleep() -> None:
    time.sleep(5)


def much() -> list[Any]:
    return ["x" * 100, b"\x00" * 100]


def script(*calls: tuple[str, Object], **more: Any) -> Record:
    """A message for which the model `echo` makes these calls."""
    tool_calls = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return dict(user(dumps({"tool_calls": tool_calls, **more}).decode()))


def results(records: Iterable[Record]) -> list[Object]:
    messages = [record for record in records if record["type"] == "message" and record["role"] == "tool"]
    return [part for message in messages for part in message["parts"]]


def test_functions_are_offered_and_called() -> None:
    with Toolset(add, greet, boom) as tools:
        assert list(tools.records) == ["add", "greet", "boom"]
        assert tools.records["add"]["description"] == "Add two numbers."
        assert tools.call("add", {"a": 1, "b": 2}) == Result("3")
        assert tools.call("greet", {"name": "Ada"}).output == "hello Ada"
        assert tools.call("boom", {}).exception == "SystemExit: gone"
        assert tools.call("add", {"a": 1}).exception == "the call was not run: arguments: 'b' is a required property"
        with pytest.raises(UsageError, match="no tool nope: there are add, greet, boom"):
            tools.call("nope", {})


def test_limits_apply_to_functions() -> None:
    with Toolset(sleep, limits=Limits(0.1)) as tools:
        assert tools.call("sleep", {}).exception == "timed out after 0.1 s"
    with Toolset(much, limits=Limits(max_output=150)) as tools:
        cut = tools.call("much", {})
        assert (cut.output, cut.exception, cut.attachments) == ("x" * 100, "the output was cut after 150 bytes", [])


def test_pending_calls_get_results() -> None:
    with Toolset(add, "say: echo {text}") as tools:
        call = {"type": "tool_call", "name": "say", "arguments": {"text": "; hi"}, "tool_call_id": "c"}
        history: list[Record] = [*tools.missing({}), dict(user("hi"))]
        history.append({"type": "message", "role": "assistant", "parts": [call]})
        records = list(tools.run(Conversation(history)))
        valid_records(b"".join(dumps(record) + b"\n" for record in records))
        assert [record["type"] for record in records] == ["start", "tool_result", "tool_result", "message", "end"]
        [part] = results(records)
        assert (part["output"], part["tool_call_id"]) == ("; hi\n", "c")
        assert list(tools.run(Conversation([*history, *records]))) == []
        assert isinstance(tools.round(Conversation(history)), Round)


def test_a_loop() -> None:
    with Toolset(add) as tools:
        records = list(tools.loop([script(("add", {"a": 12, "b": 34}), text="Let me see.")], "echo"))
    kinds = [record["role"] for record in records if record["type"] == "message"]
    assert kinds == ["assistant", "tool", "assistant"]
    assert records[0] == tools.records["add"]
    assert results(records)[0]["output"] == "46"
    assert records[-2]["parts"] == [{"type": "text", "text": "46"}]
    valid_records(b"".join(dumps(record) + b"\n" for record in records))


def calling_model(rounds: int) -> Any:
    """Return a model that makes one call in each of so many rounds."""

    def send(conversation: Conversation) -> Iterable[Record]:
        done = sum(message["role"] == "tool" for message in conversation.messages)
        call = {"type": "tool_call", "name": "add", "arguments": {"a": done, "b": 1}, "tool_call_id": "c"}
        text = {"type": "text", "text": "done"}
        yield {"type": "message", "role": "assistant", "parts": [call if done < rounds else text]}

    return send


def test_the_limit_of_rounds() -> None:
    with Toolset(add) as tools:
        records = list(tools.loop([user("hi")], send=calling_model(3), max_rounds=3))
        assert [part["output"] for part in results(records)] == ["1", "2", "3"]
        with pytest.raises(RoundLimitError):
            list(tools.loop([user("hi")], send=calling_model(3), max_rounds=2))
        assert tools.call("add", {"a": 1, "b": 1}).output == "2", "the toolset is still open"
        history = [dict(user("hi")), *tools.missing({}), *calling_model(1)(Conversation([user("hi")]))]
        assert [part["output"] for part in results(tools.loop(history, send=calling_model(1)))] == ["1"]


def test_approval_may_change_or_refuse_a_call() -> None:
    def approve(call: Object, record: Object, source: str) -> Object:
        assert (record["name"], source) == ("add", "functions")
        if call["arguments"]["a"] == 0:
            raise ToolError("not that")
        return {**call, "arguments": {"a": 5, "b": 5}}

    with Toolset(add, approve=approve) as tools:  # type: ignore[arg-type]
        assert tools.call("add", {"a": 0, "b": 0}).exception == "not that"
        assert tools.call("add", {"a": 1, "b": 1}).output == "10"
    with Toolset(add, approve=Approval(deny=["a*"])) as tools:
        assert tools.call("add", {"a": 1, "b": 1}).exception == "the user denies the tool add"


def test_a_file_and_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calc.py").write_text(
        "count = 0\ndef up() -> int:\n    global count\n    count += 1\n    return count\n"
    )
    (tmp_path / "config.toml").write_text("[tools]\nmath = ['calc.py']\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMTOOLS_CONFIG", "config.toml")
    with Toolset("@math", "b=@math") as tools:
        assert list(tools.records) == ["up", "b_up"]
        assert [tools.call("up", {}).output for _ in range(2)] == ["1", "2"]
        assert tools.call("b_up", {}).output == "1", "another process"
    with pytest.raises(ConfigError):
        Toolset("@nothing")


@pytest.mark.parametrize(
    ("sources", "error"),
    [
        (["no-such-command"], UsageError),
        ([add, "add: true"], UsageError),
        (["broken.py"], ToolError),
        ([lambda a, /: a], InputError),
    ],
)
def test_invalid_sources_are_refused(
    sources: list[Any], error: type[Exception], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("def f(:")
    with pytest.raises(error):
        Toolset(*sources)


def test_the_guard_ends_the_tools_of_a_killed_program(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom llmtools.tools import Toolset\n"
        "tools = Toolset('calc.py')\nprint(tools.call('pid', {}).output, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    tool = "import subprocess\ndef pid() -> int:\n    return subprocess.Popen(['sleep', '60']).pid\n"
    (tmp_path / "calc.py").write_text(tool)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert done.returncode == -9, done.stderr
    assert is_gone(int(done.stdout))


def test_a_program_that_is_interrupted_ends_at_once(tmp_path: Path) -> None:
    program = (
        "import signal, threading\nfrom llmtools import Conversation, user\nfrom llmtools.tools import Toolset\n"
        "call = {'type': 'tool_call', 'name': 'wait', 'arguments': {}, 'tool_call_id': 'c'}\n"
        "threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()\n"
        "with Toolset('wait: sleep 100') as tools:\n"
        "    history = [*tools.missing({}), {'type': 'message', 'role': 'assistant', 'parts': [call]}]\n"
        "    list(tools.run(Conversation(history)))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
    assert "KeyboardInterrupt" in done.stderr


LEAVES = """
import os, sys
start = len(os.listdir("starts"))
open(f"starts/{start}", "w").close()
print('{"tools": [{"type": "tool", "name": "f"}]}', flush=True)
sys.stdin.readline()
if start < int(sys.argv[1]):
    sys.exit()
print('{"taken": 1}', flush=True)
if "die" not in sys.argv:
    print('{"id": 1, "output": "done"}', flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("arguments", "exception", "starts"),
    [(["2"], None, 3), (["9"], "the process of leaves ended", 3), (["1", "die"], "the process of leaves ended", 2)],
)
def test_a_call_that_was_not_taken_goes_to_the_next_process(
    arguments: list[str], exception: str | None, starts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that was taken never runs again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starts").mkdir()
    worker = Worker("leaves", [sys.executable, "-c", LEAVES, *arguments], environment())
    assert worker.call("f", {}, Limits()).exception == exception
    assert len(list((tmp_path / "starts").iterdir())) == starts
    worker.close()
    with pytest.raises(ToolError, match="leaves: it is closed"):
        worker.call("f", {}, Limits())


def test_an_idle_process_that_was_killed_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tool.py").write_text("import os\ndef pid() -> int:\n    return os.getpid()\n")
    with Toolset("tool.py") as tools:
        first = tools.call("pid", {}).output
        os.kill(int(first), signal.SIGKILL)
        again = tools.call("pid", {})
    assert again.exception is None
    assert again.output != first


def test_submodules_are_imported_on_first_use() -> None:
    program = "import sys, llmtools.tools; print(sorted(name for name in sys.modules if name.startswith('llmtools')))"
    command = [sys.executable, "-I", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT)
    assert done.stdout.strip() == "['llmtools', 'llmtools.tools']"
