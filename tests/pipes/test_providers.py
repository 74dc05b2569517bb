"""Providers: where each is asked, with which headers and in which dialect; names of models to
providers; and where their keys go."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import Any

import pytest

from llmtools.providers.catalogue import PROVIDERS
from support.configs import HI, local, settle
from support.harness import LIMIT, Done, Shell
from support.server import Server, closed_port, reply, whole

KEY = "canary-key-51c0ffee"
REFUSED = whole(400, {"error": {"message": "seen"}})
ASKED = "-o max_tokens 5 -o seed 3 --reasoning low --tool-choice required --schema 'a int'"
TOOL = '{"type":"tool","name":"add","description":"Adds","input_schema":{"type":"object","properties":{}}}\n'
MORE = {
    "azure": {"AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com"},
    "vertex": {"GOOGLE_CLOUD_PROJECT": "proj-1"},
}

CHAT, BEARER = "/chat/completions", ("authorization", "Bearer ")
OPENAI = {"openai-chat": CHAT, "openai-responses": "/responses"}[PROVIDERS["openai"].protocol]
VERTEX = "/v1beta1/projects/proj-1/locations/global/publishers/google"
STREAM = ":streamGenerateContent?alt=sse"

# provider: (model, the URL of a request, the variable of its key, the header that carries it)
WHERE: dict[str, tuple[str, str, str, tuple[str, str]]] = {
    "openai": ("gpt-5.5", f"https://api.openai.com/v1{OPENAI}", "OPENAI_API_KEY", BEARER),
    "anthropic": ("claude-x", "https://api.anthropic.com/v1/messages", "ANTHROPIC_API_KEY", ("x-api-key", "")),
    "gemini": ("g-3", f"https://generativelanguage.googleapis.com/v1beta/models/g-3{STREAM}", "GEMINI_API_KEY",
               ("x-goog-api-key", "")),
    "interactions": ("g-3", "https://generativelanguage.googleapis.com/v1beta/interactions", "GEMINI_API_KEY",
                     ("x-goog-api-key", "")),
    "vertex": ("g-3", f"https://aiplatform.googleapis.com{VERTEX}/models/g-3{STREAM}", "GOOGLE_OAUTH_ACCESS_TOKEN",
               BEARER),
    "azure": ("dep", f"https://mine.openai.azure.com/openai/v1{CHAT}", "AZURE_OPENAI_API_KEY", ("api-key", "")),
    "ollama": ("qwen3:4b", "http://127.0.0.1:11434/api/chat", "", BEARER),
    "openrouter": ("a/b:free", f"https://openrouter.ai/api/v1{CHAT}", "OPENROUTER_API_KEY", BEARER),
    "mistral": ("m", f"https://api.mistral.ai/v1{CHAT}", "MISTRAL_API_KEY", BEARER),
    "deepseek": ("m", f"https://api.deepseek.com{CHAT}", "DEEPSEEK_API_KEY", BEARER),
    "xai": ("grok-4.5", "https://api.x.ai/v1/responses", "XAI_API_KEY", BEARER),
    "groq": ("m", f"https://api.groq.com/openai/v1{CHAT}", "GROQ_API_KEY", BEARER),
    "together": ("a/b", f"https://api.together.xyz/v1{CHAT}", "TOGETHER_API_KEY", BEARER),
    "fireworks": ("accounts/f/models/m", f"https://api.fireworks.ai/inference/v1{CHAT}", "FIREWORKS_API_KEY", BEARER),
    "cerebras": ("m", f"https://api.cerebras.ai/v1{CHAT}", "CEREBRAS_API_KEY", BEARER),
    "perplexity": ("sonar", f"https://api.perplexity.ai{CHAT}", "PERPLEXITY_API_KEY", BEARER),
    "huggingface": ("a/b", f"https://router.huggingface.co/v1{CHAT}", "HF_TOKEN", BEARER),
    "github": ("openai/gpt-4.1", f"https://models.github.ai/inference{CHAT}", "GITHUB_TOKEN", BEARER),
    "nvidia": ("a/b", f"https://integrate.api.nvidia.com/v1{CHAT}", "NVIDIA_API_KEY", BEARER),
    "moonshot": ("kimi-k2.6", f"https://api.moonshot.ai/v1{CHAT}", "MOONSHOT_API_KEY", BEARER),
    "zai": ("glm-5", f"https://api.z.ai/api/paas/v4{CHAT}", "ZAI_API_KEY", BEARER),
    "alibaba": ("qwen3-max", f"https://dashscope-intl.aliyuncs.com/compatible-mode/v1{CHAT}", "DASHSCOPE_API_KEY",
                BEARER),
    "lmstudio": ("m", f"http://127.0.0.1:1234/v1{CHAT}", "LMSTUDIO_API_KEY", BEARER),
    "llamacpp": ("m", f"http://127.0.0.1:8080/v1{CHAT}", "LLAMA_API_KEY", BEARER),
    "vllm": ("m", f"http://127.0.0.1:8000/v1{CHAT}", "VLLM_API_KEY", BEARER),
}  # fmt: skip

LOW, FORCED = {"reasoning_effort": "low"}, {"tool_choice": "required"}
PLAIN = {"max_tokens": 5, "seed": 3, **LOW, **FORCED}
ON = {"thinking": {"type": "enabled"}, **LOW}
TEMPLATE = {"max_tokens": 5, "seed": 3, **FORCED, "chat_template_kwargs": {"enable_thinking": True}}
OBJECT = {"response_format": {"type": "json_object"}}
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
EFFORT: Any = {"effort": "low", "format": {"type": "json_schema", "schema": CLOSED}}
GOOGLE = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}

# provider: what its body must say, where that is not what most are told
DIALECT: dict[str, dict[str, Any]] = {
    "openai": {"model": "gpt-5.5", "max_output_tokens": 5, "stream": True},
    "anthropic": {"max_tokens": 5, "tool_choice": {"type": "any"}, "output_config": EFFORT},
    "gemini": GOOGLE,
    "interactions": {"input": [{"type": "user_input", "content": [{"type": "text", "text": "hi"}]}], "store": False},
    "vertex": GOOGLE,
    "azure": {"max_completion_tokens": 5, "seed": 3, **LOW, **FORCED},
    "ollama": {"options": {"num_predict": 5, "seed": 3}, "think": "low"},
    "openrouter": {"max_tokens": 5, "reasoning": {"effort": "low"}},
    "mistral": {"random_seed": 3, "tool_choice": "any", **LOW},
    "deepseek": {"max_tokens": 5, **ON, **OBJECT},
    "xai": {"max_output_tokens": 5, "reasoning": {"effort": "low", "summary": "auto"}, "store": False, **FORCED},
    "moonshot": {"max_completion_tokens": 5, **ON},
    "zai": {"max_tokens": 5, **ON, **OBJECT},
    "alibaba": {"max_tokens": 5, "enable_thinking": True},
    "llamacpp": TEMPLATE,
    "vllm": TEMPLATE,
}  # fmt: skip


def environment(name: str) -> dict[str, str]:
    variable = WHERE[name][2]
    return {**MORE.get(name, {}), **({variable: KEY} if variable else {})}


def dry(shell: Shell, model: str, **env: str) -> dict[str, Any]:
    """Return the request that would be sent."""
    done = shell.run(f"llm-send -m '{model}' --dry-run", HI.encode(), env=env)
    assert (done.status, done.err) == (0, ""), done
    shown: dict[str, Any] = json.loads(done.text)
    return shown


def test_every_provider_of_the_catalogue_is_tested() -> None:
    assert WHERE.keys() == PROVIDERS.keys()
    assert len(PROVIDERS) >= 25


@pytest.mark.parametrize("name", WHERE)
def test_a_provider_is_asked_at_its_own_address(shell: Shell, name: str) -> None:
    model, url, variable, (header, _) = WHERE[name]
    shown = dry(shell, f"{name}/{model}", **environment(name))
    assert shown["url"] == url
    assert (header in shown["headers"]) == bool(variable)


@pytest.mark.parametrize("name", WHERE)
def test_the_request_to_a_provider_has_its_path_headers_and_dialect(shell: Shell, name: str) -> None:
    model, url, variable, (header, before) = WHERE[name]
    path = re.sub(r"^https?://[^/]*", "", url)
    with Server(REFUSED) as server:
        base = re.sub(r"^https?://[^/]*", server.origin, PROVIDERS[name].base_url)
        base = server.origin if name in ("azure", "vertex") else base
        settle(shell, f'[providers.{name}]\nbase_url = "{base}"\n')
        env = {key: value for key, value in environment(name).items() if key != "AZURE_OPENAI_ENDPOINT"}
        done = shell.run(f"llm-send -m '{name}/{model}' {ASKED}", (TOOL + HI).encode(), env=env)
    assert done.status == 65, done
    sent = server.only
    assert sent.path == path
    if variable:
        assert sent.headers[header] == before + KEY
    keys = [name for name in ("authorization", "x-api-key", "x-goog-api-key", "api-key") if name in sent.headers]
    assert keys == ([header] if variable else [])
    assert KEY not in sent.line + sent.body.decode()
    said = DIALECT.get(name, PLAIN)
    assert {field: sent.json.get(field) for field in said} == said
    if PROVIDERS[name].protocol not in ("gemini",):
        assert sent.json["model"] == model
    if name == "anthropic":
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", sent.headers["anthropic-version"])
    if PROVIDERS[name].protocol == "openai-chat":
        assert ("stream_options" in sent.json) == (name != "mistral")
    if PROVIDERS[name].protocol == "gemini":
        assert sent.json["generationConfig"]["maxOutputTokens"] == 5
    assert done.err.startswith("llm-send: ") and KEY not in done.err + done.text


def test_what_a_provider_signs_is_kept_under_its_name(shell: Shell) -> None:
    with Server(reply("a")) as server:
        settle(shell, f'[providers.groq]\nbase_url = "{server.url}"\n')
        done = shell.run("llm-send -m groq/m", HI.encode(), env={"GROQ_API_KEY": KEY})
    assert done.records[-2]["response"]["provider"] == "groq"
    assert done.records[-1]["details"].keys() == {"groq"}
    assert server.only.headers["authorization"] == f"Bearer {KEY}"


# Addresses


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, "https://m.openai.azure.com/openai/v1/chat/completions"),
        (
            {"OPENAI_API_VERSION": "preview"},
            "https://m.openai.azure.com/openai/v1/chat/completions?api-version=preview",
        ),
        (
            {"OPENAI_API_VERSION": "2024-10-21"},
            "https://m.openai.azure.com/openai/deployments/my%20dep/chat/completions?api-version=2024-10-21",
        ),
    ],
)
@pytest.mark.parametrize("end", ["", "/", "/openai", "/openai/v1/"])
def test_azure_has_deployments_where_a_version_is_named(shell: Shell, env: dict[str, str], url: str, end: str) -> None:
    named = {"AZURE_OPENAI_ENDPOINT": f"https://m.openai.azure.com{end}", "AZURE_OPENAI_API_KEY": KEY}
    shown = dry(shell, "azure/my dep", **named, **env)
    assert shown["url"] == url
    assert shown["headers"]["api-key"] == "***"


def test_azures_version_may_stand_in_the_configuration(shell: Shell) -> None:
    with Server(REFUSED) as server:
        settle(shell, f'[providers.azure]\nbase_url = "{server.origin}"\napi_version = "2024-10-21"\n')
        shell.run("llm-send -m azure/dep", HI.encode(), env={"AZURE_OPENAI_API_KEY": KEY})
    assert server.only.path == "/openai/deployments/dep/chat/completions?api-version=2024-10-21"
    assert server.only.headers["api-key"] == KEY


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("", "aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("europe-west1", "europe-west1-aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_vertex_has_project_and_location_in_its_address(shell: Shell, location: str, host: str) -> None:
    env = {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": location, "GOOGLE_OAUTH_ACCESS_TOKEN": KEY}
    shown = dry(shell, "vertex/gemini-3-flash", **env)
    place = f"projects/p/locations/{location or 'global'}/publishers/google"
    assert shown["url"] == f"https://{host}/v1beta1/{place}/models/gemini-3-flash{STREAM}"
    assert shown["headers"]["authorization"] == "Bearer ***"


@pytest.mark.parametrize(
    ("model", "says"), [("azure/x", "AZURE_OPENAI_ENDPOINT"), ("vertex/x", "GOOGLE_CLOUD_PROJECT")]
)
def test_an_address_that_is_not_known_is_asked_for(shell: Shell, model: str, says: str) -> None:
    env = {"AZURE_OPENAI_API_KEY": KEY, "GOOGLE_OAUTH_ACCESS_TOKEN": KEY}
    done = shell.run(f"llm-send -m {model}", HI.encode(), env=env)
    assert (done.status, done.err.count("\n")) == (78, 1)
    assert says in done.err


@pytest.mark.parametrize(
    ("named", "base"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8765", "http://127.0.0.1:8765"),
        (":8765", "http://127.0.0.1:8765"),
        ("box", "http://box:11434"),
        ("box:8765/", "http://box:8765"),
        ("http://box", "http://box:80"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("[::1]:8765", "http://[::1]:8765"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(shell: Shell, named: str, base: str) -> None:
    assert dry(shell, "ollama/x", OLLAMA_HOST=named)["url"] == f"{base}/api/chat"


@pytest.mark.parametrize(
    ("variable", "value", "model", "url"),
    [
        ("OPENAI_BASE_URL", "https://proxy.example/v1/", "openai/x", f"https://proxy.example/v1{OPENAI}"),
        ("ANTHROPIC_BASE_URL", "https://proxy.example", "anthropic/x", "https://proxy.example/v1/messages"),
        (
            "GOOGLE_GEMINI_BASE_URL",
            "https://proxy.example",
            "gemini/x",
            f"https://proxy.example/v1beta/models/x{STREAM}",
        ),
    ],
)
def test_the_vendors_variables_override_the_configuration(
    shell: Shell, variable: str, value: str, model: str, url: str
) -> None:
    name = model.partition("/")[0]
    settle(shell, f'[providers.{name}]\nbase_url = "https://settled.example"\n')
    env = {WHERE[name][2]: KEY, variable: value}
    assert dry(shell, model, **env)["url"] == url
    assert dry(shell, model, **{WHERE[name][2]: KEY})["url"].startswith("https://settled.example/")


@pytest.mark.parametrize("value", ["nowhere", "ftp://a", "https://u:p@a/v1", "https://a/v1?x=1"])
def test_a_variable_with_an_invalid_address_is_reported(shell: Shell, value: str) -> None:
    done = shell.run("llm-send -m openai/x", HI.encode(), env={"OPENAI_BASE_URL": value, "OPENAI_API_KEY": KEY})
    assert (done.status, done.err.count("\n")) == (78, 1)
    assert "OPENAI_BASE_URL" in done.err


# Names


@pytest.mark.parametrize("named", [f"http://user:{KEY}@box", f"user:{KEY}@box:1"])
def test_an_invalid_address_is_refused_without_the_password_in_it(shell: Shell, named: str) -> None:
    done = shell.run("llm-send -m ollama/x", HI.encode(), env={"OLLAMA_HOST": named})
    assert (done.status, done.err.count("\n")) == (78, 1)
    assert "OLLAMA_HOST" in done.err and KEY not in done.err + done.text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("opnai/gpt-5.5", "perhaps openai/gpt-5.5"),
        ("fasst", "perhaps fast"),
        ("OPENAI/x", "perhaps openai/x"),
        ("fas", "perhaps fast"),
        ("local", "local is a provider"),
        ("openai/", "openai is a provider"),
        ("zzzz", "llm-models"),
        ("claude", "perhaps one of anthropic's (llm-models anthropic/)"),
        ("gpt5", "perhaps openai/gpt-5"),
        ("Claude-Sonnet-4.6", "perhaps anthropic/claude-sonnet-4.6"),
        ("", "no model is named ''"),
        ("https://a/b", "no model is named 'https://a/b'"),
        ("gguf/x", "no model is named"),
    ],
)
def test_a_name_that_no_one_knows_is_refused_with_those_near_it(shell: Shell, asked: str, says: str) -> None:
    settle(shell, '[aliases]\nfast = "echo"\n[providers.local]\nbase_url = "http://127.0.0.1:9/v1"\n')
    done = shell.run(f"llm-msg -n user hi | llm-send -m '{asked}'")
    if asked:
        assert (done.status, done.err.count("\n")) == (78, 1), done
        assert says in done.err
        assert done.records[-1]["exit_status"] == 78
    else:
        assert done.status == 78


def test_a_name_in_the_cached_lists_is_found(shell: Shell) -> None:
    lists = [whole(200, {"data": [{"id": "tiny-llama"}, {"id": "both"}]}), whole(200, {"data": [{"id": "both"}]})]
    with Server(lists[0], reply("a")) as one, Server(lists[1]) as two:
        config = f'[providers.one]\nbase_url = "{one.url}"\n[providers.two]\nbase_url = "{two.url}"\n'
        settle(shell, config)
        assert shell.run("llm-models").status == 0
        done = shell.run("llm-send -m tiny-llama", HI.encode())
        assert done.records[-2]["response"]["model"] == "one/tiny-llama"
        near = shell.run("llm-send -m tiny-lama", HI.encode())
        both = shell.run("llm-send -m both", HI.encode())
    assert (near.status, both.status) == (78, 78)
    assert "perhaps tiny-llama" in near.err
    assert "one/both or two/both" in both.err


# Keys


def failed(done: Done, status: int = 78) -> str:
    assert (done.status, done.err.count("\n")) == (status, 1), done
    assert KEY not in done.err + done.text
    return done.err


@pytest.mark.parametrize("source", ["--key-file key", "--key-fd 7 7< key", "--key-env MINE"])
def test_a_key_option_serves_the_model_that_m_names(shell: Shell, source: str) -> None:
    (shell.folder / "key").write_text(KEY)
    (shell.folder / "key").chmod(0o600)
    with Server(reply("a")) as server:
        env = {"OPENAI_API_KEY": "another", "MINE": KEY}
        settle(shell, f'[providers.openai]\nprotocol = "openai-chat"\nbase_url = "{server.url}"\n')
        assert shell.run(f"llm-send -m openai/x {source}", HI.encode(), env=env).status == 0
    assert server.only.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("options", ["", "-m echo"])
def test_a_key_option_never_serves_a_model_that_the_stream_names(shell: Shell, options: str) -> None:
    stream = (
        b'{"role":"user","content":"hi"}\n'
        + json.dumps(
            {
                "type": "message",
                "role": "assistant",
                "parts": [{"type": "text", "text": "x"}],
                "response": {"model": "local/x"},
            }
        ).encode()
    )
    with Server(reply("never")) as server:
        settle(shell, local(server))
        script = f"llm-msg user more | llm-send {options} --key-env MINE"
        done = shell.run(script, stream, env={"MINE": KEY, "LLMTOOLS_MODEL": "local/y"})
    assert "-m" in failed(done, 2)
    assert server.connections == 0


def test_the_first_of_variable_and_command_counts(shell: Shell) -> None:
    more = 'key_env = ["FIRST", "SECOND"]\nkey_command = ["sh", "-c", "echo from-command"]\n'
    seen = []
    with Server(reply("a"), reply("b"), reply("c")) as server:
        settle(shell, local(server, more))
        for env in ({"FIRST": "one", "SECOND": "two"}, {"FIRST": "", "SECOND": "two"}, {}):
            assert shell.run("llm-send -m local/x", HI.encode(), env=env).status == 0
            seen.append(server.requests[-1].headers["authorization"])
    assert seen == ["Bearer one", "Bearer two", "Bearer from-command"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ('["false"]', "failed with status 1"),
        ('["sh", "-c", "echo locked >&2; exit 3"]', "failed with status 3: locked"),
        ('["sh", "-c", "kill -9 $$"]', "failed with signal 9"),
        ('["/nowhere/pass", "show"]', "No such file"),
        ('["true"]', "holds no key"),
        (f'["echo", "{KEY}", "second"]', "one word"),
        ('["printf", "\\\\377"]', "not text"),
    ],
)
def test_a_key_command_without_a_key_is_reported_in_one_line(shell: Shell, command: str, says: str) -> None:
    with Server(reply("never")) as server:
        settle(shell, local(server, f"key_command = {command}\n"))
        assert says in failed(shell.run("llm-send -m local/x", HI.encode()))
    assert server.connections == 0


def test_a_signal_ends_the_wait_for_a_command(shell: Shell) -> None:
    settle(
        shell,
        "[providers.local]\nbase_url = 'http://127.0.0.1:9'\nkey_command = ['sh', '-c', 'echo $$ >ran; sleep 50']\n",
    )
    process = shell.start("exec llm-send -m local/x")
    assert process.stdin is not None
    process.stdin.write(HI.encode())
    process.stdin.close()
    until = time.monotonic() + LIMIT
    while not (shell.folder / "ran").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(LIMIT / 2) == -signal.SIGTERM


def test_a_reader_that_leaves_ends_the_wait_for_a_command(shell: Shell) -> None:
    settle(shell, "[providers.local]\nbase_url = 'http://127.0.0.1:9'\nkey_command = ['sleep', '50']\n")
    done, statuses = shell.statuses("timeout -s KILL 20 llm-send -m local/x | head -n 1 >/dev/null", stdin=HI.encode())
    assert statuses[0] == 141
    assert done.err.startswith("STATUSES")


def test_a_command_runs_once_for_many_conversations(shell: Shell) -> None:
    row = (
        '{"type":"conversation","messages":[{"type":"message","role":"user","parts":[{"type":"text","text":"hi"}]}]}\n'
    )
    with Server(*[reply("a") for _ in range(3)]) as server:
        settle(shell, local(server, 'key_command = ["sh", "-c", "echo x >> runs; echo key"]\n'))
        assert shell.run("llm-send -m local/x", row.encode() * 3).status == 0
        settle(shell, local(server, 'key_command = ["sh", "-c", "echo x >> failures; exit 1"]\n'))
        assert shell.run("llm-send -m local/x", row.encode() * 3).status == 78
    assert (shell.folder / "runs").read_text() == "x\n"
    assert (shell.folder / "failures").read_text() == "x\n"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('key_env = "MINE"\n', "over plain http"),
        ('key_command = ["echo", "key"]\n', "over plain http"),
        ('headers = { Authorization = "x" }\n', "over plain http"),
        ('headers = { X-Api-Token = "x" }\n', "over plain http"),
    ],
)
def test_what_is_secret_is_not_sent_over_plain_http_to_another_machine(shell: Shell, more: str, says: str) -> None:
    settle(shell, f'[providers.far]\nbase_url = "http://192.0.2.1:9/v1"\n{more}')
    assert says in failed(shell.run("llm-send -m far/x", HI.encode(), env={"MINE": KEY}))


def test_a_vendors_key_is_not_sent_over_plain_http_to_another_machine(shell: Shell) -> None:
    env = {"OPENAI_BASE_URL": "http://192.0.2.1:9/v1", "OPENAI_API_KEY": KEY}
    assert "over plain http" in failed(shell.run("llm-send -m openai/x", HI.encode(), env=env))


def test_the_key_of_ollamas_cloud_is_not_sent_to_this_machine(shell: Shell) -> None:
    with Server(REFUSED) as server:
        env = {"OLLAMA_HOST": f"127.0.0.1:{server.port}", "OLLAMA_API_KEY": KEY}
        shell.run("llm-send -m ollama/x", HI.encode(), env=env)
    assert "authorization" not in server.only.headers
    assert "authorization" not in dry(shell, "ollama/x", OLLAMA_HOST="box.local", OLLAMA_API_KEY=KEY)["headers"]
    shown = dry(shell, "ollama/x", OLLAMA_HOST="https://ollama.com", OLLAMA_API_KEY=KEY)
    assert shown["headers"]["authorization"] == "Bearer ***"


def test_a_server_on_this_machine_needs_no_key_and_no_keyring(shell: Shell) -> None:
    env = {"PYTHON_KEYRING_BACKEND": "no.such.Backend"}
    assert "authorization" not in dry(shell, "llamacpp/x", **env)["headers"]
    with Server(reply("a")) as server:
        env["OPENAI_BASE_URL"] = server.url
        settle(shell, '[providers.openai]\nprotocol = "openai-chat"\n')
        assert shell.run("llm-send -m openai/x", HI.encode(), env=env).status == 0
    assert "authorization" not in server.only.headers


def test_a_key_that_the_vendor_refuses_and_repeats_is_not_shown(shell: Shell) -> None:
    with Server(whole(401, {"error": {"message": f"wrong key {KEY}", "code": "invalid_api_key"}})) as server:
        settle(shell, f'[providers.groq]\nbase_url = "{server.url}"\n')
        assert "***" in failed(shell.run("llm-send -m groq/x", HI.encode(), env={"GROQ_API_KEY": KEY}), 77)


def test_a_port_where_nothing_is_is_unavailable(shell: Shell) -> None:
    env = {"OLLAMA_HOST": f"127.0.0.1:{closed_port()}"}
    done = shell.run("llm-send --retries 0 -m ollama/x", HI.encode(), env=env)
    assert done.status == 69
