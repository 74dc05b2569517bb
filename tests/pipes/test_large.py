"""Large lines and long streams: memory stays in proportion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.harness import SCRIPTS, Shell
from support.large import SIZE, peak

MEGABYTE = 1 << 20


@pytest.mark.parametrize("command", [["llm-msg", "user", "hi"], ["llm-send", "-m", "echo"], ["llm-parts", "--all"]])
def test_a_line_of_100_megabytes_passes_in_four_times_its_size(huge: Path, shell: Shell, command: list[str]) -> None:
    out = shell.folder / "out"
    status, size = peak([f"{SCRIPTS}/{command[0]}", *command[1:]], huge, out, shell)
    assert status == 0
    assert size < 4 * SIZE
    if command[0] != "llm-parts":
        with out.open("rb") as written, huge.open("rb") as read:
            assert written.readline() == read.readline()
            assert written.read(MEGABYTE).startswith(b'{"type":')


@pytest.mark.slow
def test_a_reply_of_100_megabytes_is_printed(shell: Shell) -> None:
    with (shell.folder / "text").open("w") as file:
        file.write("x" * SIZE)
    shell.run("llm-msg user -f text | llm-send -m echo > reply.jsonl")
    out = shell.folder / "out"
    status, size = peak([f"{SCRIPTS}/llm-parts"], shell.folder / "reply.jsonl", out, shell)
    assert (status, out.stat().st_size) == (0, SIZE + 1)
    assert size < 4 * SIZE


def test_100000_lines_stream_without_growing(shell: Shell) -> None:
    events = [
        {"type": "message", "role": "user", "parts": [{"type": "text", "text": "x"}]},
        {"type": "start", "response_id": "r", "model": "echo"},
    ]
    chunk = {"type": "text", "chunk": "a word or two ", "part_index": 0}
    end = [
        {"type": "message", "role": "assistant", "parts": [], "response": {"id": "r", "status": "ok"}},
        {"type": "end", "response_id": "r", "status": "ok"},
    ]
    lines = (
        [json.dumps(event) for event in events] + [json.dumps(chunk)] * 100_000 + [json.dumps(event) for event in end]
    )
    (shell.folder / "long.jsonl").write_text("\n".join(lines) + "\n")
    out = shell.folder / "out"
    status, size = peak([f"{SCRIPTS}/llm-parts"], shell.folder / "long.jsonl", out, shell)
    assert status == 0
    assert out.read_text() == "a word or two " * 100_000 + "\n"
    assert size < 64 * MEGABYTE
