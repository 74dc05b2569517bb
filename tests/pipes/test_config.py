"""config.toml: what it may say, how it is told what is wrong in it, when it is read, how it is written."""

from __future__ import annotations

import json
import os
import stat
import tomllib

import pytest

from support.configs import HI, local, settle
from support.harness import Shell, texts
from support.server import Server, reply

# What it says


def test_a_provider_of_the_users_own_is_three_lines(shell: Shell) -> None:
    with Server(reply("hello")) as server:
        settle(shell, local(server))
        done = shell.run("llm-send -m local/tiny:1b", HI.encode())
    assert (done.status, done.err) == (0, "")
    assert server.only.path == "/v1/chat/completions"
    assert server.only.json["model"] == "tiny:1b"
    assert "authorization" not in server.only.headers
    response = done.records[-2]["response"]
    assert (response["model"], response["provider"]) == ("local/tiny:1b", "local")
    assert texts(done.records)[-1] == ("assistant", "hello")


def test_the_next_turn_finds_the_model_of_the_last_reply_again(shell: Shell) -> None:
    with Server(reply("one"), reply("two")) as server:
        settle(shell, local(server))
        done = shell.run("llm-send -m local/tiny | llm-msg user more | llm-send", HI.encode())
    assert done.status == 0
    assert [request.json["model"] for request in server.requests] == ["tiny", "tiny"]


def test_an_alias_stands_for_a_model_and_the_stream_has_its_full_name(shell: Shell) -> None:
    with Server(reply("a")) as server:
        settle(shell, f'[aliases]\nquick = "fast"\nfast = "local/tiny"\n{local(server)}')
        done = shell.run("llm-send -m quick", HI.encode())
    assert done.records[-2]["response"]["model"] == "local/tiny"


def test_an_alias_may_stand_for_what_is_built_in(shell: Shell) -> None:
    settle(shell, '[aliases]\nparrot = "echo"\n')
    done = shell.run("llm-send -m parrot", HI.encode())
    assert done.records[-2]["response"]["model"] == "echo"


def test_aliases_that_lead_back_to_themselves_are_refused(shell: Shell) -> None:
    settle(shell, '[aliases]\na = "b"\nb = "a"\n')
    done = shell.run("llm-send -m a", HI.encode())
    assert (done.status, done.err.count("\n")) == (78, 1)
    assert "leads back to itself" in done.err


@pytest.mark.parametrize(
    ("options", "variable", "config", "model"),
    [
        ("-m local/asked", "local/variable", "local/settled", "asked"),
        ("", "local/variable", "local/settled", "variable"),
        ("", "", "local/settled", "settled"),
        ("", "", "fast", "aliased"),
    ],
)
def test_the_model_is_the_one_asked_for_else_of_the_variable_else_the_settled_one(
    shell: Shell, options: str, variable: str, config: str, model: str
) -> None:
    with Server(reply("a")) as server:
        settle(shell, f'default_model = "{config}"\n[aliases]\nfast = "local/aliased"\n{local(server)}')
        assert shell.run(f"llm-send {options}", HI.encode(), env={"LLMTOOLS_MODEL": variable}).status == 0
    assert server.only.json["model"] == model


def test_the_model_of_the_last_reply_comes_before_the_default(shell: Shell) -> None:
    settle(shell, 'default_model = "nosuch/thing"\n')
    done = shell.run("llm-msg user hi | llm-send -m echo | llm-msg user more | llm-send")
    assert done.status == 0


def test_without_any_model_there_is_advice(shell: Shell) -> None:
    done = shell.run("llm-send", HI.encode())
    assert (done.status, done.err.count("\n")) == (78, 1)
    assert "-m" in done.err and "LLMTOOLS_MODEL" in done.err and "llm-models default" in done.err


def test_the_options_of_a_model_by_a_bare_name(shell: Shell) -> None:
    settle(shell, '[models."gpt-4.1".options]\ntemperature = 0.2\n[models.nobody.options]\ntop_p = 0.5\n')
    done = shell.run("llm-send -m openai/gpt-4.1 --dry-run", HI.encode(), env={"OPENAI_API_KEY": "k"})
    assert done.status == 0, done.err
    body = json.loads(done.text)["body"]
    assert (body["temperature"], "top_p" in body) == (0.2, False)


@pytest.mark.parametrize("name", ["local/tiny", "fast", "faster"])
def test_the_options_of_a_model_are_defaults(shell: Shell, name: str) -> None:
    more = '[aliases]\nfast = "local/tiny"\nfaster = "fast"\n'
    more += f'[models."{name}".options]\ntemperature = 0.2\nmax_tokens = 5\n'
    with Server(reply("a"), reply("b")) as server:
        settle(shell, local(server, more))
        done = shell.run("llm-send -m fast -o max_tokens 7", HI.encode())
        shell.run("llm-send -m local/other", HI.encode())
    assert {key: server.requests[0].json[key] for key in ("temperature", "max_tokens")} == {
        "temperature": 0.2,
        "max_tokens": 7,
    }
    assert done.records[-2]["response"]["request"] == {"options": {"temperature": 0.2, "max_tokens": 7}}
    assert "temperature" not in server.requests[1].json


def test_headers_are_sent_and_shown_to_nobody(shell: Shell) -> None:
    with Server(reply("a")) as server:
        settle(shell, local(server, 'headers = { X-Team = "blue", X-Token = "canary-5" }\n'))
        dry = shell.run("llm-send -m local/tiny --dry-run", HI.encode())
        done = shell.run("llm-send -m local/tiny", HI.encode())
    assert (server.only.headers["x-team"], server.only.headers["x-token"]) == ("blue", "canary-5")
    assert "canary-5" not in dry.text + done.text + done.err
    assert '"X-Token":"***"' in dry.text


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf[aliases]\r\nfast = 'echo'\r\n", b"", b"# nothing\n"])
def test_a_byte_order_mark_and_other_line_ends_are_read(shell: Shell, text: bytes) -> None:
    settle(shell, text)
    assert shell.run("llm-models alias").text == ("fast\techo\n" if b"fast" in text else "")


# What is wrong in it


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('defualt_model = "echo"', 1, "defualt_model: 'defualt_model' is not known: perhaps default_model"),
        ("# one\n\ndefault_model = 7\n", 3, "default_model: must be a string"),
        ("[aliases]\na = 'echo'\nb = 3\n", 3, "aliases.b: must be a string"),
        ("[aliases]\n'a/b' = 'echo'\n", 2, 'aliases."a/b": the name'),
        ("[aliases]\necho = 'replay/x'\n", 2, "aliases.echo: the name"),
        ("[providers.x]\nbase_url = 'http://127.0.0.1/v1'\nkey_evn = 'X'\n", 3, "providers.x.key_evn: 'key_evn' is"),
        (
            "[providers.x]\nbase_url = 'http://127.0.0.1/v1'\nkey = 'sk-1'\n",
            3,
            "providers.x.key: 'key' is not known: a key must not",
        ),
        (
            "[providers.groq]\nprotocol = 'openai'\n",
            2,
            "providers.groq.protocol: 'openai' is not known: perhaps openai-chat",
        ),
        ("[providers.groq]\nkey_command = 'pass show x'\n", 2, "providers.groq.key_command: must be a list of strings"),
        ("[providers.groq]\nheaders = {a = 1}\n", 2, "providers.groq.headers: must be a table of strings"),
        ('[providers.groq]\nheaders = {a = "x\\ny"}\n', 2, "providers.groq.headers.a: is not a header"),
        (
            "[providers.groq]\nquirks = ['thinkng']\n",
            2,
            "providers.groq.quirks: 'thinkng' is not known: perhaps thinking",
        ),
        ("\n[providers.x]\nprotocol = 'anthropic'\n", 2, "providers.x: base_url is missing"),
        ("[providers.x]\nbase_url = 'nowhere'\n", 2, "providers.x.base_url: 'nowhere' is not a base URL"),
        ("[providers]\nx = 1\n", 2, "providers.x: must be a table"),
        ("\n[models.'a/b']\noption = {}\n", 3, "models.\"a/b\".option: 'option' is not known: perhaps options"),
        ("[models.'a/b']\noptions = 3\n", 2, 'models."a/b".options: must be a table'),
        ("[tools]\ngit = 'mcp:x'\n", 2, "tools.git: must be a list of strings"),
        ("[mcp.x]\nkey_env = 'A'\n", 1, "mcp.x: must be the URL of an MCP server"),
        (
            "[mcp.'https://x/mcp']\nkey = 'sk-1'\n",
            2,
            "mcp.\"https://x/mcp\".key: 'key' is not known: a key must not be",
        ),
        ("[mcp.'https://x/mcp']\nheaders = {a = 1}\n", 2, 'mcp."https://x/mcp".headers: must be a table of strings'),
        ("a = \n", 1, "Invalid value"),
        ("x = 1\nx = 2\n", 2, "Cannot overwrite a value"),
        ('[aliases]\n# é\nb = """\nx\n"""\nc = 1\n', 6, "aliases.c: must be a string"),
    ],
)
def test_a_wrong_setting_is_reported_with_its_line_and_key(shell: Shell, text: str, line: int, says: str) -> None:
    path = settle(shell, text)
    for command in ("llm-models alias", "llm-keys list", "llm-send -m openai/x"):
        done = shell.run(command, HI.encode())
        assert (done.status, done.err.count("\n")) == (78, 1), done
        assert f"{path} line {line}: {says}" in done.err
        assert "sk-1" not in done.err


def test_invalid_utf8_is_reported_with_its_line(shell: Shell) -> None:
    path = settle(shell, b"[aliases]\na = '\xff'\n")
    assert f"{path} line 2: invalid UTF-8" in shell.run("llm-models alias").err


def test_a_file_that_is_named_and_not_there_is_refused(shell: Shell) -> None:
    done = shell.run("llm-send -m openai/x", HI.encode(), env={"LLMTOOLS_CONFIG": "nowhere.toml"})
    assert (done.status, done.err.count("\n")) == (78, 1)
    assert "LLMTOOLS_CONFIG names nowhere.toml" in done.err


def test_a_file_that_may_not_be_read_is_refused(shell: Shell) -> None:
    settle(shell, "").unlink()
    settle(shell, "").parent.joinpath("config.toml").unlink()
    (shell.folder / ".config" / "llmtools" / "config.toml").mkdir()
    done = shell.run("llm-models alias")
    assert (done.status, done.err.count("\n")) == (78, 1)


# When it is read


def test_it_is_not_read_where_nothing_of_it_is_needed(shell: Shell) -> None:
    settle(shell, "this is no TOML")
    with Server(reply("a")) as server:
        assert shell.run("llm-msg user hi | llm-send -m echo | llm-parts").status == 0
        assert shell.run(f"llm-send --base-url {server.url} -m tiny", HI.encode()).status == 0
    assert shell.run("llm-send -m local/tiny", HI.encode()).status == 78


# How it is written


def test_the_first_setting_makes_file_and_folders_that_only_the_user_may_read(shell: Shell) -> None:
    assert shell.run("umask 000; llm-models default echo").status == 0
    path = shell.folder / ".config" / "llmtools" / "config.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    assert path.read_text() == 'default_model = "echo"\n'


def test_another_file_and_its_folders_are_made_where_they_are_named(shell: Shell) -> None:
    env = {"LLMTOOLS_CONFIG": "a/b/mine.toml"}
    assert shell.run("llm-models alias fast echo", env=env).status == 0
    assert shell.run("llm-models alias", env=env).text == "fast\techo\n"
    assert stat.S_IMODE((shell.folder / "a" / "b").stat().st_mode) == 0o700


MINE = """\
# My models.   Do not touch!
default_model   = 'echo'   # for tests

[aliases]   # short names
zeta = "echo"
# the quick one
fast = "echo"


[providers.local]
base_url = "http://127.0.0.1:9/v1"      # mine
headers = { "X-A" = "1",   "X-B" = "2" }

  [models."local/tiny".options]
  temperature = 2e-1
"""


def test_comments_and_layout_outlive_every_setting(shell: Shell) -> None:
    path = settle(shell, MINE)
    shell.run("llm-models alias fast local/tiny")
    assert path.read_text() == MINE.replace('fast = "echo"', 'fast = "local/tiny"')
    shell.run("llm-models alias new local/other; llm-models alias --rm zeta")
    lines = path.read_text().splitlines()
    assert set(MINE.splitlines()) - set(lines) == {'zeta = "echo"', 'fast = "echo"'}
    assert set(lines) - set(MINE.splitlines()) == {'fast = "local/tiny"', 'new = "local/other"'}
    shell.run("llm-models default local/tiny")
    assert "# for tests" in path.read_text()
    assert tomllib.loads(path.read_text())["default_model"] == "local/tiny"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "text",
    [
        "aliases = { fast = 'echo' }\n",
        "aliases.fast = 'echo'\n",
        "[models.'a/b'.options]\nx = 1\n",
        "[providers.x]\nbase_url = 'http://127.0.0.1/v1'\n",
        "# only words",
        "[aliases]",
        "",
    ],
)
def test_a_setting_goes_into_every_form_of_the_file(shell: Shell, text: str) -> None:
    path = settle(shell, text)
    before = tomllib.loads(text)
    assert shell.run("llm-models default echo && llm-models alias 'two.dots' echo").status == 0
    wanted = {**before, "default_model": "echo", "aliases": {**before.get("aliases", {}), "two.dots": "echo"}}
    assert tomllib.loads(path.read_text()) == wanted


def test_a_setting_keeps_the_mode_and_the_link_of_the_users_file(shell: Shell) -> None:
    real = shell.folder / "dotfiles" / "llm.toml"
    real.parent.mkdir()
    real.write_text("# mine\n")
    real.chmod(0o640)
    link = settle(shell, "")
    link.unlink()
    link.symlink_to(real)
    assert shell.run("llm-models default echo").status == 0
    assert link.is_symlink()
    assert real.read_text() == '# mine\ndefault_model = "echo"\n'
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_wrong_file_is_left_as_it_is(shell: Shell) -> None:
    path = settle(shell, "[alises]\n")
    assert shell.run("llm-models default echo").status == 78
    assert path.read_text() == "[alises]\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_reported(shell: Shell) -> None:
    path = settle(shell, "")
    path.parent.chmod(0o500)
    assert shell.run("llm-models default echo").status == 73


def test_a_folder_that_cannot_be_created_is_reported(shell: Shell) -> None:
    (shell.folder / ".config").write_text("a file")
    done = shell.run("llm-models default echo")
    assert (done.status, done.err.count("\n")) == (73, 1)


@pytest.mark.slow
def test_fifty_settings_at_once_are_all_there(shell: Shell) -> None:
    script = "for i in $(seq 50); do llm-models alias a$i echo & done; wait; llm-models alias | wc -l"
    done = shell.run(f"umask 000; {script}")
    assert (done.text.strip(), done.err) == ("50", "")
    path = shell.folder / ".config" / "llmtools" / "config.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("mode", "is_refused"), [(0o666, True), (0o602, True), (0o600, False), (0o644, False)])
def test_a_file_that_others_can_change_is_refused(shell: Shell, mode: int, is_refused: bool) -> None:
    path = shell.folder / "config.toml"
    path.write_text('[aliases]\nfast = "echo"\n')
    path.chmod(mode)
    env = {"LLMTOOLS_CONFIG": str(path)}
    for command in ("llm-msg -n user hi | llm-send -m fast", "llm-models alias slow echo"):
        done = shell.run(command, env=env)
        assert (done.status, "config.toml can be changed by others" in done.err) == (
            (78, True) if is_refused else (0, False)
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(shell: Shell) -> None:
    path = shell.folder / "config.toml"
    path.write_text("")
    os.chown(path, 12345, 12345)
    done = shell.run("llm-models default", env={"LLMTOOLS_CONFIG": str(path)})
    assert (done.status, "config.toml belongs to another user" in done.err) == (78, True)
