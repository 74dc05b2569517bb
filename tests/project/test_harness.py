"""What the tests rest on: that nothing hangs, whoever starts them."""

from __future__ import annotations

import signal
import subprocess

from support.harness import LIMIT, Shell, Watchdog


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
