"""Files that never end, or never begin: FIFOs, devices, directories, and files that are too large."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.harness import Shell, texts

DIGEST = "a" * 64
PLACES = {
    "attached": "llm-msg -n user hi -a {path}",
    "by reference": "llm-msg -n user hi -a {path} --ref",
    "of a template": "printf 'attachments = [\"{path}\"]' > templates/t.toml; llm-msg -n -t t user hi",
    "of a message": "head -1 {stream} | llm-send -m echo",
    "saved": "llm-parts --all --save out < {stream}",
    "printed": "llm-parts --all -t attachment < {stream}",
}
"""A place where a path may stand -> a script that reads the file."""
FILES = {
    "fifo": ("fifo", 66, "fifo: a FIFO, not a regular file"),
    "device": ("/dev/zero", 66, "/dev/zero: a device, not a regular file"),
    "folder": (".", 66, ".: Is a directory"),
    "large": ("large", 65, "large: larger than 256 MiB"),
}


@pytest.fixture
def shelf(shell: Shell) -> Shell:
    shell.run("mkdir templates; touch config.toml; mkfifo fifo; truncate -s 1T large")
    shell.environment["LLMTOOLS_CONFIG"] = "config.toml"
    return shell


def stream_of(path: str) -> bytes:
    attachment: dict[str, Any] = {"type": "image/png", "path": path, "sha256": DIGEST}
    user = {"type": "message", "role": "user", "parts": [{"type": "attachment", "attachment": attachment}]}
    model = {**user, "role": "assistant"}
    return b"".join(json.dumps(each).encode() + b"\n" for each in (user, model))


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("place", PLACES)
def test_an_attachment_is_a_regular_file_of_a_limited_size(place: str, kind: str, shelf: Shell) -> None:
    path, status, says = FILES[kind]
    (shelf.folder / "stream").write_bytes(stream_of(path))
    done = shelf.run(PLACES[place].format(path=path, stream="stream"))
    assert (done.status, says in done.err, done.err.count("\n")) == (status, True, 1), done.err


def test_a_text_comes_from_a_fifo_and_never_without_end(shelf: Shell) -> None:
    assert texts(shelf.run("llm-msg -n user hi -f <(echo yes)").records) == [("user", "yes\n\nhi")]
    assert texts(shelf.run("llm-msg -n user hi -f /dev/null").records) == [("user", "hi")]
    for script in ("llm-msg -n user -f /dev/zero", "cat /dev/zero | llm-msg user -f -"):
        done = shelf.run(f"ulimit -v 3000000; {script}")
        assert (done.status, "larger than 256 MiB" in done.err) == (65, True), done.err
