"""MCP servers on the web that want to know who we are: keys, headers, and logins with OAuth 2.1."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from typing import Any

import pytest

from support.harness import Shell
from support.mcp_servers import require_sdk
from support.oauth import Guarded
from support.site import SocksProxy

pytestmark = pytest.mark.slow
BROWSER = "#!/usr/bin/env python3\nimport sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n"


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    require_sdk()
    with Guarded() as guarded:
        yield guarded


@pytest.fixture
def person(shell: Shell, guarded: Guarded) -> Shell:
    """A shell with a browser whose user says yes to every page, and the server as $S."""
    (shell.folder / "browser").write_text(BROWSER)
    (shell.folder / "browser").chmod(0o755)
    shell.environment |= {"BROWSER": f"{shell.folder}/browser %s", "S": f"mcp+{guarded.url}", "LLMTOOLS_DATA": "data"}
    return shell


def configure(shell: Shell, guarded: Guarded, settings: str) -> None:
    (shell.folder / "config.toml").write_text(f'[mcp."{guarded.url}"]\n{settings}\n')
    shell.environment["LLMTOOLS_CONFIG"] = "config.toml"


def logins(shell: Shell) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shell.folder / "data/logins.json").read_bytes())
    return found


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ('key_env = "TOKEN"', {"TOKEN": "token-x"}),
        ('key_env = ["OTHER", "TOKEN"]', {"TOKEN": "token-x"}),
        ('key_command = ["echo", "token-x"]', {}),
        ('headers = { Authorization = "Bearer token-x" }', {}),
    ],
)
def test_a_key_and_headers(settings: str, variables: dict[str, str], guarded: Guarded, shell: Shell) -> None:
    guarded.tokens.add("token-x")
    configure(shell, guarded, settings if "headers" in settings else f'{settings}\nheaders = {{ X-Team = "a" }}')
    done = shell.run(f"llm-tools call mcp+{guarded.url} whoami '{{}}'", env=variables)
    assert (done.status, done.text) == (0, "Bearer token-x\n"), done.err
    headers = [headers for _, _, headers in guarded.requests]
    assert all(each["user-agent"].startswith("llmtools/") for each in headers)
    assert "headers" in settings or all(each["x-team"] == "a" for each in headers)


@pytest.mark.parametrize(
    ("settings", "variables", "status", "says"),
    [
        ('key_env = "TOKEN"', {}, 78, "set TOKEN"),
        ('key_env = "TOKEN"', {"TOKEN": "wrong"}, 77, "the server refuses the key (HTTP 401)"),
        ('key_command = ["false"]', {}, 78, "failed with status 1"),
        ("", {}, 78, "the server wants a login (HTTP 401): llm-tools login mcp+http"),
    ],
)
def test_without_a_key_or_a_login(
    settings: str, variables: dict[str, str], status: int, says: str, guarded: Guarded, shell: Shell
) -> None:
    configure(shell, guarded, settings)
    done = shell.run(f"llm-msg user hi | llm-tools offer mcp+{guarded.url}", env=variables)
    assert (done.status, done.err.count("\n")) == (status, 1)
    assert says in done.err and "wrong" not in done.err
    assert done.records[-1]["exit_status"] == status
    assert not [path for path in guarded.paths() if path.startswith("/as")], "nobody is registered"


def test_no_key_over_plain_http_to_another_machine(guarded: Guarded, shell: Shell) -> None:
    guarded.url = "http://192.0.2.1/mcp"
    configure(shell, guarded, 'key_command = ["echo", "token-x"]')
    done = shell.run("llm-tools list mcp+http://192.0.2.1/mcp")
    assert (done.status, "over plain http" in done.err) == (78, True)


def test_a_login_is_kept_and_renewed(guarded: Guarded, person: Shell) -> None:
    done = person.run("llm-tools login $S")
    assert (done.status, done.text) == (0, "")
    assert "Open this page" in done.err and done.err.endswith("llm-tools: logged in\n")
    path = person.folder / "data/logins.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    guarded.requests.clear()
    assert person.run("llm-tools call $S whoami '{}'").text == "Bearer token-1\n"
    assert set(guarded.paths()) == {"/mcp"}
    kept = logins(person)
    kept[guarded.url]["expires_at"] = 1
    path.write_text(json.dumps(kept))
    guarded.requests.clear()
    assert person.run("llm-tools call $S whoami '{}'").text == "Bearer token-2\n"
    assert guarded.paths().count("/as/token") == 1
    assert logins(person)[guarded.url]["tokens"]["refresh_token"] == "refresh-2"


def test_a_login_that_is_over(guarded: Guarded, person: Shell) -> None:
    (person.folder / "config.toml").write_text(f"[tools]\nwork = ['true', 'mcp+{guarded.url}']\n")
    person.environment["LLMTOOLS_CONFIG"] = "config.toml"
    assert person.run("llm-tools login @work").status == 0
    guarded.tokens.clear()
    guarded.is_closed = True
    guarded.requests.clear()
    done = person.run("llm-tools list $S")
    assert (done.status, "the login is over: llm-tools login mcp+" in done.err) == (77, True)
    assert "/as/register" not in guarded.paths()
    done = person.run("llm-tools login $S")
    assert (done.status, "the login was refused: access_denied" in done.err) == (77, True)


def test_a_login_goes_to_the_keyring(guarded: Guarded, person: Shell) -> None:
    backend = (
        "import os, json\nfrom keyring.backend import KeyringBackend\n"
        "class Folder(KeyringBackend):\n    priority = 1\n"
        "    def _path(self, service, name): return os.path.join(os.environ['LLMTOOLS_DATA'], name.replace('/', '_'))\n"
        "    def get_password(self, service, name):\n"
        "        path = self._path(service, name)\n        return open(path).read() if os.path.exists(path) else None\n"
        "    def set_password(self, service, name, secret): open(self._path(service, name), 'w').write(secret)\n"
        "    def delete_password(self, service, name): os.unlink(self._path(service, name))\n"
    )
    (person.folder / "backend.py").write_text(backend)
    (person.folder / "data").mkdir()
    person.environment |= {"PYTHON_KEYRING_BACKEND": "backend.Folder", "PYTHONPATH": str(person.folder)}
    person.environment["LLMTOOLS_DATA"] = str(person.folder / "data")
    assert person.run("llm-tools login $S").status == 0
    assert not (person.folder / "data/logins.json").exists()
    assert person.run("llm-keys list").text == f"{guarded.url}\n"
    assert person.run("llm-tools call $S whoami '{}'").text == "Bearer token-1\n"
    assert person.run(f"llm-keys rm {guarded.url}").status == 0
    assert person.run("llm-tools list $S").status == 78


def test_a_server_without_a_login(shell: Shell) -> None:
    require_sdk()
    with Guarded(has_login=False) as guarded:
        done = shell.run(f"llm-tools login mcp+{guarded.url}")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert shell.run("llm-tools login 'mcp:true'").status == 2


ODD_REPLIES = [
    (b'{"jsonrpc":"2.0","id":ID,"result":{"content":"ok","structuredContent":{"x":NaN}}}', "ok"),
    (b'{"jsonrpc":"2.0","id":ID,"result":{"content":"caf\xe9"}}', "caf�"),
    (b'{"jsonrpc":"2.0","id":ID,"result":{"content":"cut \\ud83d"}}', "cut �"),
    (b'{"id":ID,"error":null,"result":{"content":"no version"}}', "no version"),
    (b'{"jsonrpc":"2.0","id":ID,"result":"bare"}', "bare"),
    (b'{"jsonrpc":"2.0","id":"ID","result":{"content":"string id"}}', "string id"),
]


@pytest.mark.parametrize("as_event", [False, True])
def test_odd_answers_over_http(as_event: bool, guarded: Guarded, shell: Shell) -> None:
    guarded.tokens.add("token-x")
    guarded.as_event = as_event
    configure(shell, guarded, 'key_command = ["echo", "token-x"]')
    for guarded.reply, output in ODD_REPLIES:
        done = shell.run(f"llm-tools call mcp+{guarded.url} whoami '{{}}'")
        assert (done.status, done.text) == (0, f"{output}\n"), done.err
    guarded.reply = b'{"id":ID,"error":{"message":"no such user: token-x1"}}'
    configure(shell, guarded, 'key_command = ["echo", "token-x1"]')
    guarded.tokens.add("token-x1")
    assert "no such user: ***" in shell.run(f"llm-tools call mcp+{guarded.url} whoami '{{}}'").err
    guarded.reply = b"<html>"
    done = shell.run(f"llm-tools call mcp+{guarded.url} whoami '{{}}'")
    assert (done.status, done.err.count("\n")) == (1, 1)


def test_a_server_behind_a_proxy(guarded: Guarded, shell: Shell) -> None:
    guarded.tokens.add("token-x")
    with SocksProxy({"127.0.0.1": int(guarded.origin.rpartition(":")[2])}) as proxy:
        env = {"ALL_PROXY": proxy.url.replace("http", "socks5h"), "TOKEN": "token-x"}
        configure(shell, guarded, 'key_env = "TOKEN"')
        assert shell.run(f"llm-tools list mcp+{guarded.url}", env=env).text == "whoami\n"
        assert proxy.asked
        count = len(proxy.asked)
        assert shell.run(f"llm-tools list mcp+{guarded.url}", env={**env, "NO_PROXY": "127.0.0.0/8"}).status == 0
        assert len(proxy.asked) == count
