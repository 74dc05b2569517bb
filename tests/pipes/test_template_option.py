"""Templates: llm-msg -t fills one in, and llm-send answers as it asks."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from llmtools.cli.msg import template
from llmtools.errors import InputError
from support.harness import Shell
from support.protocol_replies import answer
from support.server import Server

RECIPE = """
system = "Cook as in $country. It costs $$5."
prompt = "Suggest a recipe for: $input"
model = "echo"
reasoning = "low"
tool_choice = "auto"
schema = "name, minutes int"
[options]
temperature = 0.2
[defaults]
country = "France"
[[tools]]
name = "price"
description = "What it costs."
"""


@pytest.fixture
def desk(shell: Shell) -> Shell:
    folder = shell.folder / "templates"
    folder.mkdir()
    (shell.folder / "config.toml").write_text("")
    shell.environment["LLMTOOLS_CONFIG"] = str(shell.folder / "config.toml")
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "short.txt").write_text("Shorten this to $words words.\n")
    return shell


def test_a_template_says_all_of_it(desk: Shell) -> None:
    done = desk.run("llm-msg -t recipe user eggs")
    tool, system, message = done.records
    assert (done.status, tool["name"]) == (0, "price")
    assert system["parts"][0]["text"] == "Cook as in France. It costs $5."
    assert message["parts"][0]["text"] == "Suggest a recipe for: eggs"
    request = message["request"]
    assert list(request) == ["model", "options", "schema", "reasoning", "tool_choice"]
    assert request["schema"]["required"] == ["name", "minutes"]


def test_it_is_asked_as_the_template_asks(desk: Shell) -> None:
    """The request as a provider gets it; an option of llm-send's wins."""
    with Server(answer("openai-chat"), answer("openai-chat")) as server:
        one = f"llm-msg -t recipe user eggs -p country Spain | llm-send --base-url {server.origin}"
        done = desk.run(f"{one} | llm-msg user more | llm-send --base-url {server.origin}")
        assert done.status == 0
        first, second = (request.json for request in server.requests)
    assert (first["model"], first["temperature"], first["reasoning_effort"]) == ("echo", 0.2, "low")
    assert first["response_format"]["json_schema"]["schema"]["required"] == ["name", "minutes"]
    assert first["messages"][0]["content"].startswith("Cook as in Spain")
    assert first["tools"][0]["function"]["name"] == "price"
    assert second["model"] == "echo", "that of the last reply"
    assert "temperature" not in second and "response_format" not in second, "it was asked for one answer"
    with Server(answer("openai-chat")) as server:
        desk.run(f"llm-msg -t recipe user eggs | llm-send -m m -o temperature 1 --base-url {server.origin}")
        assert (server.only.json["model"], server.only.json["temperature"]) == ("m", 1)


def test_the_library_asks_as_the_stream_does(desk: Shell) -> None:
    with Server(answer("openai-chat")) as server:
        program = (
            "import llmtools, llmtools.providers\n"
            f"endpoint = llmtools.providers.at({server.origin!r}, None, None)\n"
            "conversation = llmtools.Conversation(llmtools.read_stream())\n"
            "list(llmtools.stream(conversation, endpoint=endpoint))\n"
        )
        (desk.folder / "ask.py").write_text(program)
        assert desk.run(f"llm-msg -t recipe user eggs | {sys.executable} ask.py").status == 0
        assert (server.only.json["model"], server.only.json["temperature"]) == ("echo", 0.2)


def test_a_second_use_repeats_neither_tools_nor_system(desk: Shell) -> None:
    done = desk.run("llm-msg -t recipe user eggs | llm-send | llm-msg -t recipe user milk")
    kinds = [record["type"] for record in done.records if record["type"] in ("tool", "message")]
    assert kinds == ["tool", "message", "message", "message", "message"]


def test_a_template_in_every_conversation_record(desk: Shell) -> None:
    (desk.folder / "batch").write_text('{"type":"conversation","id":"1","messages":[]}\n' * 2)
    done = desk.run("llm-msg -t recipe user eggs < batch | llm-send")
    assert [[message["role"] for message in record["messages"]] for record in done.records] == [
        ["system", "user", "assistant"]
    ] * 2
    assert done.records[0]["messages"][2]["response"]["request"]["options"] == {"temperature": 0.2}
    assert done.records[0]["tools"][0]["name"] == "price"


def test_text_stands_behind_a_prompt_without_a_place_for_it(desk: Shell) -> None:
    assert desk.run("llm-msg -t short -p words 5").records[0]["parts"][0]["text"] == "Shorten this to 5 words."
    done = desk.run("printf long | llm-msg -t short -p words 5 user -")
    assert done.records[0]["parts"][0]["text"] == "Shorten this to 5 words.\n\nlong"
    (desk.folder / "rules.toml").write_text('system = "Be brief"')
    done = desk.run("llm-msg -t ./rules.toml user hi")
    assert [record["parts"][0]["text"] for record in done.records] == ["Be brief", "hi"]


def test_fragments_and_attachments(desk: Shell) -> None:
    (desk.folder / "notes").write_text("noted")
    (desk.folder / "t.toml").write_text('prompt = "look"\nfragments = ["notes"]\nattachments = ["notes"]\n')
    done = desk.run("llm-msg -t ./t.toml")
    [message] = done.records
    assert message["parts"][0]["text"] == "noted\n\nlook" and message["parts"][1]["type"] == "attachment"
    assert done.err == "llm-msg: the template ./t.toml adds notes, notes\n"
    assert desk.run("llm-msg -q -t ./t.toml").err == ""
    assert desk.run("mv t.toml templates; llm-msg -t t").err == "", "the user's own"


@pytest.mark.parametrize(
    "line",
    [
        'attachments = ["{home}/secret"]',
        'attachments = ["../secret"]',
        'attachments = ["link"]',
        'fragments = ["../secret"]',
        'schema = "../secret.json"',
    ],
)
def test_a_template_from_elsewhere_adds_no_file_from_elsewhere(line: str, desk: Shell) -> None:
    desk.run("mkdir -p here/inner; echo '{}' > secret; echo '{}' > secret.json; ln -s ../secret here/link")
    template = line.format(home=desk.folder) + "\n"
    for place in ("here/t.toml", "here/inner/t.toml", "templates/own.toml"):
        (desk.folder / place).write_text(template)
    for name in ("./t.toml", "inner/t.toml"):
        done = desk.run(f"cd here; llm-msg -t {name} user hi")
        assert (done.status, "is neither in the current directory" in done.err) == (65, True), done.err
    assert desk.run("cd here; llm-msg -t own user hi").status == 0


def test_a_file_of_the_directory_is_no_template_of_the_user(desk: Shell) -> None:
    for name in ("recipe", "recipe.toml", "other.toml"):
        (desk.folder / name).write_text('system = "of the directory"')
    for name in ("recipe", "recipe.toml"):
        assert desk.run(f"llm-msg -t {name} user hi").records[1]["parts"][0]["text"].startswith("Cook as in")
        assert desk.run(f"llm-msg -t ./{name} user hi").records[0]["parts"][0]["text"] == "of the directory"
    done = desk.run("llm-msg -t other.toml user hi")
    assert (done.status, "./other.toml is the file of this directory" in done.err) == (66, True)


def test_an_executable_prints_a_template(desk: Shell) -> None:
    program = desk.folder / "llm-template-say"
    program.write_text('#!/bin/sh\n[ -n "$1" ] || exit 3\necho "prompt = \\"say $1\\""\n')
    program.chmod(0o755)
    done = desk.run('PATH="$PWD:$PATH" llm-msg -t say:hello')
    assert done.records[0]["parts"][0]["text"] == "say hello"
    failed = desk.run('PATH="$PWD:$PATH" llm-msg -t say')
    assert failed.status == 1 and "llm-template-say failed with status 3" in failed.err


def test_the_yaml_of_llm(desk: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yaml")
    (desk.folder / "templates" / "glados.yaml").write_text(
        "name: glados\nsystem: You are GlaDOS\nprompt: 'Summarize: $input'\noptions: {temperature: 1}\n"
        "schema_object: {type: object}\nextract: true\nmodel: null\ntools: [llm_time]\n"
    )
    notices, system, message = _split(desk.run("llm-msg -t glados user hi").records)
    assert [notice["message"].split(": ")[1] for notice in notices] == ["extract is left out", "tools is left out"]
    assert system["parts"][0]["text"] == "You are GlaDOS" and message["parts"][0]["text"] == "Summarize: hi"
    assert message["request"] == {"options": {"temperature": 1}, "schema": {"type": "object"}}
    assert template.parse_template("t", b"just text", ".yml").fields == {"prompt": "just text"}
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InputError, match="needs PyYAML"):
        template.parse_template("t", b"a: b", ".yaml")


def _split(records: list[dict[str, Any]]) -> tuple[list[Any], Any, Any]:
    *notices, system, message = records
    return notices, system, message


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("llm-msg -t recipe", 2, "has a field input: give TEXT"),
        ("llm-msg -t short", 2, "has a field words: give -p words VALUE"),
        ("llm-msg -t short -p word 1", 2, "has no field word: there are words"),
        ("llm-msg user hi -p a b", 2, "-p goes with -t"),
        ("llm-msg system -t recipe", 2, "-t goes with the role user"),
        ("llm-msg -t recipy", 66, "perhaps recipe"),
        ("llm-msg", 2, "Missing argument 'ROLE'"),
    ],
)
def test_wrong_uses(desk: Shell, command: str, status: int, said: str) -> None:
    done = desk.run(command)
    assert done.status == status and said in done.err and done.records[-1]["type"] == "error"


def test_a_model_that_only_the_user_may_choose(desk: Shell) -> None:
    (desk.folder / "t.toml").write_text('prompt = "a"\nmodel = "replay/x"\n')
    done = desk.run("llm-msg -t ./t.toml | llm-send")
    assert done.status == 78 and "which only -m may name" in done.err


def test_a_request_of_a_wrong_shape_is_refused(shell: Shell) -> None:
    (shell.folder / "in").write_text('{"role":"user","content":"a","request":{"options":3}}\n')
    done = shell.run("llm-send -m echo < in")
    assert done.status == 65 and "request: options must be an object" in done.err
