"""llm-keys, and keys from the system keyring: real backends, one by one, and every way in which
they fail. What is not here is skipped: gnome-keyring, pass, and two backends that are installed
into folders of their own, so that only their own tests see them."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.configs import HI, settle, with_backend
from support.harness import LIMIT, Done, Shell
from support.server import Server, reply, whole

KEY = "canary-key-0badf00d"
REAL = os.environ.get("LLMTOOLS_TEST_REAL")


def refused(done: Done, status: int = 78) -> str:
    """The one line in which a command says that it cannot have a key."""
    assert (done.status, done.err.count("\n")) == (status, 1), done
    assert KEY not in done.err + done.text
    return done.err


def answered(shell: Shell, script: str, env: dict[str, str]) -> Done:
    """Run a command that must be back long before a backend that hangs for a minute."""
    return shell.run(f"timeout -s KILL 20 {script}", HI.encode(), env=env)


def backend_folder(name: str, package: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install a backend into a folder of its own."""
    folder = tmp_path_factory.mktemp(name)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), package]
    done = subprocess.run(command, capture_output=True, check=False, timeout=4 * LIMIT)
    if done.returncode:
        pytest.skip(f"{package} cannot be installed here")
    return str(folder)


# Keeping keys


def test_a_key_is_kept_used_named_and_forgotten(shell: Shell) -> None:
    env = with_backend(shell)
    kept = shell.run(f"printf '{KEY}\\n' | llm-keys set groq", env=env)
    assert (kept.status, kept.text, kept.err) == (0, "", "")
    assert json.loads((shell.folder / "kept").read_text()) == {"llmtools/groq": KEY}
    assert shell.run("llm-keys list", env=env).text == "groq\n"
    assert shell.run("llm-keys which groq", env=env).text == "keyring filebackend.Keyring\n"
    with Server(reply("a")) as server:
        settle(shell, f'[providers.groq]\nbase_url = "{server.url}"\n')
        done = shell.run("llm-send -m groq/x", HI.encode(), env=env)
    assert (done.status, done.err) == (0, "")
    assert server.only.headers["authorization"] == f"Bearer {KEY}"
    assert shell.run("llm-keys rm groq", env=env).status == 0
    assert shell.run("llm-keys list", env=env).text == ""
    assert "no key for groq" in refused(shell.run("llm-keys rm groq", env=env))


def test_a_provider_takes_the_key_of_another_of_its_vendor(shell: Shell) -> None:
    env = with_backend(shell)
    assert "llm-keys set gemini" in refused(shell.run("llm-keys which interactions", env=env))
    shell.run(f"printf '{KEY}\\n' | llm-keys set gemini", env=env)
    with Server(whole(400, {"error": {"message": "seen"}}), whole(400, {"error": {"message": "seen"}})) as server:
        env["GOOGLE_GEMINI_BASE_URL"] = server.origin
        shell.run("llm-send -m interactions/x", HI.encode(), env=env)
        shell.run(f"printf '{KEY}-own\\n' | llm-keys set interactions", env=env)
        shell.run("llm-send -m interactions/x", HI.encode(), env=env)
    assert [request.headers["x-goog-api-key"] for request in server.requests] == [KEY, f"{KEY}-own"]
    assert {request.path for request in server.requests} == {"/v1beta/interactions"}


def test_what_is_kept_where_is_remembered_by_name_only(shell: Shell) -> None:
    env = with_backend(shell)
    assert shell.run(f"umask 000; echo {KEY} | llm-keys set groq", env=env).status == 0
    path = shell.folder / ".local" / "share" / "llmtools" / "keyring.json"
    assert json.loads(path.read_text()) == {"names": {"groq": "filebackend.Keyring"}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_backend_that_keeps_a_key_is_asked_again_without_a_search(shell: Shell) -> None:
    env = with_backend(shell)
    shell.run(f"echo {KEY} | llm-keys set groq", env=env)
    del env["PYTHON_KEYRING_BACKEND"]
    assert shell.run("llm-keys which groq", env=env).text == "keyring filebackend.Keyring\n"


def test_a_key_is_typed_at_a_terminal_unseen(shell: Shell) -> None:
    terminal, other = pty.openpty()
    process = shell.start("llm-keys set groq", env=with_backend(shell), stdin=other, stderr=other)
    os.close(other)
    seen = b""
    while b"Key for groq: " not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, f"{KEY}\n".encode())
    assert process.wait(LIMIT) == 0
    try:
        while data := os.read(terminal, 1024):
            seen += data
    except OSError:
        pass  # the terminal is gone with the last process that had it
    os.close(terminal)
    assert KEY.encode() not in seen
    assert json.loads((shell.folder / "kept").read_text()) == {"llmtools/groq": KEY}


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("printf '' | llm-keys set groq", "holds no key"),
        ("printf 'two words' | llm-keys set groq", "one word"),
        ("printf '\\377' | llm-keys set groq", "not text"),
    ],
)
def test_an_invalid_key_is_not_kept(shell: Shell, script: str, says: str) -> None:
    assert says in refused(shell.run(script, env=with_backend(shell)))
    assert not (shell.folder / "kept").exists()


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        ("echo x | llm-keys set grok", 78, "no provider is named 'grok': perhaps groq"),
        ("llm-keys which nosuchthing", 78, "no provider is named"),
        ("llm-keys set", 2, "needs a PROVIDER"),
        ("llm-keys set groq < /dev/null", 2, "no key on stdin"),
        ("llm-keys rm", 2, "needs a PROVIDER"),
        ("llm-keys list groq", 2, "takes no provider"),
        ("llm-keys get groq", 2, "'get'"),
        ("llm-keys", 2, "Missing argument"),
        ("llm-keys list >&-", 74, "stdout is closed"),
    ],
)
def test_what_cannot_be_meant_is_refused(shell: Shell, script: str, status: int, says: str) -> None:
    done = shell.run(script, env=with_backend(shell))
    assert (done.status, done.err.count("\n")) == (status, 1), done
    assert says in done.err


def test_a_variable_that_takes_precedence_is_reported(shell: Shell) -> None:
    env = {**with_backend(shell), "GROQ_API_KEY": "other"}
    done = shell.run(f"echo {KEY} | llm-keys set groq", env=env)
    assert (done.status, done.err) == (0, "llm-keys: GROQ_API_KEY is set, and comes first\n")
    assert shell.run("llm-keys which groq", env=env).text == "variable GROQ_API_KEY\n"


def test_which_says_where_keys_would_come_from_and_asks_no_keyring_for_all(shell: Shell) -> None:
    env = with_backend(shell)
    shell.run(f"echo {KEY} | llm-keys set groq", env=env)
    (shell.folder / "asked").unlink()
    settle(shell, '[providers.own]\nbase_url = "http://127.0.0.1:9/v1"\nkey_command = ["touch", "ran"]\n')
    done = shell.run("llm-keys which", env={**env, "MISTRAL_API_KEY": KEY})
    assert done.text == "mistral\tvariable MISTRAL_API_KEY\ngroq\tkeyring\nown\tkey_command touch\n"
    assert not (shell.folder / "asked").exists() and not (shell.folder / "ran").exists()
    assert shell.run("llm-keys which lmstudio", env=env).text == "none: it needs no key\n"


def test_the_keyring_is_asked_only_when_the_others_have_none(shell: Shell) -> None:
    env = with_backend(shell)
    shell.run(f"echo {KEY} | llm-keys set groq", env=env)
    (shell.folder / "asked").unlink()
    with Server(*[reply("a") for _ in range(4)]) as server:
        settle(shell, f'[providers.groq]\nbase_url = "{server.url}"\n')
        for more in ({"GROQ_API_KEY": "one"}, {"GROQ_API_KEY": "", "MINE": "two"}):
            option = "--key-env MINE" if "MINE" in more else ""
            assert shell.run(f"llm-send -m groq/x {option}", HI.encode(), env={**env, **more}).status == 0
        settle(shell, f'[providers.groq]\nbase_url = "{server.url}"\nkey_command = ["echo", "three"]\n')
        assert shell.run("llm-send -m groq/x", HI.encode(), env=env).status == 0
        assert not (shell.folder / "asked").exists()
        settle(shell, f'[providers.groq]\nbase_url = "{server.url}"\n')
        assert shell.run("llm-send -m groq/x", HI.encode(), env=env).status == 0
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer one", "Bearer two", "Bearer three", f"Bearer {KEY}"]


@pytest.mark.slow
def test_fifty_keys_kept_at_once_are_all_remembered(shell: Shell) -> None:
    names = [f"p{number}" for number in range(50)]
    settle(shell, "".join(f'[providers.{name}]\nbase_url = "https://{name}.example"\n' for name in names))
    code = "import sys; from llmtools.providers.keychain import _write_index; _write_index(sys.argv[1], 'b')"
    done = shell.run(f'for n in {" ".join(names)}; do python -c "{code}" $n & done; wait; llm-keys list')
    assert done.text.split() == sorted(names), done


# Failing, each way with its line


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("locked", "the keyring is locked (llm-keys which openai"),
        ("raises", "the keyring failed (KeyringError: first line"),
        ("dies", "the keyring failed"),
        ("", "set OPENAI_API_KEY, or keep one in the keyring: llm-keys set openai"),
    ],
)
def test_a_keyring_that_fails_is_one_line_and_a_way_out(shell: Shell, how: str, says: str) -> None:
    env = with_backend(shell, how)
    sent = shell.run("llm-send -m openai/x", HI.encode(), env=env)
    for done in (sent, shell.run("llm-keys which openai", env=env)):
        line = refused(done)
        assert says in line and "OPENAI_API_KEY" in line
        assert "second line" not in line and "noise" not in line + done.text
    assert sent.records[-1]["code"] == "no_key"


def test_a_flood_on_stdout_is_not_an_answer(shell: Shell) -> None:
    env = with_backend(shell, "floods")
    assert "keep one in the keyring" in refused(shell.run("llm-keys which openai", env=env))


@pytest.mark.parametrize("how", ["locked", "raises", "dies"])
def test_a_keyring_that_keeps_nothing_is_reported_and_not_remembered(shell: Shell, how: str) -> None:
    line = refused(shell.run(f"echo {KEY} | llm-keys set openai", env=with_backend(shell, how)))
    assert "--key-file" in line
    assert shell.run("llm-keys list").text == ""


def test_the_null_keyring_keeps_nothing(shell: Shell) -> None:
    env = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    assert "does not keep keys" in refused(shell.run(f"echo {KEY} | llm-keys set openai", env=env))


def gone(shell: Shell) -> None:
    """Wait until the processes that a hanging backend started are gone."""
    for pid in map(int, (shell.folder / "pids").read_text().split()):
        until = time.monotonic() + LIMIT
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < until, f"process {pid} was left behind"
            time.sleep(0.02)


def test_a_terminal_shows_the_wait_and_the_user_can_end_it(shell: Shell) -> None:
    terminal, other = pty.openpty()
    process = shell.start("exec llm-keys which openai", env=with_backend(shell, "hangs"), stderr=other)
    os.close(other)
    seen = b""
    while b"waiting for the keyring" not in seen:
        seen += os.read(terminal, 1024)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(LIMIT) == -signal.SIGINT
    os.close(terminal)
    gone(shell)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["llm-send -m openai/x", "llm-keys which openai", "llm-keys rm openai"])
def test_a_keyring_that_hangs_is_left_after_a_moment_with_all_it_started(shell: Shell, command: str) -> None:
    env = with_backend(shell, "hangs")
    assert "did not answer within 1.5 s" in refused(answered(shell, command, env))
    gone(shell)


@pytest.mark.slow
def test_a_hanging_keyring_is_asked_once_for_many_conversations(shell: Shell) -> None:
    env = with_backend(shell, "hangs")
    row = (
        '{"type":"conversation","messages":[{"type":"message","role":"user","parts":[{"type":"text","text":"hi"}]}]}\n'
    )
    done = shell.run("timeout -s KILL 20 llm-send -m openai/x", row.encode() * 30, env=env)
    assert (done.status, done.err.count("\n")) == (78, 30)
    assert (shell.folder / "asked").read_text() == "x"


def test_no_keyring_at_all_as_in_cron(shell: Shell) -> None:
    done = shell.run("llm-send -m openai/x", HI.encode())  # the environment of env -i
    assert "no keyring can be used here" in refused(done)
    assert "no keyring can be used here" in refused(shell.run(f"echo {KEY} | llm-keys set openai"))


def test_a_dead_session_bus(shell: Shell) -> None:
    env = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={shell.folder}/nowhere"}
    assert "no keyring can be used here" in refused(answered(shell, "llm-send -m openai/x", env))
    env["PYTHON_KEYRING_BACKEND"] = "keyring.backends.SecretService.Keyring"
    assert "the keyring cannot be reached" in refused(answered(shell, "llm-send -m openai/x", env))


def test_a_backend_that_is_not_there(shell: Shell) -> None:
    env = {"PYTHON_KEYRING_BACKEND": "no.such.Keyring"}
    assert "the configured keyring cannot be loaded (No module named 'no')" in refused(
        shell.run("llm-keys which openai", env=env)
    )


def test_no_compiler_is_run_in_search_of_a_keyring(shell: Shell) -> None:
    tools = shell.folder / "tools"
    tools.mkdir()
    for name in ("gcc", "cc", "ld", "objdump"):
        (tools / name).write_text(f"#!/bin/sh\necho {name} >> {shell.folder}/compiled\nexit 1\n")
        (tools / name).chmod(0o755)
    env = {"PATH": f"{tools}:{shell.environment['PATH']}"}
    refused(shell.run("llm-send -m openai/x", HI.encode(), env=env))
    assert not (shell.folder / "compiled").exists()
    shell.run("python -c 'from ctypes.util import find_library; find_library(\"Security\")'", env=env)
    assert (shell.folder / "compiled").exists(), "the trap does not work"


# Real ones


@pytest.fixture
def gnome(shell: Shell) -> dict[str, str]:
    for program in ("gnome-keyring-daemon", "dbus-run-session"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here")
    runtime = shell.folder / "run"
    runtime.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(runtime)}


UNLOCK = "printf pw | gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null 2>&1"


def test_gnome_keyring_unlocked(shell: Shell, gnome: dict[str, str]) -> None:
    script = f"{UNLOCK}; echo {KEY} | llm-keys set groq && llm-keys which groq && llm-keys list"
    done = shell.run(f"dbus-run-session -- bash -c '{script}'", env=gnome)
    assert (done.status, done.text) == (0, "keyring keyring.backends.SecretService.Keyring\ngroq\n")
    with Server(reply("a")) as server:
        settle(shell, f'[providers.groq]\nbase_url = "{server.url}"\n')
        again = shell.run(f"dbus-run-session -- bash -c '{UNLOCK}; llm-send -m groq/x'", HI.encode(), env=gnome)
    assert again.status == 0, again.err
    assert server.only.headers["authorization"] == f"Bearer {KEY}"
    settle(shell, "")
    gone = shell.run(f"dbus-run-session -- bash -c '{UNLOCK}; llm-keys rm groq; llm-keys which groq'", env=gnome)
    assert gone.status == 78 and "llm-keys set groq" in gone.err


def test_gnome_keyring_locked(shell: Shell, gnome: dict[str, str]) -> None:
    kept = shell.run(f"dbus-run-session -- bash -c '{UNLOCK}; echo {KEY} | llm-keys set openai'", env=gnome)
    assert kept.status == 0, kept.err
    for command in ("llm-send -m openai/x", "llm-keys which openai"):
        done = shell.run(f"dbus-run-session -- bash -c '{command} 2> said'", HI.encode(), env=gnome)
        said = (shell.folder / "said").read_text()
        assert done.status == 78
        assert "the keyring is locked" in said and said.count("\n") == 1, said
        assert KEY not in said + done.err + done.text


@pytest.fixture(scope="session")
def pass_backend(tmp_path_factory: pytest.TempPathFactory) -> str:
    for program in ("pass", "gpg"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here")
    if not REAL:
        pytest.skip("keyring-pass is installed for tests/run --slow only")
    return backend_folder("pass", "keyring-pass", tmp_path_factory)


GENERATE = "gpg --batch --quiet --passphrase '{}' --quick-gen-key {} default default never 2>/dev/null"


@pytest.mark.slow
def test_pass(shell: Shell, pass_backend: str) -> None:
    env = {"PYTHONPATH": pass_backend}
    made = shell.run(f"{GENERATE.format('', 'a@example.com')} && pass init a@example.com", env=env)
    assert made.status == 0, made.err
    try:
        done = shell.run(f"echo {KEY} | llm-keys set groq && llm-keys which groq", env=env)
        assert (done.status, done.text, done.err) == (0, "keyring keyring_pass.PasswordStoreBackend\n", "")
        locked = f"{GENERATE.format('secret', 'b@example.com')} && pass init b@example.com; gpgconf --kill gpg-agent"
        shell.run(locked, env=env)
        line = refused(answered(shell, "llm-send -m groq/x", env))
        assert "the keyring is locked, or failed (pass ended with status" in line or "did not answer" in line
    finally:
        shell.run("gpgconf --kill gpg-agent", env=env)


@pytest.mark.slow
def test_keyrings_alt(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    if not REAL:
        pytest.skip("keyrings.alt is installed for tests/run --slow only")
    env = {"PYTHONPATH": backend_folder("alt", "keyrings.alt", tmp_path_factory)}
    kept = shell.run(f"echo {KEY} | llm-keys set groq", env=env)
    assert kept.status == 0
    assert "not encrypted" in kept.err
    assert shell.run("llm-keys which groq", env=env).text == "keyring keyrings.alt.file.PlaintextKeyring\n"
    assert "the configured keyring cannot be loaded" in refused(shell.run("llm-keys which groq"))
