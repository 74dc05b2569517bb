"""A canary key, looked for wherever a key must not be: in the arguments of every process, in URLs,
in what is said, in tracebacks, in dry runs, in streams, and at hosts that are not its provider's."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from llmtools.http.endpoint import Secret
from llmtools.protocols import PROTOCOLS
from llmtools.providers.catalogue import PROVIDERS
from support.configs import HI, settle, with_backend
from support.harness import LIMIT, Done, Shell
from support.server import FIN, RST, Answer, Server, closed_port, event, head, reply, whole

CANARY = "sk-canary-1deadbeef"
SECOND = "sk-canary-2deadbeef"
ASKED = {
    "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com",
    "GOOGLE_CLOUD_PROJECT": "proj",
    "OLLAMA_HOST": "https://ollama.com",
}


def commands_of(marker: str) -> list[bytes]:
    """Return the command lines of every process of this machine that has a marker in its environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and marker.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def wait_for(path: Path) -> None:
    until = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.02)


# Arguments


SOURCES = {
    "a variable": ("", 'key_env = "MINE"\n', {"MINE": CANARY}),
    "another variable": ("--key-env MINE", "", {"MINE": CANARY}),
    "a file": ("--key-file key", "", {}),
    "a descriptor": ("--key-fd 7 7< key", "", {}),
    "a command": ("", 'key_command = ["cat", "key"]\n', {}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_no_argument_has_the_key_while_it_is_used(shell: Shell, source: str) -> None:
    options, more, env = SOURCES[source]
    (shell.folder / "key").write_text(CANARY)
    (shell.folder / "key").chmod(0o600)
    with Server([LIMIT]) as server:
        settle(shell, f'[providers.local]\nbase_url = "{server.url}"\n{more}')
        process = shell.start(f"llm-send -m local/x {options}", env={**env, "MARKER": str(shell.folder)})
        assert process.stdin is not None
        process.stdin.write(HI.encode())
        process.stdin.close()
        server.wait_for_request()
        lines = commands_of(str(shell.folder))
    assert any(b"llm-send" in line for line in lines)
    assert CANARY.encode() not in b"".join(lines)
    assert server.only.headers["authorization"] == f"Bearer {CANARY}"
    assert CANARY not in server.only.line


def test_no_argument_has_the_key_while_it_is_kept(shell: Shell) -> None:
    env = {**with_backend(shell, "hangs"), "MARKER": str(shell.folder)}
    (shell.folder / "key").write_text(CANARY)
    process = shell.start("llm-keys set groq < key", env=env)
    wait_for(shell.folder / "pids")
    lines = commands_of(str(shell.folder))
    out, err = process.communicate(timeout=LIMIT)
    assert any(b"keychain" in line for line in lines), lines
    assert CANARY.encode() not in b"".join(lines) + out + err


def test_no_argument_has_the_key_while_a_command_prints_it(shell: Shell) -> None:
    script = "cat key; touch printed; while [ ! -e seen ]; do sleep 0.05; done"
    (shell.folder / "key").write_text(CANARY)
    with Server(reply("a")) as server:
        settle(shell, f"[providers.local]\nbase_url = '{server.url}'\nkey_command = ['sh', '-c', '{script}']\n")
        process = shell.start("llm-send -m local/x", env={"MARKER": str(shell.folder)})
        assert process.stdin is not None
        process.stdin.write(HI.encode())
        process.stdin.close()
        wait_for(shell.folder / "printed")
        lines = commands_of(str(shell.folder))
        (shell.folder / "seen").touch()
        assert process.wait(LIMIT) == 0
    assert len(lines) >= 2
    assert CANARY.encode() not in b"".join(lines)


# What is said


def shouted(done: Done) -> None:
    assert CANARY not in done.err + done.text, done


ERRORS: dict[str, Answer] = {
    "refused and repeated": whole(401, {"error": {"message": f"Incorrect API key: {CANARY}"}}),
    "repeated in another form": whole(401, {"detail": f"key {CANARY} is unknown"}),
    "repeated in plain text": whole(403, f"no {CANARY}".encode()),
    "repeated in mid-stream": [head() + event({"error": {"message": f"bad {CANARY}"}}), FIN],
    "repeated in a redirect": [head(302, location=f"https://x.example/?key={CANARY}", content_length=0)],
    "repeated and tried again": whole(503, {"error": {"message": f"busy {CANARY}"}}, retry_after=0),
    "broken off": [RST],
    "no HTTP": [f"{CANARY}\r\n\r\n".encode(), FIN],
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_failure_shows_the_key(shell: Shell, error: str, protocol: str) -> None:
    with Server(*[ERRORS[error]] * 2) as server:
        more = f'protocol = "{protocol}"\nkey_env = "MINE"\n'
        settle(shell, f'[providers.local]\nbase_url = "{server.url}"\n{more}')
        env = {"MINE": CANARY, "LLMTOOLS_DEBUG": "1"}
        done = shell.run("llm-send -v --retries 1 -m local/x", HI.encode(), env=env)
        assert done.status != 0
        shouted(done)
    with Server(ERRORS[error]) as server:
        settle(shell, f'[providers.local]\nbase_url = "{server.url}"\n{more}')
        shouted(shell.run("llm-models -v local/", env=env))
    assert CANARY in str(server.only.headers)


def test_a_server_that_repeats_a_header_of_the_configuration(shell: Shell) -> None:
    with Server(whole(400, {"error": {"message": f"what is {CANARY}?"}})) as server:
        settle(shell, f'[providers.local]\nbase_url = "{server.url}"\nheaders = {{ X-Corp = "{CANARY}" }}\n')
        done = shell.run("llm-send -m local/x", HI.encode())
    assert server.only.headers["x-corp"] == CANARY
    assert "what is ***?" in done.err
    shouted(done)


def test_no_failure_to_connect_shows_the_key(shell: Shell) -> None:
    settle(shell, f'[providers.local]\nbase_url = "http://127.0.0.1:{closed_port()}/v1"\nkey_env = "MINE"\n')
    for command in ("llm-send -v --retries 0 -m local/x", "llm-models -v local/"):
        done = shell.run(command, HI.encode(), env={"MINE": CANARY, "LLMTOOLS_DEBUG": "1"})
        assert done.status == 69
        shouted(done)


def test_a_traceback_does_not_show_the_key(shell: Shell) -> None:
    (shell.folder / "sitecustomize.py").write_text(
        "import httpx\ndef broken(*request, **more):\n    raise ArithmeticError('boom')\nhttpx.Client.send = broken\n"
    )
    settle(shell, '[providers.local]\nbase_url = "http://127.0.0.1:9/v1"\nkey_env = "MINE"\n')
    env = {"MINE": CANARY, "LLMTOOLS_DEBUG": "1", "PYTHONPATH": str(shell.folder)}
    process = shell.start("llm-send -m local/x", env=env)
    out, err = process.communicate(HI.encode(), timeout=LIMIT)
    assert b"Traceback" in err and b"boom" in err, err
    assert process.returncode == 70
    assert CANARY.encode() not in out + err


# What is shown and written


def every_key() -> dict[str, str]:
    """Return an environment with a key of its own for every provider, or vendor of several."""
    return {variable: key_of(name) for name, provider in PROVIDERS.items() for variable in provider.keys}


def key_of(name: str) -> str:
    return f"{CANARY}-{PROVIDERS[name].keys[0]}"


@pytest.mark.parametrize("name", PROVIDERS)
def test_no_dry_run_shows_a_key(shell: Shell, name: str) -> None:
    done = shell.run(f"llm-send -m {name}/x --dry-run", HI.encode(), env={**every_key(), **ASKED})
    assert done.status == 0, done
    assert "***" in done.text
    shouted(done)


def with_keys_everywhere(shell: Shell, server: Server) -> dict[str, str]:
    """Settle a user who has keys in the keyring, in variables and in a header."""
    env = {**with_backend(shell), "MISTRAL_API_KEY": CANARY}
    assert shell.run(f"printf {CANARY} | llm-keys set groq", env=env).status == 0
    more = f'headers = {{ X-Secret = "{CANARY}" }}\nkey_env = "MINE"\n'
    settle(shell, f'[providers.local]\nbase_url = "{server.url}"\n{more}')
    return {**env, "MINE": CANARY}


@pytest.mark.parametrize(
    "command",
    [
        "llm-keys list",
        "llm-keys which",
        "llm-keys which groq",
        "llm-keys which mistral",
        "llm-models -v --json local/",
        "llm-models -l local/",
        "llm-models show --json local/m",
        "llm-models alias fast local/m",
        "llm-models default local/m",
        "llm-send -v -m local/m --save saved",
        "llm-send -m local/m --dry-run",
    ],
)
def test_nothing_that_is_shown_or_written_has_a_key(shell: Shell, command: str) -> None:
    answer = reply("a") if command.startswith("llm-send") else whole(200, {"data": [{"id": "m"}]})
    with Server(answer) as server:
        env = with_keys_everywhere(shell, server)
        config = (shell.folder / ".config/llmtools/config.toml").read_text()
        done = shell.run(command, HI.encode(), env=env)
    assert done.status == 0, done
    shouted(done)
    for path in shell.folder.rglob("*"):
        if path.is_file() and path.name not in ("kept", "config.toml"):
            assert CANARY not in path.read_text(errors="replace"), path
    text = (shell.folder / ".config/llmtools/config.toml").read_text()
    assert text.count(CANARY) == config.count(CANARY)


# Where it goes


@pytest.mark.parametrize("name", [name for name in PROVIDERS if name not in ("ollama",)])
def test_a_host_gets_the_key_of_its_provider_and_no_other(shell: Shell, name: str) -> None:
    with Server(whole(400, {"error": "seen"})) as server:
        base = server.origin if name in ("azure", "vertex") else server.url
        settle(shell, f'[providers.{name}]\nbase_url = "{base}"\nproject = "p"\n')
        shell.run(f"llm-send -m {name}/x", HI.encode(), env=every_key())
    sent = (server.only.head + server.only.body).decode()
    assert sent.count(CANARY) == 1
    assert key_of(name) in sent


def test_a_bare_address_gets_no_vendors_key(shell: Shell) -> None:
    with Server(whole(400, {"error": "seen"})) as server:
        shell.run(f"llm-send --base-url {server.url} -m gpt-5.5", HI.encode(), env=every_key())
    assert CANARY not in str(server.only)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("command", ["llm-send --retries 0 -m local/x", "llm-models local/"])
def test_a_redirect_gets_neither_key_nor_conversation(shell: Shell, status: int, command: str) -> None:
    with Server() as elsewhere:
        moved: Answer = [head(status, location=f"{elsewhere.url}/x", content_length=0)]
        with Server(moved) as server:
            more = 'protocol = "anthropic"\nkey_env = "MINE"\n'
            settle(shell, f'[providers.local]\nbase_url = "{server.url}"\n{more}')
            done = shell.run(command, HI.encode(), env={"MINE": CANARY})
    assert done.status not in (0, 70)
    assert (elsewhere.connections, len(server.requests)) == (0, 1)


def test_a_server_found_on_a_usual_port_gets_only_a_key_that_is_meant_for_it(shell: Shell) -> None:
    with Server(whole(404, b"no")) as server:
        env = {**every_key(), "OLLAMA_HOST": f"127.0.0.1:{server.port}"}
        shell.run("llm-models ollama/", env=env)
    assert CANARY not in str(server.only)


@pytest.mark.parametrize(
    "config",
    [
        '[providers.far]\nbase_url = "http://192.0.2.1:9/v1"\nkey_env = "MINE"\n',
        '[providers.far]\nbase_url = "http://192.0.2.1:9/v1"\nheaders = { Authorization = "x" }\n',
        '[providers.groq]\nbase_url = "http://192.0.2.1:9/v1"\n',
    ],
)
def test_plain_http_to_another_machine_is_refused_before_anything_is_sent(shell: Shell, config: str) -> None:
    name = "groq" if "groq" in config else "far"
    settle(shell, config)
    for command in (f"llm-send -m {name}/x", f"llm-models {name}/"):
        done = shell.run(command, HI.encode(), env={"MINE": CANARY, "GROQ_API_KEY": CANARY})
        assert (done.status, done.err.count("\n")) == (78, 1)
        assert "over plain http" in done.err
        shouted(done)


def test_a_conversation_with_two_providers_gives_neither_the_others_key(shell: Shell) -> None:
    with Server(reply("a")) as one, Server(reply("b")) as two:
        settle(
            shell,
            f'[providers.one]\nbase_url = "{one.url}"\nkey_env = "ONE"\n'
            f'[providers.two]\nbase_url = "{two.url}"\nkey_env = "TWO"\n',
        )
        script = "llm-send -m one/x | llm-msg user more | llm-send -m two/x"
        done = shell.run(script, HI.encode(), env={"ONE": CANARY, "TWO": SECOND})
    assert done.status == 0
    assert (CANARY in str(one.only), SECOND in str(one.only)) == (True, False)
    assert (CANARY in str(two.only), SECOND in str(two.only)) == (False, True)


def test_no_process_that_may_hold_a_key_is_left(shell: Shell) -> None:
    env = {**with_backend(shell, "hangs"), "MARKER": str(shell.folder)}
    shell.run("timeout -s KILL 20 llm-send -m openai/x", HI.encode(), env=env)
    until = time.monotonic() + LIMIT
    while any(line for line in commands_of(str(shell.folder)) if line):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_secret_is_shown_by_nothing_but_reveal() -> None:
    secret = Secret(CANARY)
    assert CANARY not in f"{secret!r} {secret} {[secret]}"
    with pytest.raises(TypeError):
        json.dumps(secret)


# All commands together


def test_no_command_shows_or_keeps_the_key(shell: Shell) -> None:
    env = {"MINE": CANARY, "LLMTOOLS_DEBUG": "1", "HOME": str(shell.folder)}
    script = """
    llm-msg user hi | llm-tools loop 'env: env' -- llm-send -v -m local/x | tee all.jsonl | llm-log | llm-parts --json
    llm-log list; llm-log get last; llm-log search hi; llm-log usage; llm-log tree
    llm-models; llm-models show local/x; llm-keys which local; llm-keys which; llm-keys list
    llm-tools list 'env: env'; llm-tools call 'env: env' env '{}'
    llm-msg user more < all.jsonl | llm-send --dry-run
    """
    with Server(reply("hi"), whole(200, {"data": [{"id": "x"}]})) as server:
        settle(shell, f'[providers.local]\nbase_url = "{server.url}"\nkey_env = "MINE"\n')
        done = shell.run(script, env=env)
        assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    assert CANARY not in done.text + done.err
    files = [path for path in shell.folder.rglob("*") if path.is_file()]
    assert any(path.suffix in (".db", ".sqlite") or path.read_bytes().startswith(b"SQLite") for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
