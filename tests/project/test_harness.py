"""What the tests rest on: that nothing hangs, however they are started."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.harness import LIMIT, Shell, Watchdog
from support.paths import ROOT


def test_a_process_that_hangs_is_killed_with_its_group() -> None:
    command = ["bash", "-c", "sleep 100 & echo started; sleep 100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        watchdog = Watchdog(process, 0.5)
        assert process.stdout
        assert process.stdout.read() == b"started\n"
        assert process.wait(LIMIT) == -signal.SIGKILL
    assert watchdog.has_killed


def test_a_process_that_ends_in_time_is_left_alone(shell: Shell) -> None:
    process = shell.start("echo done")
    assert process.stdout
    assert (process.stdout.read(), process.wait(LIMIT)) == (b"done\n", 0)


def test_no_signal_is_ignored_or_blocked_in_what_a_test_starts(shell: Shell) -> None:
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0
    shown = shell.run("grep -E 'Sig(Blk|Ign)' /proc/self/status").text
    assert [int(line.split()[1], 16) for line in shown.splitlines()] == [0, 0]


@pytest.mark.process
@pytest.mark.parametrize("workers", ["0", "1"])
def test_nor_where_they_are_ignored_before_the_tests_start(workers: str) -> None:
    """As in `tests/run &` in a script, or behind nohup."""
    names = "test_no_signal_is_ignored or in_time"
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-k", names, "tests/project/test_harness.py"]
    done = subprocess.run(
        ["sh", "-c", "trap '' INT HUP QUIT TERM USR1 PIPE; exec \"$@\"", "sh", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
