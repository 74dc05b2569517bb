"""Signals, readers that leave, and time: what a pipe does while it runs."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time

import pytest

from support.harness import LIMIT, Shell, texts, valid_records, wait_for

SLOW = json.dumps({"text": "a b c d e f g h i j k l m n o p q r s t u v w x y z", "delay": 0.15})


def end(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def test_a_slow_reply_arrives_token_by_token_at_the_end_of_the_pipe(shell: Shell) -> None:
    slow = json.dumps({"text": "a b c", "delay": 0.5})
    process = shell.start(f"llm-msg -n user '{slow}' | llm-send -m echo | llm-parts")
    assert process.stdout
    pieces = []
    while piece := os.read(process.stdout.fileno(), 100):
        pieces.append(piece)
    assert pieces[0] == b"a" and b"".join(pieces) == b"a b c\n"
    assert end(process)[0] == 0


@pytest.mark.parametrize("reader", ["grep -m1 a", "head -c 1", "llm-parts | head -c 1"])
def test_a_reader_that_leaves_ends_the_sender_silently_by_sigpipe(shell: Shell, reader: str) -> None:
    script = f"llm-msg user '{SLOW}' | (llm-send -m echo; echo \"status $?\" >&2; date +%s.%N >&2) | {reader}"
    done = shell.run(script + "; date +%s.%N >&2")
    lines = done.err.splitlines()
    assert "status 141" in lines, done.err
    assert [line for line in lines if "llm-" in line] == []
    times = sorted(float(line) for line in lines if line[0].isdigit())
    assert times[1] - times[0] < 2, "the rest of the reply is not waited for"


def test_a_reader_that_left_before_costs_nothing(shell: Shell) -> None:
    done = shell.run(
        "llm-msg -n user hi > in; exec 3> >(true); wait $!; llm-send -m echo --save saved < in >&3; echo $?"
    )
    assert done.text == "141\n"
    assert texts(
        valid_records((shell.folder / "saved").read_bytes() if (shell.folder / "saved").exists() else b"")
    ) in (
        [],
        [("user", "hi")],
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_sender_keeps_what_came(shell: Shell, number: signal.Signals) -> None:
    shell.run(f"llm-msg user '{SLOW}' > in.jsonl")
    process = shell.start("exec llm-send -m echo --save saved.jsonl < in.jsonl > out.jsonl")
    wait_for(shell.folder / "out.jsonl", b'" c"')
    process.send_signal(number)
    status, _, err = end(process)
    assert (status, err) == (-number, b"")
    records = valid_records((shell.folder / "out.jsonl").read_bytes())
    assert [record["type"] for record in records[-2:]] == ["message", "end"]
    assert records[-1]["status"] == "cancelled" and records[-1]["exit_status"] == 75
    assert records[-2]["parts"][0]["text"].startswith("a b c")
    saved = valid_records((shell.folder / "saved.jsonl").read_bytes())
    assert saved == [records[0], records[-2]]


def test_ctrl_c_on_the_whole_group_leaves_the_partial_message_in_the_file(shell: Shell) -> None:
    process = shell.start(
        f"llm-msg -n user '{SLOW}' | llm-send -m echo | llm-msg user more | tee -i talk.jsonl | llm-parts > text"
    )
    wait_for(shell.folder / "text", b"a b")
    os.killpg(process.pid, signal.SIGINT)
    # bash is in the group too: it dies of the signal, or tells that llm-parts did, as it was first
    assert end(process)[0] in (-signal.SIGINT, 128 + signal.SIGINT)
    records = valid_records((shell.folder / "talk.jsonl").read_bytes())
    assert [record["type"] for record in records[-2:]] == ["message", "end"]
    assert records[-1]["status"] == "cancelled"
    shown = (shell.folder / "text").read_text()
    assert shown.startswith("a b") and records[-2]["parts"][0]["text"] in shown
    after = shell.run("llm-msg user go < talk.jsonl | llm-send | llm-parts")
    assert after.status == 75


def test_a_filter_alone_dies_of_its_signal_and_says_so_in_the_stream(shell: Shell) -> None:
    for command in ("llm-msg user hi", "llm-send -m echo"):
        process = shell.start(f"exec {command}")
        assert process.stdin
        process.stdin.write(b'{"role":"user","content":"x"}\n')
        process.stdin.flush()
        assert process.stdout and process.stdout.readline()
        process.terminate()
        begun = time.monotonic()
        status = process.wait(LIMIT)
        assert status == -signal.SIGTERM
        assert time.monotonic() - begun < 5
        rest = process.stdout.read()
        assert valid_records(rest)[-1]["code"] == "cancelled"


def test_a_second_signal_kills_at_once(shell: Shell) -> None:
    process = shell.start("exec llm-msg user hi")
    assert process.stdin and process.stdout
    process.stdin.write(b'{"role":"user","content":"x"}\n')
    process.stdin.flush()
    process.stdout.readline()
    for _ in range(LIMIT * 20):  # two that come before the first is seen are one
        process.send_signal(signal.SIGINT)
        if process.poll() is not None:
            break
        time.sleep(0.05)
    assert process.wait(LIMIT) == -signal.SIGINT
    assert end(process)[1] == b"", "the first one alone leaves an error record, after a second"


def test_a_signal_ignored_at_entry_stays_ignored(shell: Shell) -> None:
    shell.run(f"llm-msg user '{json.dumps({'text': 'a b c d', 'delay': 0.2})}' > in.jsonl")
    process = shell.start("trap '' HUP INT; exec llm-send -m echo < in.jsonl > out.jsonl")
    wait_for(shell.folder / "out.jsonl", b'"a"')
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    assert end(process)[0] == 0
    assert valid_records((shell.folder / "out.jsonl").read_bytes())[-1]["status"] == "ok"


@pytest.mark.slow
def test_a_blocked_stdout_does_not_keep_a_signalled_command_alive(shell: Shell) -> None:
    shell.run("llm-msg user - > in.jsonl", stdin=b"x" * 1000000)
    reader, writer = os.pipe()
    process = shell.start("exec llm-msg user hi < in.jsonl", stdout=writer)
    os.close(writer)
    time.sleep(0.5)
    process.terminate()
    assert process.wait(LIMIT) == -signal.SIGTERM
    os.close(reader)
    end(process)


def test_a_killed_reader_ends_everything_before_it(shell: Shell) -> None:
    process = shell.start(
        f"llm-msg -n user '{SLOW}' | llm-send -m echo | (llm-parts & echo $! > pid; wait $!) > text;"
        " echo ${PIPESTATUS[@]}"
    )
    wait_for(shell.folder / "text", b"a b")
    os.kill(int((shell.folder / "pid").read_text()), signal.SIGKILL)
    begun = time.monotonic()
    _, out, _ = end(process)
    assert out == b"0 141 137\n"
    assert time.monotonic() - begun < 5


@pytest.mark.slow
def test_a_terminal_shows_what_the_command_waits_for(shell: Shell) -> None:
    primary, secondary = pty.openpty()
    process = shell.start("exec llm-msg user hi", stderr=secondary)
    os.close(secondary)
    ready, _, _ = select.select([primary], [], [], LIMIT)
    assert ready
    assert b"waiting for a stream on stdin (-n" in os.read(primary, 1000)
    process.kill()
    end(process)
    os.close(primary)


def test_a_signal_while_a_command_imports_is_silent(shell: Shell) -> None:
    """Death by the signal, and no traceback from the midst of an import of ours."""
    for milliseconds in range(15, 90, 5):
        process = shell.start("exec llm-msg user hi")
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGINT)
        assert process.stdin
        process.stdin.close()
        process.stdin = None
        status, _, err = end(process)
        # what comes before our first line is the interpreter's own: it ends with 1
        assert status == -signal.SIGINT or (status == 1 and b"KeyboardInterrupt" in err)
        assert b"click" not in err and b"cli/msg" not in err and b"orjson" not in err, (milliseconds, err)
