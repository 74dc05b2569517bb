"""What can be asked for, in every protocol: each option, attachment and server tool is seen
on the wire in its place, or refused, or noticed; and the man page says the same."""

from __future__ import annotations

import base64
import json
import re
from base64 import b64decode, b64encode
from typing import Any

import pytest

from llmtools.protocols import PROTOCOLS as COLUMNS
from llmtools.protocols import PROTOCOLS as KNOWN
from llmtools.protocols import load
from llmtools.protocols.options import NAMES as OPTIONS
from llmtools.protocols.options import REFUSED as REFUSED_OPTIONS
from support.harness import Done, Shell
from support.paths import ROOT
from support.protocol_replies import PROTOCOLS, answer, send
from support.sample_requests import FILES, MP4, VALUES
from support.server import Server, whole

SERVER_TOOLS = {protocol: load(protocol).SPEC.server_tools for protocol in COLUMNS}
NAMES = tuple(dict.fromkeys(name for blocks in SERVER_TOOLS.values() for name in blocks))
MOVED = load("openai-chat").SPEC.options.moved
EACH = pytest.mark.parametrize("protocol", COLUMNS)
MAN = (ROOT / "man" / "llm-send.1").read_text("utf-8")
PAGE_NAMES = dict(zip(COLUMNS, ("Chat", "Responses", "Anthropic", "Gemini", "Interactions", "Ollama"), strict=True))


def ask(shell: Shell, protocol: str, options: str, stdin: str = "llm-msg user hi") -> tuple[Done, Any]:
    """Run llm-send against a server; return what it did and the request's body, None if there was none."""
    with Server(answer(protocol)) as server:
        done = shell.run(f"{stdin} | {send(server, protocol)} {options}")
        return done, server.only.json if server.requests else None


def place(name: str, protocol: str) -> str:
    """Return where a protocol has an option."""
    return load(protocol).SPEC.options.place(name)


def at(body: Any, path: str) -> Any:
    for level in path.removeprefix("!").split("."):
        body = body[level]
    return body


def notices(done: Done, code: str) -> list[str]:
    return [record["message"] for record in done.records if record["type"] == "notice" and record["code"] == code]


def subsection(name: str) -> str:
    found = re.search(rf"^\.Ss {name}\n(.*?)^\.(?:Ss|Sh) ", MAN, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


# Options


def test_the_protocols_are_those_there_are() -> None:
    assert set(COLUMNS) == set(KNOWN) == set(PROTOCOLS) == set(SERVER_TOOLS)
    assert set(VALUES) == set(OPTIONS)


@EACH
def test_each_option_is_in_its_place_or_reported(protocol: str, shell: Shell) -> None:
    given = " ".join(
        f"-o {name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in VALUES.items()
    )
    tool = """printf '%s\\n' '{"type":"tool","name":"f","input_schema":{"type":"object"}}'; llm-msg -n user hi"""
    done, body = ask(shell, protocol, given, f"{{ {tool}; }}")
    assert done.status == 0, done.err
    for name, value in VALUES.items():
        path = place(name, protocol)
        told = [message for message in notices(done, "dropped_option") if f" {name} " in message]
        if path:
            expected = not value if path.startswith("!") else [value] if name == "stop" else value
            assert at(body, path) == expected, name
            assert told == []
        else:
            assert len(told) == 1, name
            assert name not in json.dumps(body)


@EACH
@pytest.mark.parametrize("quirk", [*MOVED, *REFUSED_OPTIONS])
def test_a_quirk_moves_an_option_or_refuses_it(protocol: str, quirk: str) -> None:
    places = load(protocol).SPEC.options
    for name in REFUSED_OPTIONS.get(quirk, ()):
        assert places.put({name: 1}, [quirk]) == ({}, [name])
    for name, path in MOVED.get(quirk, {}).items():
        if protocol == "openai-chat":
            assert places.put({name: 1}, [quirk]) == ({path: 1}, [])
        else:
            assert places.place(name, [quirk]) == places.place(name)


@EACH
def test_a_name_of_the_vendors_goes_as_it_is_and_wins(protocol: str, shell: Shell) -> None:
    options = """-o max_tokens 5 -o a.b.c '{"d": [1, null]}' -o a.b.e x -o wide 18446744073709551616"""
    if place("max_tokens", protocol).endswith(("num_predict", "max_output_tokens", "maxOutputTokens")):
        options += f" -o {place('max_tokens', protocol).rpartition('.')[2]} 6"
    done, body = ask(shell, protocol, options)
    assert done.status == 0, done.err
    inner = at(body, place("a", protocol))
    assert inner == {"b": {"c": {"d": [1, None]}, "e": "x"}}
    assert at(body, place("wide", protocol)) == 2**64
    assert at(body, place("max_tokens", protocol)) == (6 if options.endswith(" 6") else 5)


@EACH
def test_more_than_one_answer_is_refused(protocol: str, shell: Shell) -> None:
    done, body = ask(shell, protocol, "-o n 2")
    assert (done.status, body) == (2, None)
    assert "only one answer" in done.err


@EACH
def test_a_dry_run_reports_what_the_request_leaves_out(protocol: str, shell: Shell) -> None:
    name = "top_k" if protocol == "openai-responses" else "verbosity"
    is_said = bool(place(name, protocol))
    asking = (
        f"llm-msg user hi | llm-send --base-url http://127.0.0.1:9 --protocol {protocol} -m m --dry-run -o {name} 7"
    )
    loud, quiet = shell.run(asking), shell.run(f"{asking} -q")
    assert (loud.status, quiet.status, quiet.err) == (0, 0, "")
    assert (f"{name} was not sent" in loud.err) != is_said
    assert json.loads(loud.text) == json.loads(quiet.text)


@EACH
@pytest.mark.parametrize("name", ["''", "a..b", ".a"])
def test_an_invalid_option_name_is_refused(protocol: str, name: str, shell: Shell) -> None:
    done, body = ask(shell, protocol, f"-o {name} 1")
    assert (done.status, body) == (2, None)
    assert "not the name of an option" in done.err


@EACH
@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_auto_and_none_are_not_sent_without_tools(protocol: str, choice: str, shell: Shell) -> None:
    done, body = ask(shell, protocol, f"--tool-choice {choice}")
    assert done.status == 0, done.err
    holders = [body, body.get("toolConfig", {}), body.get("generation_config", {})]
    is_said = any("tool_choice" in holder or "functionCallingConfig" in holder for holder in holders)
    assert is_said == (choice == "required" and protocol != "ollama")


@EACH
def test_what_the_request_has_of_its_own_may_be_replaced_by_anything(protocol: str, shell: Shell) -> None:
    names = ("messages", "input", "contents", "tools", "system", "thinking", "output_config", "text", "think", "store")
    options = " ".join(f"-o {name} 5" for name in names)
    done, body = ask(shell, protocol, f"{options} --schema 'a int' --reasoning low")
    assert done.status == 0, done.err
    assert body is not None


def test_the_man_page_says_where_an_option_has_no_place() -> None:
    said: dict[str, set[str]] = {}
    for entry in subsection("Options of a model").split(".El")[0].split(".It Cm ")[1:]:
        names, _, text = entry.partition("\n")
        missing = re.search(r"^Not in (.*)\.$", text, re.MULTILINE)
        for name in names.split(" , "):
            said[name] = set(re.split(", | and ", missing[1])) if missing else set()
    assert said == {
        name: {PAGE_NAMES[protocol] for protocol in COLUMNS if not place(name, protocol)} for name in OPTIONS
    }


# Attachments


REFUSED = {
    "openai-chat": {"film.mp4"},
    "openai-responses": {"sound.wav", "film.mp4"},
    "anthropic": {"sound.wav", "film.mp4"},
    "gemini": set(),
    "gemini-interactions": set(),
    "ollama": {"paper.pdf", "sound.wav", "film.mp4"},
}


def is_in(body: Any, data: bytes) -> bool:
    """Whether some string of a request is the bytes: base64, a data URI, or the text itself."""
    if isinstance(body, dict):
        return any(is_in(value, data) for value in body.values())
    if isinstance(body, list):
        return any(is_in(value, data) for value in body)
    if not isinstance(body, str):
        return False
    if data.isascii() and data.decode() in body:
        return True
    try:
        return b64decode(body.rpartition("base64,")[2], validate=True) == data
    except ValueError:
        return False


@EACH
def test_each_kind_of_attachment_arrives_or_is_refused(protocol: str, shell: Shell) -> None:
    for name, data in FILES.items():
        (shell.folder / name).write_bytes(data)
    taken = FILES.keys() - REFUSED[protocol]
    given = {name: f"llm-msg system s | llm-msg user look -a {name}" for name in FILES}
    done, body = ask(shell, protocol, "", "llm-msg user look" + "".join(f" -a {name}" for name in taken))
    assert done.status == 0, done.err
    assert [name for name in taken if not is_in(body, FILES[name])] == []
    for name in REFUSED[protocol]:
        done, body = ask(shell, protocol, "", given[name])
        assert (done.status, body) == (65, None)
        assert re.search(r"message 2 \(user\), part 2: an attachment cannot be sent: .*--drop-unsupported", done.err)
        done, body = ask(shell, protocol, "--drop-unsupported", given[name])
        assert done.status == 0, done.err
        assert "look" in json.dumps(body)
        assert not is_in(body, FILES[name])
        assert len(notices(done, "dropped_attachment")) == 1


@EACH
def test_the_result_of_a_tool_brings_its_error_and_its_image(protocol: str, shell: Shell) -> None:
    image = {"type": "image/png", "content": b64encode(FILES["image.png"]).decode()}
    call = {"type": "tool_call", "name": "plot", "arguments": {}, "tool_call_id": "c1"}
    result = {"type": "tool_result", "name": "plot", "output": "half of it", "tool_call_id": "c1"}
    records = [
        {"type": "tool", "name": "plot", "input_schema": {"type": "object"}},
        {"role": "user", "parts": [{"type": "text", "text": "plot"}]},
        {"role": "assistant", "parts": [call]},
        {"role": "tool", "parts": [{**result, "exception": "no room", "attachments": [image]}]},
    ]
    (shell.folder / "talk.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    done, body = ask(shell, protocol, "", "cat talk.jsonl")
    assert done.status == 0, done.err
    assert "no room" in json.dumps(body) and "half of it" in json.dumps(body)
    assert is_in(body, FILES["image.png"])


def test_a_file_that_lies_about_its_type_is_what_its_bytes_are(shell: Shell) -> None:
    (shell.folder / "photo.txt").write_bytes(FILES["image.png"])
    _, body = ask(shell, "anthropic", "", "llm-msg user look -a photo.txt")
    assert body["messages"][0]["content"][1]["source"]["media_type"] == "image/png"


def test_an_attachment_on_stdin(shell: Shell) -> None:
    (shell.folder / "i").write_bytes(FILES["image.png"])
    _, body = ask(shell, "openai-chat", "", "cat i | llm-msg user look -a -")
    assert is_in(body, FILES["image.png"])


@pytest.mark.slow
def test_50_mb_arrive_as_they_are(shell: Shell) -> None:
    data = FILES["image.png"] + bytes(50_000_000)
    (shell.folder / "big.png").write_bytes(data)
    done, body = ask(shell, "anthropic", "", "llm-msg user look -a big.png")
    assert done.status == 0, done.err
    assert is_in(body, data)


@pytest.mark.parametrize(
    ("spoil", "status", "message"),
    [
        ("printf x >> image.png", 65, "has changed"),
        ("rm image.png", 66, "No such file"),
        ('sed -i \'s/"sha256":"[0-9a-f]*",*//; s/,}/}/\' talk.jsonl', 65, "has no sha256"),
    ],
)
def test_a_reference_that_does_not_hold_sends_nothing(spoil: str, status: int, message: str, shell: Shell) -> None:
    (shell.folder / "image.png").write_bytes(FILES["image.png"])
    shell.run("llm-msg user look --ref -a image.png > talk.jsonl")
    done, body = ask(shell, "anthropic", "", "cat talk.jsonl")
    assert done.status == 0, done.err
    assert is_in(body, FILES["image.png"])
    shell.run(spoil)
    done, body = ask(shell, "anthropic", "", "cat talk.jsonl")
    assert (done.status, body) == (status, None)
    assert message in done.err


@EACH
def test_bytes_that_come_without_their_type_get_it_and_what_is_no_base64_is_refused(
    protocol: str, shell: Shell
) -> None:
    def talk(content: str) -> str:
        parts = [{"type": "text", "text": "look"}, {"type": "attachment", "attachment": {"content": content}}]
        (shell.folder / "talk.jsonl").write_text(json.dumps({"role": "user", "parts": parts}) + "\n")
        return "cat talk.jsonl"

    done, body = ask(shell, protocol, "", talk(b64encode(FILES["image.png"]).decode()))
    assert done.status == 0, done.err
    assert is_in(body, FILES["image.png"])
    assert protocol == "ollama" or "image/png" in json.dumps(body)
    done, body = ask(shell, protocol, "", talk("bytes?"))
    assert (done.status, body) == (65, None)
    assert "message 1 (user), part 2: attachment: content is not base64" in done.err


@EACH
def test_a_url_is_passed_or_fetched_as_the_vendor_wants(protocol: str, shell: Shell) -> None:
    for name in FILES.keys() - REFUSED[protocol]:
        data = FILES[name]
        with Server([b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(data) + data]) as files:
            url = f"{files.origin}/{name}"
            done, body = ask(shell, protocol, "", f"llm-msg user look -a {url}")
            assert done.status == 0, done.err
            is_passed = url in json.dumps(body)
            assert is_passed != is_in(body, data)
            assert len(files.requests) == (0 if is_passed else 1)
        if name == "image.png":
            assert is_passed == (protocol != "ollama")


def test_a_url_that_cannot_be_had_sends_nothing(shell: Shell) -> None:
    gone = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    with Server([gone]) as files:
        done, body = ask(shell, "ollama", "", f"llm-msg user look -a {files.origin}/image.png")
    assert (done.status, body) == (69, None)
    assert "404" in done.err


def test_a_url_of_this_machine_is_not_read_for_a_model_elsewhere(shell: Shell) -> None:
    with Server() as files:
        url = f"{files.origin}/image.png"
        done = shell.run(
            f"llm-msg user look -a {url} | llm-send --base-url http://192.0.2.1/ --protocol ollama -m m --timeout 5"
        )
        assert files.requests == []
    assert done.status == 65
    assert "private network" in done.err


def test_a_url_that_leads_to_a_private_network_is_not_followed_there(shell: Shell) -> None:
    with Server() as files, Server(whole(302, b"", location=f"{files.origin}/image.png")) as proxy:
        # An address of the public network, which a proxy of this machine's plays.
        done = shell.run(
            f"llm-msg user look -a http://8.8.8.8/image.png"
            f" | http_proxy={proxy.origin} llm-send --base-url https://192.0.2.1/ --protocol ollama -m m --timeout 30"
        )
        assert files.requests == []
        assert proxy.only.path == "http://8.8.8.8/image.png"
    assert done.status == 65
    assert "private network" in done.err


@pytest.mark.parametrize("protocol", [protocol for protocol in COLUMNS if "film.mp4" in REFUSED[protocol]])
def test_a_refused_attachment_is_named_by_the_place_that_a_person_counts(protocol: str, shell: Shell) -> None:
    failed = {"role": "assistant", "parts": [], "response": {"status": "error", "exit_status": 69}}
    (shell.folder / "film.mp4").write_bytes(MP4)
    (shell.folder / "failed.jsonl").write_text(json.dumps(failed) + "\n")
    talk = "{ llm-msg -n user hi; cat failed.jsonl; llm-msg -n user look -a film.mp4; }"
    done, body = ask(shell, protocol, "--anyway", talk)
    assert (done.status, body) == (65, None)
    assert "message 3 (user), part 2: " in done.err


# Tools that the provider runs


@EACH
def test_each_server_tool_is_asked_for_or_refused(protocol: str, shell: Shell) -> None:
    blocks = SERVER_TOOLS[protocol]
    done, body = ask(shell, protocol, "".join(f" --server-tool {name}" for name in blocks))
    assert done.status == 0, done.err
    for block in blocks.values():
        assert block in body.get("tools", []) or block.items() <= body.items()
    tools = {record["name"]: record for record in done.records if record["type"] == "tool"}
    assert {name: list(record["provider_metadata"].values()) for name, record in tools.items()} == {
        name: [block] for name, block in blocks.items()
    }
    for name in ["telepathy", *[name for name in NAMES if name not in blocks]][:2]:
        done, body = ask(shell, protocol, f"--server-tool {name}")
        assert (done.status, body) == (2, None)
        assert f"{protocol} has {', '.join(blocks) or 'none'}" in done.err


def test_the_fields_of_a_server_tool_are_laid_over_it(shell: Shell) -> None:
    done, body = ask(shell, "anthropic", """--server-tool 'web_search={"max_uses": 2}'""")
    assert done.status == 0, done.err
    assert body["tools"] == [{**SERVER_TOOLS["anthropic"]["web_search"], "max_uses": 2}]
    _, body = ask(shell, "anthropic", """--server-tool 'bash={"type": "bash_20250124", "name": "bash"}'""")
    assert body["tools"] == [{"type": "bash_20250124", "name": "bash"}]
    for wrong in ("'web_search={'", "'web_search=[]'", "''", "'=1'"):
        done, body = ask(shell, "anthropic", f"--server-tool {wrong}")
        assert (done.status, body) == (2, None)


def test_a_server_tool_goes_on_with_the_conversation_and_with_another_vendor(shell: Shell) -> None:
    with Server(answer("anthropic"), answer("anthropic")) as first, Server(answer("gemini")) as other:
        asking = f"llm-msg user hi | {send(first, 'anthropic')} --server-tool web_search --save talk.jsonl"
        shell.run(f"{asking} | llm-msg user more | {send(first, 'anthropic')} --server-tool web_search > more.jsonl")
        done = shell.run(f"llm-msg user else < talk.jsonl | {send(other, 'gemini')}")
        assert done.status == 0, done.err
        assert first.requests[1].json["tools"] == first.requests[0].json["tools"]
        assert other.only.json["tools"] == [{"googleSearch": {}}]
    assert notices(done, "dropped_tool") == []
    records = shell.run("cat more.jsonl").records
    assert len([record for record in records if record["type"] == "tool"]) == 1, "what is offered is not offered again"


def test_echo_has_no_server_tools(shell: Shell) -> None:
    done = shell.run("llm-msg user hi | llm-send -m echo --server-tool web_search")
    assert done.status == 2
    assert "has none" in done.err


def test_the_man_page_says_who_has_a_server_tool() -> None:
    said = {}
    for entry in subsection("Tools that the provider runs").split(".El")[0].split(".It Cm ")[1:]:
        name, _, text = entry.partition("\n")
        said[name] = {word for word in PAGE_NAMES.values() if re.search(rf"\b{word}\b", text)}
    assert said == {
        name: {PAGE_NAMES[protocol] for protocol in COLUMNS if name in SERVER_TOOLS[protocol]} for name in NAMES
    }


# The prompt cache


@EACH
def test_the_prompt_cache_is_requested_or_its_absence_reported(protocol: str, shell: Shell) -> None:
    with Server(answer(protocol), answer(protocol)) as server:
        asking = f"{send(server, protocol)} --cache-prompt"
        done = shell.run(f"llm-msg system brief | llm-msg user hi | {asking} | tee one | llm-msg user more | {asking}")
        assert done.status == 0, done.err
        bodies = [request.json for request in server.requests]
    fields = {"anthropic": "cache_control", "openai-responses": "prompt_cache_key"}
    if protocol in fields:
        first, second = (body[fields[protocol]] for body in bodies)
        assert first == second, "turns of one conversation share it"
        assert first == {"type": "ephemeral"} or re.fullmatch(r"[0-9a-f]{32}", first)
    else:
        assert len(notices(shell.run("cat one"), "dropped_cache")) == 1


def test_a_breakpoint_of_ones_own(shell: Shell) -> None:
    with Server(answer("anthropic")) as server:
        part = {
            "type": "text",
            "text": "long",
            "provider_metadata": {f"anthropic+{server.origin}": {"cache_control": {"type": "ephemeral", "ttl": "1h"}}},
        }
        line = json.dumps({"role": "user", "parts": [part]}).encode()
        done = shell.run(send(server, "anthropic"), stdin=line)
        assert done.status == 0, done.err
        [block] = server.only.json["messages"][0]["content"]
    assert block["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_a_dry_run_downloads_nothing_and_says_what_it_would(shell: Shell) -> None:
    with Server() as files:
        url = f"{files.origin}/image.png"
        done = shell.run(
            f"llm-msg user look -a {url} | llm-send --base-url http://127.0.0.1:1 --protocol ollama -m m --dry-run"
        )
        assert files.connections == 0
    assert (done.status, done.err) == (0, f"llm-send: {url} would be downloaded; a text stands for it here\n")
    [image] = json.loads(done.text)["body"]["messages"][0]["images"]
    assert base64.b64decode(image).decode() == f"(the content of {url})"
