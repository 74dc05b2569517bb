"""llm-models: lists of all providers at once, as they are written, kept and searched; what is
known of a model; the default and the aliases."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmtools.providers import lists as models
from llmtools.providers.catalogue import PROVIDERS
from llmtools.providers.config import Config
from llmtools.providers.prices import with_prices
from support import llamacpp, llamacpp_model
from support.configs import HI, settle
from support.harness import Done, Shell
from support.paths import RECORDINGS
from support.server import FIN, Answer, Server, closed_port, head, whole

KEY = "canary-key-0ddba115"
LISTS = RECORDINGS / "models"
LIST = {"object": "list", "data": [{"id": "tiny", "object": "model"}, {"id": "big", "context_length": 4096}]}


def listed(server: Server, name: str = "local", more: str = "") -> str:
    return f'[providers.{name}]\nbase_url = "{server.url}"\n{more}'


def refused(done: Done, status: int) -> str:
    assert (done.status, done.err.count("\n")) == (status, 1), done
    assert KEY not in done.err + done.text
    return done.err


# Asking for them


def test_names_go_out_one_a_line(shell: Shell) -> None:
    with Server(whole(200, LIST)) as server:
        settle(shell, listed(server))
        done = shell.run("llm-models local/")
    assert (done.status, done.text, done.err) == (0, "local/big\nlocal/tiny\n", "")
    assert server.only.line == "GET /v1/models HTTP/1.1"


@pytest.mark.slow
def test_twelve_at_once_one_hanging_and_one_failing(shell: Shell) -> None:
    servers = [Server(whole(200, {"data": [{"id": f"m{number}"}]})) for number in range(10)]
    hanging, failing = Server([60.0]), Server(whole(503, {"error": {"message": "down"}}))
    everyone = [*servers, hanging, failing]
    for server in everyone:
        server.__enter__()
    try:
        settle(shell, "\n".join(listed(server, f"zz{number}") for number, server in enumerate(everyone)))
        done = shell.run("timeout -s KILL 30 llm-models --timeout 3 zz")
    finally:
        for server in everyone:
            server.__exit__()
    assert done.status == 0
    assert done.text.split() == [f"zz{number}/m{number}" for number in range(10)]
    assert done.err == "llm-models: zz10: no list came within 3 s\nllm-models: zz11: down\n"
    assert [len(server.requests) for server in everyone] == [1] * 12


def test_a_list_that_drips_is_left(shell: Shell) -> None:
    drip: list[Any] = [head(content_type="application/json")]
    for _ in range(100):
        drip += [b" ", 0.2]
    with Server(drip) as server:
        settle(shell, listed(server))
        done = shell.run("timeout -s KILL 20 llm-models --timeout 1 local/")
    assert "local: " in refused(done, 75)


@pytest.mark.parametrize(
    ("name", "variable", "header", "path"),
    [
        ("openai", "OPENAI_API_KEY", "authorization", "/v1/models"),
        ("anthropic", "ANTHROPIC_API_KEY", "x-api-key", "/v1/models?limit=1000"),
        ("gemini", "GEMINI_API_KEY", "x-goog-api-key", "/v1/models?pageSize=1000"),
        ("interactions", "GEMINI_API_KEY", "x-goog-api-key", "/v1/models?pageSize=1000"),
        ("ollama", "", "", "/api/tags"),
        ("github", "GITHUB_TOKEN", "authorization", "/catalog/models"),
    ],
)
def test_each_kind_of_list_is_asked_where_it_is(shell: Shell, name: str, variable: str, header: str, path: str) -> None:
    with Server(whole(200, {"models": [{"name": "m"}]} if name == "ollama" else {"data": [{"id": "m"}]})) as server:
        base = server.origin if name in ("anthropic", "ollama") else server.url
        settle(shell, f'[providers.{name}]\nbase_url = "{base}"\n')
        done = shell.run(f"llm-models {name}/", env={variable: KEY} if variable else {})
    assert (done.status, done.text) == (0, f"{name}/m\n"), done
    assert server.only.path == path
    assert not header or server.only.headers[header].endswith(KEY)
    assert (server.only.headers.get("anthropic-version") is not None) == (name == "anthropic")


@pytest.mark.parametrize(
    ("name", "first", "second", "query"),
    [
        ("anthropic", {"data": [{"id": "a"}], "has_more": True, "last_id": "a b"}, {"data": [{"id": "b"}]},
         "after_id=a+b"),
        ("gemini", {"models": [{"name": "models/a"}], "nextPageToken": "t&1"}, {"models": [{"name": "models/b"}]},
         "pageToken=t%261"),
    ],
)  # fmt: skip
def test_a_list_in_pages_is_read_to_its_end(shell: Shell, name: str, first: Any, second: Any, query: str) -> None:
    with Server(whole(200, first), whole(200, second)) as server:
        settle(shell, f'[providers.{name}]\nbase_url = "{server.origin}"\n')
        done = shell.run(f"llm-models {name}/", env={"ANTHROPIC_API_KEY": KEY, "GEMINI_API_KEY": KEY})
    assert done.text == f"{name}/a\n{name}/b\n"
    assert server.requests[1].path.endswith(f"&{query}")


def test_a_bare_name_in_the_lists_of_twins_means_the_first(shell: Shell) -> None:
    """gemini and interactions have the same models: `gemma-3` alone is that of gemini, as it was before."""
    listed = whole(200, {"models": [{"name": "models/gemma-3"}]})
    env = {"GEMINI_API_KEY": KEY}
    with Server(listed, listed) as server:
        both = "".join(f'[providers.{name}]\nbase_url = "{server.origin}"\n' for name in ("gemini", "interactions"))
        settle(shell, both)
        assert shell.run("llm-models gem inter", env=env).status == 0
        shown = shell.run("llm-send -m gemma-3 --dry-run", HI.encode(), env=env)
    assert "/models/gemma-3:streamGenerateContent" in json.loads(shown.text)["url"], shown


def test_pages_without_end_come_to_one(shell: Shell) -> None:
    page = whole(200, {"data": [{"id": "a"}], "has_more": True, "last_id": "a"})
    with Server(*[page for _ in range(100)]) as server:
        settle(shell, listed(server))
        assert shell.run("llm-models local/").status == 0
    assert len(server.requests) == models.MAX_PAGES


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (whole(401, {"error": {"message": f"bad key {KEY}", "code": "invalid_api_key"}}), 77, "bad key ***"),
        (whole(404, {"error": "nothing here"}), 78, "nothing here"),
        (whole(200, b"<html>"), 76, "not JSON"),
        (whole(200, {"hello": 1}), 76, "an unknown form"),
        ([head(302, location="http://127.0.0.1:1/v1/models", content_length=0)], 76, ""),
        ([FIN], 69, ""),
    ],
)
def test_a_list_that_cannot_be_had_is_one_line(shell: Shell, answer: Any, status: int, says: str) -> None:
    with Server(answer) as server:
        settle(shell, listed(server, more='key_env = "MINE"\n'))
        done = shell.run("llm-models local/", env={"MINE": KEY})
    assert says in refused(done, done.status if says == "" else status)
    assert done.status != 0


@pytest.mark.parametrize("file", ["anthropic", "deepseek", "groq_get_openai", "mistral", "openai"])
def test_a_recorded_refusal(shell: Shell, file: str) -> None:
    found = list(LISTS.glob(f"rig__{file}*_401.json"))
    if not found:
        pytest.skip("the recordings are not here")
    with Server(whole(401, found[0].read_bytes())) as server:
        settle(shell, listed(server))
        assert refused(shell.run("llm-models local/"), 77).startswith("llm-models: local: ")


def test_a_redirect_gets_no_key(shell: Shell) -> None:
    with Server() as elsewhere:
        moved: Answer = [head(302, location=f"{elsewhere.url}/models", content_length=0)]
        with Server(moved) as server:
            settle(shell, listed(server, more='key_env = "MINE"\n'))
            assert shell.run("llm-models local/", env={"MINE": KEY}).status != 0
    assert elsewhere.connections == 0


def test_without_keys_and_servers_there_is_advice(shell: Shell) -> None:
    settle(shell, f'[providers.ollama]\nbase_url = "http://127.0.0.1:{closed_port()}"\n')
    done = shell.run("llm-models ollama/")
    assert "ollama: " in refused(done, 69)


def test_a_provider_without_a_list_or_a_key_says_so(shell: Shell) -> None:
    assert "no list of its models" in refused(shell.run("llm-models perplexity/", env={"PERPLEXITY_API_KEY": KEY}), 78)
    assert "set GROQ_API_KEY" in refused(shell.run("llm-models groq/"), 78)


# Servers on their usual ports


LOCALS = ["ollama", "lmstudio", "llamacpp", "vllm"]


@pytest.mark.parametrize(
    ("name", "body", "found"),
    [
        ("llamacpp", {"data": [{"id": "m", "owned_by": "llamacpp"}]}, ["llamacpp/m"]),
        ("llamacpp", {"data": [{"id": "m", "owned_by": "somebody"}]}, []),
        ("llamacpp", {"hello": "world"}, []),
        ("ollama", {"models": [{"name": "qwen3:8b", "model": "qwen3:8b", "size": 1}]}, ["ollama/qwen3:8b"]),
        ("lmstudio", {"data": [{"id": "qwen3", "object": "model", "owned_by": "me"}]}, ["lmstudio/qwen3"]),
        ("vllm", {"data": [{"id": "q/m", "owned_by": "vllm", "max_model_len": 9}]}, ["vllm/q/m"]),
    ],
)
def test_a_server_on_its_usual_port_must_be_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, body: Any, found: list[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Server(whole(200, body)) as server:
        for other in LOCALS:
            base_url = server.url if other == name else f"http://127.0.0.1:{closed_port()}"
            monkeypatch.setitem(PROVIDERS, other, replace(PROVIDERS[other], base_url=base_url))
        monkeypatch.setattr(models, "candidates", lambda config: LOCALS)
        listings = models.load_listings(Config())
        assert server.only.line.startswith("GET ")
    assert [listing.failure for listing in listings] == [None] * 4
    assert [model["name"] for listing in listings for model in listing.models] == found


def test_a_server_that_the_user_says_is_there_and_is_not_has_failed(shell: Shell) -> None:
    done = shell.run("llm-models zzz", env={"OLLAMA_HOST": f"127.0.0.1:{closed_port()}"})
    assert done.status != 0
    assert "llm-models: ollama: " in done.err


def test_a_real_llama_cpp_is_listed_and_asked(shell: Shell, tmp_path: Path) -> None:
    llamacpp.require()
    llamacpp_model.write(tmp_path / "tiny.gguf")
    with closing(llamacpp.Server(tmp_path / "tiny.gguf", tmp_path)) as server:
        settle(shell, f'[providers.llamacpp]\nbase_url = "{server.url}"\n')
        env = {"LLAMA_API_KEY": llamacpp.KEY}
        listed = shell.run("llm-models --json llamacpp/", env=env)
        sent = shell.run("llm-send -m tiny", HI.encode(), env=env)
    shown = json.loads(listed.text)
    assert (shown["name"], shown["context"]) == ("llamacpp/tiny", llamacpp_model.CONTEXT)
    assert (sent.status, sent.err) == (0, "")
    assert sent.records[-2]["response"]["model"] == "llamacpp/tiny"


# What is kept


def cache(shell: Shell) -> Path:
    return shell.folder / ".cache" / "llmtools" / "models" / "local.json"


def test_a_list_is_kept_for_a_day(shell: Shell) -> None:
    with Server(whole(200, LIST), whole(200, LIST), whole(200, LIST)) as server:
        settle(shell, listed(server))
        for _ in range(2):
            assert shell.run("umask 000; llm-models local/").text == "local/big\nlocal/tiny\n"
        assert len(server.requests) == 1
        assert stat.S_IMODE(cache(shell).stat().st_mode) == 0o600
        assert stat.S_IMODE(cache(shell).parent.stat().st_mode) == 0o700
        assert shell.run("llm-models --refresh local/").status == 0
        assert len(server.requests) == 2
        said = json.loads(cache(shell).read_bytes())
        cache(shell).write_text(json.dumps({**said, "fetched": said["fetched"] - 25 * 3600}))
        assert shell.run("llm-models local/").status == 0
        assert len(server.requests) == 3


def test_an_earlier_list_stands_in_for_one_that_cannot_be_had(shell: Shell) -> None:
    with Server(whole(200, LIST), whole(503, {"error": "down"})) as server:
        settle(shell, listed(server))
        shell.run("llm-models local/")
        done = shell.run("llm-models --refresh local")
    assert (done.status, done.text) == (0, "local/big\nlocal/tiny\n")
    day = time.strftime("%Y-%m-%d")
    assert done.err == f"llm-models: local: down (its list of {day} is shown)\n"


def test_the_list_of_another_address_is_another_list(shell: Shell) -> None:
    with Server(whole(200, LIST)) as one, Server(whole(200, {"data": [{"id": "new"}]})) as two:
        settle(shell, listed(one))
        shell.run("llm-models local/")
        settle(shell, listed(two))
        assert shell.run("llm-models local/").text == "local/new\n"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"fetched":1}', '{"fetched":"x","models":[{"name":1}],"base_url":""}']
)
def test_a_broken_cached_list_is_ignored(shell: Shell, text: str) -> None:
    cache(shell).parent.mkdir(parents=True)
    cache(shell).write_text(text)
    with Server(whole(200, LIST)) as server:
        settle(shell, listed(server))
        assert shell.run("llm-models local/").text == "local/big\nlocal/tiny\n"
        assert shell.run("llm-send -m nosuch", HI.encode()).status == 78


def test_a_cache_that_cannot_be_written_is_no_failure(shell: Shell) -> None:
    (shell.folder / ".cache").write_text("a file")
    with Server(whole(200, LIST)) as server:
        settle(shell, listed(server))
        done = shell.run("llm-models local/")
    assert (done.status, done.err) == (0, "")


# What is shown


PER_TOKEN = {"prompt": "0.000001", "completion": "0.000002"}
RICH = {
    "data": [
        {"id": "a/chat", "name": "The Chat One", "context_length": 1000, "pricing": PER_TOKEN},
        {"id": "text-embedding-9"},
        {"id": "b/other"},
    ]
}  # fmt: skip


def rich(shell: Shell, script: str) -> Done:
    with Server(whole(200, RICH)) as server:
        settle(shell, f'[aliases]\nfast = "local/a/chat"\n[models.fast.options]\ntop_p = 0.5\n{listed(server)}')
        return shell.run(script)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", ["local/a/chat", "local/b/other"]),
        ("-a", ["local/a/chat", "local/b/other", "local/text-embedding-9"]),
        ("CHAT", ["local/a/chat"]),
        ("chat one", ["local/a/chat"]),
        ("list other", ["local/b/other"]),
        ("local/ b", ["local/b/other"]),
    ],
)
def test_words_select(shell: Shell, words: str, found: list[str]) -> None:
    done = rich(shell, f"llm-models {words}")
    assert [line for line in done.text.split() if line.startswith("local/")] == found


def test_words_that_nothing_has(shell: Shell) -> None:
    done = rich(shell, "llm-models nothing like it")
    assert (done.status, done.text) == (1, "")
    assert "no model has nothing and like and it in its name" in done.err


def test_the_long_form_is_a_table(shell: Shell) -> None:
    lines = rich(shell, "llm-models -l local/").text.splitlines()
    assert [line.split() for line in lines] == [
        ["MODEL", "CONTEXT", "MAX_OUTPUT", "INPUT", "OUTPUT"],
        ["local/a/chat", "1000", "-", "1", "2"],
        ["local/b/other", "-", "-", "-", "-"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_json_has_all_that_is_known(shell: Shell) -> None:
    lines = [json.loads(line) for line in rich(shell, "llm-models --json local/").text.splitlines()]
    assert lines[0] == {
        "name": "local/a/chat",
        "provider": "local",
        "id": "a/chat",
        "title": "The Chat One",
        "context": 1000,
        "prices": {"input": 1.0, "output": 2.0},
    }


def test_show_prints_what_is_known_of_a_model(shell: Shell) -> None:
    done = rich(shell, "llm-models show fast --json")
    shown = json.loads(done.text)
    assert (shown["name"], shown["context"], shown["aliases"], shown["options"], shown["protocol"]) == (
        "local/a/chat",
        1000,
        ["fast"],
        {"top_p": 0.5},
        "openai-chat",
    )
    lines = rich(shell, "llm-models show local/a/chat").text.splitlines()
    assert {"name: local/a/chat", "prices.input: 1", 'aliases: ["fast"]', "options.top_p: 0.5"} <= set(lines)


def test_show_of_a_model_that_the_list_has_not(shell: Shell) -> None:
    assert "perhaps a/chat" in refused(rich(shell, "llm-models show local/a/cat"), 78)


def test_show_of_what_has_no_list(shell: Shell) -> None:
    assert shell.run("llm-models show perplexity/sonar").text.startswith("name: perplexity/sonar\n")
    assert shell.run("llm-models show echo").text == "name: echo\nprovider: echo\n"


# The default and the aliases


def test_the_default_is_set_shown_and_taken_away(shell: Shell) -> None:
    assert "llm-models default MODEL" in refused(shell.run("llm-models default"), 78)
    assert shell.run("llm-models default echo").text == ""
    assert shell.run("llm-models default").text == "echo\n"
    assert shell.run("llm-msg user hi | llm-send | llm-parts").text == "hi\n"
    assert shell.run("LLMTOOLS_MODEL=other llm-models default").text == "other\n"
    assert shell.run("llm-models default --rm && llm-models default").status == 78


def test_an_alias_is_set_shown_used_and_taken_away(shell: Shell) -> None:
    assert shell.run("llm-models alias fast openai/gpt-5.5 && llm-models alias smart claude-x").status == 0
    assert shell.run("llm-models alias").text == "fast\topenai/gpt-5.5\nsmart\tclaude-x\n"
    assert shell.run("llm-models alias smart").text == "claude-x\n"
    assert shell.run("llm-models alias --rm fast && llm-models alias").text == "smart\tclaude-x\n"
    assert "perhaps smart" in refused(shell.run("llm-models alias smat"), 78)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ("alias fast opnai/x", 78, "perhaps openai/x"),
        ("default nosuch", 78, "no model is named"),
        ("alias a a", 78, "leads back to itself"),
        ("alias a/b echo", 78, "the name"),
        ("alias echo replay/x", 78, "the name"),
        ("default a b", 2, "no more than 1"),
        ("alias a b c", 2, "no more than 2"),
        ("show", 2, "show needs a MODEL"),
        ("show --rm x", 2, "--rm goes with"),
        ("--timeout 0", 2, "--timeout"),
        ("alias >&-", 74, "stdout is closed"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    shell: Shell, arguments: str, status: int, says: str
) -> None:
    assert says in refused(shell.run(f"llm-models {arguments}"), status)
    assert not (shell.folder / ".config" / "llmtools" / "config.toml").exists()


# Prices from elsewhere


def stub_prices(shell: Shell, code: str) -> dict[str, str]:
    folder = shell.folder / "stub" / "genai_prices"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "data_snapshot.py").write_text(code)
    return {"PYTHONPATH": str(folder.parent)}


@pytest.mark.parametrize("code", ["raise ImportError('not here')", "x = 1", "def get_snapshot(): return None"])
def test_without_genai_prices_there_are_no_prices(shell: Shell, code: str) -> None:
    done = shell.run("llm-models show --json perplexity/sonar", env=stub_prices(shell, code))
    assert (done.status, done.err) == (0, "")
    assert "prices" not in json.loads(done.text)


def test_genai_prices_fills_what_the_list_leaves_open(shell: Shell) -> None:
    pytest.importorskip("genai_prices")
    shown = json.loads(shell.run("llm-models show --json perplexity/sonar").text)
    assert shown["prices_from"] == "genai-prices"
    assert shown["prices"]["input"] > 0
    model = {"name": "openai/gpt-5.5", "provider": "openai", "id": "gpt-5.5", "context": 7, "prices": {"input": 1.0}}
    assert with_prices(model) == model, "what the provider says stands"
    unknown = {"name": "openai/nope", "provider": "openai", "id": "nope"}
    assert with_prices(unknown) == unknown


# Signals, and many at once


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_a_list(shell: Shell, number: int) -> None:
    with Server([60.0]) as server:
        settle(shell, listed(server))
        process = shell.start("exec llm-models --timeout 50 local/")
        server.wait_for_request()
        os.kill(process.pid, number)
        assert process.wait(20) == -number


def test_a_reader_that_leaves_ends_the_wait_for_a_list(shell: Shell) -> None:
    with Server([60.0]) as server:
        settle(shell, listed(server))
        _, statuses = shell.statuses("llm-models --timeout 50 local/ | true")
    assert statuses[0] == 141


OLLAMA = {"model": "x", "message": {"role": "assistant", "content": "a"}, "done": True, "done_reason": "stop"}


@pytest.mark.slow
def test_many_at_once_with_nothing_kept_and_nothing_configured(shell: Shell) -> None:
    count = 50
    lists = Server(*[whole(200, {"models": [{"name": "m"}]})] * count)
    replies = Server(*[whole(200, OLLAMA, content_type="application/x-ndjson")] * count, backlog=64)
    (shell.folder / "in").write_text(HI)
    with lists, replies:
        script = f"""umask 000
        for i in $(seq {count}); do
            OLLAMA_HOST=127.0.0.1:{replies.port} llm-send -m ollama/x < in > out.$i 2>> errors &
            llm-models alias a$i ollama/x 2>> errors &
            [ $((i % 5)) != 0 ] || OLLAMA_HOST=127.0.0.1:{lists.port} llm-models ollama/ >> names 2>> errors &
        done; wait"""
        shell.run(script)
        aliases = shell.run("llm-models alias")
    assert (shell.folder / "errors").read_text() == ""
    assert len(replies.requests) == count
    for number in range(1, count + 1):
        assert '"status":"ok"' in (shell.folder / f"out.{number}").read_text()
    assert aliases.text.count("\n") == count
    assert (shell.folder / "names").read_text() == "ollama/m\n" * (count // 5)
    kept = [path for path in (shell.folder / ".config", shell.folder / ".cache") for path in path.rglob("*")]
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_file()}
    assert files == {"config.toml": 0o600, "ollama.json": 0o600}, "no leftovers, and nobody else's to read"
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_dir()} == {0o700}
