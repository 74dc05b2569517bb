"""Files that commands write: llm-parts --save DIR and llm-send --save FILE, whatever their names are."""

from __future__ import annotations

import base64
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.harness import Shell, until, valid_records
from support.server import Server, ask, reply

DATA = b"\x89PNG data"
CONTENT = base64.b64encode(DATA).decode()


def stream_of(*attachments: dict[str, Any]) -> bytes:
    parts = [{"type": "attachment", "attachment": {"content": CONTENT, **each}} for each in attachments]
    return json.dumps({"type": "message", "role": "assistant", "parts": parts}).encode()


NAMES = [
    *(
        "\0",
        "a\0b.png",
        "/",
        "//",
        "..",
        ".",
        "../..",
        "a/b/../c.png",
        "/etc/passwd",
        "a\nb",
        "\x1b[2J",
        "\u202egnp.exe",
    ),
    *("x" * 300 + ".png", "é" * 200 + ".png", "\U0001f600" * 100, "." + "x" * 300, "a." + "y" * 300, "~", "-rf", " "),
]
TYPES = ["", "\0", "a\0b/c", "/", "../x", "a/b/c", "x" * 400 + "/y", "é" * 300, "image/../../x", "\n", "image/png"]


@pytest.mark.parametrize("field", ["name", "type"])
def test_no_name_or_type_of_a_model_stops_the_saving(field: str, shell: Shell) -> None:
    for value in NAMES if field == "name" else TYPES:
        pair = [{"type": "image/png", field: value}] * 3
        done = shell.run("rm -rf out; llm-parts -q --save out", stdin=stream_of(*pair))
        assert (done.status, done.err) == (0, ""), (value, done.err)
        files = list((shell.folder / "out").iterdir())
        assert len(files) == 3 and {each.read_bytes() for each in files} == {DATA}, value
        assert not any(each.name.startswith(".") for each in files), value


def test_a_file_of_a_full_disk_is_not_left_half(shell: Shell) -> None:
    big = {"type": "image/png", "name": "big.png", "content": base64.b64encode(bytes(1 << 20)).decode()}
    small = {"type": "image/png", "name": "small.png"}
    done = shell.run("ulimit -f 100; trap '' XFSZ; llm-parts --save out", stdin=stream_of(small, big))
    assert done.status == 74 and "File too large" in done.err
    assert [each.name for each in (shell.folder / "out").iterdir()] == ["small.png"]


def test_the_mode_is_that_of_the_umask(shell: Shell) -> None:
    shell.run("umask 027; llm-parts -q --save out", stdin=stream_of({"type": "image/png", "name": "a.png"}))
    assert (shell.folder / "out" / "a.png").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["talk.jsonl", "x" * 255, "é" * 127])
def test_a_run_that_was_killed_keeps_no_later_run_from_saving(name: str, shell: Shell) -> None:
    (shell.folder / name).write_text("before\n")
    with Server([b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", 60.0], reply("later")) as server:
        killed = shell.start(f"exec {ask(server.url, f'--save {name}').rpartition('|')[2]}", stdin=_stdin(shell))
        until(lambda: bool(server.requests))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (shell.folder / name).read_text() == "before\n"
        done = shell.run(ask(server.url, f"--save {name}"))
    assert done.status == 0, done.err
    assert [each["role"] for each in valid_records((shell.folder / name).read_bytes())] == ["user", "assistant"]


def _stdin(shell: Shell) -> int:
    path = Path(shell.folder) / "in.jsonl"
    path.write_bytes(shell.run("llm-msg user hi").out)
    return os.open(path, os.O_RDONLY)
