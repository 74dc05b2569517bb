"""Commands fed with large lines, and the memory that they took."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.harness import LIMIT, Shell

SIZE = 100 * 1000 * 1000
MEASURE = """
import os, resource, subprocess, sys
source = open(sys.argv[1], "rb")
target = open(sys.argv[2], "wb")
feeder = subprocess.Popen(["cat"], stdin=source, stdout=subprocess.PIPE)
process = subprocess.Popen(sys.argv[3:], stdin=feeder.stdout, stdout=target)
feeder.stdout.close()
_, status, usage = os.wait4(process.pid, 0)
feeder.wait()
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
"""


def peak(command: list[str], stdin: Path, stdout: Path, shell: Shell) -> tuple[int, int]:
    """Run a command behind a pipe; return its status and its largest size in bytes.

    A small process starts it: a child's size counts that of the process it was made from.
    """
    measure = [sys.executable, "-I", "-c", MEASURE, str(stdin), str(stdout), *command]
    done = subprocess.run(
        measure, env=shell.environment, cwd=shell.folder, capture_output=True, check=True, timeout=4 * LIMIT
    )
    status, size = done.stdout.split()
    return int(status), int(size)
