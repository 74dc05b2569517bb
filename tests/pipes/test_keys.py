"""Where a key comes from: a file that only its owner may read, a descriptor, a variable."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from llmtools.errors import NoKeyError
from llmtools.providers import keys
from support.harness import Done, Shell
from support.server import Server, ask, reply

CANARY = "sk-canary-0badf00d"


def key_file(shell: Shell, content: str | bytes = CANARY + "\n", mode: int = 0o600, name: str = "key") -> Path:
    path = shell.folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def refused(done: Done, status: int = 78) -> str:
    """The one line in which a key is refused, which never has the key in it."""
    assert done.status == status, done
    assert done.err.startswith("llm-send: ") and done.err.count("\n") == 1, done.err
    assert CANARY not in done.err + done.text
    if status != 2:
        assert done.records[-1]["exit_status"] == status
    return done.err


@pytest.mark.parametrize(
    "options",
    [
        "--key-file key",
        "--key-file link",
        "--key-file <(cat key)",
        "--key-file <(printf ' %s\\r\\n' $(cat key))",
        "--key-fd 7 7< key",
        "--key-fd 7 7< <(cat key)",
        '--key-fd 7 7<<< "$(cat key)"',
        "--key-env SOME_KEY",
    ],
)
def test_a_key_is_read_from_where_the_user_keeps_it(shell: Shell, options: str) -> None:
    key_file(shell)
    (shell.folder / "link").symlink_to("key")
    with Server(reply("a")) as server:
        done = shell.run(ask(server, options), env={"SOME_KEY": CANARY})
    assert (done.status, done.err) == (0, "")
    assert server.only.headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_only_its_owner_may_read_is_taken(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(CANARY)
    path.chmod(mode)
    assert keys.key_from_file(str(path)).reveal() == CANARY


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o666, 0o777])
def test_a_file_that_others_may_read_is_ignored_as_ssh_does_it(shell: Shell, mode: int) -> None:
    key_file(shell, mode=mode)
    with Server(reply("never")) as server:
        line = refused(shell.run(ask(server, "--key-file key")))
    assert f"permissions {mode:04o} for key are too open" in line and "chmod 600" in line
    assert server.connections == 0


def test_a_file_of_another_user_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_text(CANARY)
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(NoKeyError, match="another user"):
        keys.key_from_file(str(path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no key"),
        (" \n\n", "holds no key"),
        (f"{CANARY} second", "one word"),
        (f"{CANARY}\nsecond\n", "one word"),
        (f"{CANARY}\tx", "one word"),
        (f"{CANARY}\x00", "one word"),
        (f"{CANARY}é", "one word"),
        (CANARY.encode() + b"\xff\xfe", "not text"),
    ],
)
def test_an_invalid_key_is_refused_and_not_repeated(shell: Shell, content: str | bytes, says: str) -> None:
    key_file(shell, content)
    with Server(reply("never")) as server:
        for options in ("--key-file key", "--key-fd 7 7< key"):
            assert says in refused(shell.run(ask(server, options))), options
    assert server.connections == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--key-file missing", "missing: No such file"),
        ("--key-file .", "Is a directory"),
        ("--key-file missing/key", "No such file"),
        ("--key-fd 9", "descriptor 9"),
        ("--key-env NOT_SET", "NOT_SET"),
        ("--key-env EMPTY", "EMPTY"),
        ("--key-env WORDS", "WORDS"),
    ],
)
def test_a_missing_key_is_reported_in_one_line(shell: Shell, options: str, says: str) -> None:
    with Server(reply("never")) as server:
        done = shell.run(ask(server, options), env={"EMPTY": "", "WORDS": f"{CANARY} x"})
        assert says in refused(done)
    assert server.connections == 0


def test_a_descriptor_that_can_only_be_written_holds_no_key(shell: Shell) -> None:
    with Server(reply("never")) as server:
        line = refused(shell.run(ask(server, "--key-fd 7 7> out")))
    assert "descriptor 7" in line and "None" not in line
    assert server.connections == 0


@pytest.mark.parametrize(
    "options",
    [
        "--key-file key --key-fd 7 7< key",
        "--key-file key --key-env SOME_KEY",
        "--key-fd 7 --key-env SOME_KEY 7< key",
        "--key-fd -1",
        "--key-fd x",
    ],
)
def test_keys_that_cannot_be_meant_are_a_usage_error(shell: Shell, options: str) -> None:
    key_file(shell)
    with Server(reply("never")) as server:
        refused(shell.run(ask(server, options), env={"SOME_KEY": CANARY}), 2)
    assert server.connections == 0


@pytest.mark.parametrize("options", ["--key-file key", "--key-fd 7 7< key", "--key-env SOME_KEY"])
def test_a_key_without_a_base_url_is_a_usage_error(shell: Shell, options: str) -> None:
    key_file(shell)
    done = shell.run(f"llm-msg -n user hi | llm-send -m echo {options}", env={"SOME_KEY": CANARY})
    assert "--base-url" in refused(done, 2)


def test_a_key_is_shown_by_nothing_but_reveal(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(CANARY)
    path.chmod(stat.S_IRUSR)
    secret = keys.key_from_file(str(path))
    assert CANARY not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == CANARY


@pytest.mark.parametrize(("mode", "is_refused"), [(0o777, True), (0o702, True), (0o1777, False), (0o755, False)])
def test_a_file_that_others_may_replace_is_ignored(shell: Shell, mode: int, is_refused: bool) -> None:
    (shell.folder / "keys").mkdir()
    key_file(shell, name="keys/key")
    (shell.folder / "keys").chmod(mode)
    with Server(reply("a")) as server:
        done = shell.run(ask(server, "--key-file keys/key"))
    assert (done.status, "keys can be changed by others" in done.err) == ((78, True) if is_refused else (0, False))
