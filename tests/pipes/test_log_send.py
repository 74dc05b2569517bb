"""llm-send --log, `log = true`, llm-msg -c, and what SQLite costs those who do not ask for it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.counted_imports import COUNT, STREAM
from support.harness import LIMIT, Shell
from support.server import Close, Server, head

Object = dict[str, Any]


@pytest.fixture
def log(shell: Shell) -> Shell:
    shell.environment["LLMTOOLS_DATA"] = str(shell.folder / "data")
    return shell


def kept(shell: Shell, statement: str) -> list[Any]:
    with closing(sqlite3.connect(shell.folder / "data" / "log.db")) as connection:
        return connection.execute(statement).fetchall()


def history(data: bytes) -> list[Object]:
    return [record for record in map(json.loads, data.splitlines()) if record["type"] in ("message", "tool")]


def test_the_conversation_and_the_reply_are_stored_as_they_were_written(log: Shell) -> None:
    tool = '{"type":"tool","name":"add","input_schema":{}}'
    script = f"(llm-msg user one; echo '{tool}') | llm-send -m echo --system 'Be brief' --log"
    done = log.run(script)
    assert (done.status, done.err) == (0, "")
    assert history(log.run("llm-log get").out) == history(done.out)
    assert [record.get("role") for record in history(done.out)] == ["system", "user", None, "assistant"]
    assert kept(log, "SELECT status, model FROM response") == [("ok", "echo")]


def test_stored_by_both_it_is_stored_once(log: Shell) -> None:
    done, statuses = log.statuses("llm-msg user hi | llm-send -m echo --log | llm-log --require")
    assert statuses == [0, 0, 0]
    assert kept(log, "SELECT (SELECT count(*) FROM node), (SELECT count(*) FROM response)") == [(2, 1)]
    assert history(log.run("llm-log get").out) == history(done.out)


def test_the_request_is_stored_before_it_is_sent_and_the_reply_before_its_end(log: Shell) -> None:
    script = json.dumps({"text": "one two three", "delay": 30})
    process = log.start(f"llm-msg user '{script}' | llm-send -m echo --log", stdin=subprocess.DEVNULL)
    assert process.stdout
    for _ in range(2):
        line = json.loads(process.stdout.readline())
    assert line["type"] == "start"
    assert kept(log, "SELECT status, model, node FROM response") == [("unfinished", "echo", None)]
    assert kept(log, "SELECT role FROM node") == [("user",)]
    assert "(unfinished)" in log.run("llm-log list").text
    log.close()  # kill -9
    assert "(unfinished)" in log.run("llm-log list").text
    assert log.run("llm-log verify").status == 0


def test_the_reply_is_stored_when_its_end_is_read(log: Shell) -> None:
    process = log.start("llm-msg user hi | (llm-send -m echo --log; sleep 60)", stdin=subprocess.DEVNULL)
    assert process.stdout
    while json.loads(process.stdout.readline())["type"] != "end":
        pass
    assert kept(log, "SELECT status FROM response") == [("ok",)]
    assert len(kept(log, "SELECT 1 FROM node")) == 2


@pytest.mark.parametrize(
    ("script", "status", "stored"),
    [
        ({"text": "half", "cut": True}, 75, ("truncated", 2)),
        ({"error": {"code": "overloaded"}}, 75, ("error", 1)),
        ({"refusal": "No."}, 1, ("error", 2)),
        ({"text": "long", "finish_reason": "length"}, 0, ("ok", 2)),
    ],
)
def test_a_reply_is_stored_however_it_ends(log: Shell, script: Object, status: int, stored: tuple[str, int]) -> None:
    assert log.run(f"llm-msg user '{json.dumps(script)}' | llm-send -m echo --log").status == status
    assert kept(log, "SELECT status, (SELECT count(*) FROM node) FROM response") == [stored]


def test_a_reply_that_a_signal_cancels_is_stored(log: Shell) -> None:
    script = json.dumps({"text": "one two three", "delay": 0.3})
    (log.folder / "in").write_bytes(json.dumps({"role": "user", "content": script}).encode())
    process = log.start("exec llm-send -m echo --log <in")
    assert process.stdout
    while json.loads(process.stdout.readline())["type"] != "text":
        pass
    process.terminate()
    process.communicate(timeout=LIMIT)
    assert process.returncode == -15
    assert kept(log, "SELECT status FROM response") == [("cancelled",)]
    assert json.loads(kept(log, "SELECT body FROM node ORDER BY id DESC")[0][0])["parts"][0]["text"].startswith("one")


def test_conversation_records_are_stored_each_for_itself(log: Shell) -> None:
    say = [
        {"role": "user", "parts": [{"type": "text", "text": word}]} for word in ("a", '{"error": {"code": "quota"}}')
    ]
    stream = b"".join(
        json.dumps({"type": "conversation", "id": f"row-{number}", "messages": [message]}).encode() + b"\n"
        for number, message in enumerate(say)
    )
    done = log.run("llm-send -m echo --log", stream)
    assert done.status == 77
    assert kept(log, "SELECT status FROM response ORDER BY id") == [("ok",), ("error",)]
    exported = {record["id"]: record for record in log.run("llm-log export").records}
    answered = [{**message, "type": "message"} for message in done.records[0]["messages"]]
    assert [{**message, "type": "message"} for message in exported["row-0"]["messages"]] == answered
    assert exported["row-1"]["error"]["code"] == "quota"


def test_a_log_that_cannot_be_written_costs_one_warning(log: Shell) -> None:
    log.environment["LLMTOOLS_DATA"] = "/proc/none"
    done, statuses = log.statuses("llm-msg user hi | llm-send -m echo --log | llm-parts")
    assert (statuses, done.text) == ([0, 0, 0], "hi\n")
    assert done.err.splitlines()[0].startswith("llm-send: not stored: /proc/none")
    assert done.err.count("\n") == 2  # that, and what statuses() prints


def config(shell: Shell, text: str) -> None:
    (shell.folder / "config.toml").write_text(text)
    shell.environment["LLMTOOLS_CONFIG"] = str(shell.folder / "config.toml")


def chat(said: str) -> bytes:
    delta = {"choices": [{"index": 0, "delta": {"content": said}, "finish_reason": "stop"}]}
    return b"data: " + json.dumps(delta).encode() + b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(("options", "count"), [("", 2), ("--no-log", 0), ("--no-log --log", 0)])
def test_log_true_in_the_configuration(log: Shell, options: str, count: int) -> None:
    with Server([head(content_type="text/event-stream", connection="close"), chat("hello"), Close.FIN]) as server:
        config(log, f'log = true\n[providers.mine]\nbase_url = "{server.url}"\n')
        done, statuses = log.statuses(f"llm-msg user hi | llm-send -m mine/m {options} | llm-parts")
    assert (statuses, done.text) == ([0, 0, 0], "hello\n"), done.err
    assert (log.folder / "data" / "log.db").exists() == bool(count)
    if count:
        assert len(kept(log, "SELECT 1 FROM node")) == count


def test_log_must_be_true_or_false(log: Shell) -> None:
    config(log, 'log = "yes"\n')
    done = log.run("llm-msg user hi | llm-send -m openai/m")
    assert done.status == 78 and "line 1: log: must be true or false" in done.err


# llm-msg -c


def test_c_is_short_for_get_last(log: Shell) -> None:
    log.run("llm-msg user one | llm-send -m echo --log")
    long = log.run("llm-log get last | llm-msg user two").out
    assert log.run("llm-msg -c user two").out == long
    assert log.run("llm-msg --continue user two <&-").out == long
    assert log.run("echo two | llm-msg -c user -").out == long.replace(b'"two"', b'"two\\n"')
    assert log.run("llm-msg -c user two", b'{"role":"user","content":"not history"}\n').out == long


def test_c_with_nothing_stored_begins_no_conversation(log: Shell) -> None:
    _, statuses = log.statuses("llm-msg -c user two | llm-send -m echo")
    assert statuses == [66, 66]


def test_c_after_a_failed_reply_says_so(log: Shell) -> None:
    log.run("""llm-msg user '{"text": "half", "cut": true}' | llm-send -m echo --log""")
    assert log.run("llm-msg -c user more").status == 75
    assert log.run("llm-log get last~1 | llm-msg user more").status == 0


# What it costs


@pytest.mark.parametrize("arguments", [["msg", "user", "hi"], ["parts"], ["send", "-m", "echo", "--prefill"]])
def test_no_sqlite_without_a_log(arguments: list[str]) -> None:
    assert "sqlite3" not in modules(arguments)


def test_c_loads_no_sqlite_itself(tmp_path: Path) -> None:
    loaded = modules(["msg", "-c", "user", "hi"], LLMTOOLS_DATA=str(tmp_path))
    assert not {"sqlite3", "subprocess", "platformdirs"} & loaded


def test_with_a_log_there_is_sqlite(tmp_path: Path) -> None:
    assert "sqlite3" in modules(["send", "-m", "echo", "--prefill", "--log"], LLMTOOLS_DATA=str(tmp_path))


def modules(arguments: list[str], **environment: str) -> set[str]:
    command = [sys.executable, "-I", "-c", COUNT, *arguments]
    done = subprocess.run(
        command, input=STREAM, capture_output=True, check=False, env=environment or None, timeout=LIMIT
    )
    return set(json.loads(done.stderr.splitlines()[-1])[1])
