"""llama.cpp's own server (see `support.llamacpp`) through the protocols that it speaks beside Chat.

What it says otherwise than the vendors do: blocks of Anthropic's that begin before the last
one ended, calls that begin without an input, thinking with an empty signature; events of
Responses without any index; errors in OpenAI's shape everywhere.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmtools.protocols import PROTOCOLS
from support import llamacpp_model as says
from support.harness import LIMIT, Shell, chunks, reply_of, texts, until, valid_records
from support.llamacpp import KEY, Server, require

pytestmark = pytest.mark.slow
Object = dict[str, Any]

BASES = {"anthropic": "", "openai-responses": "/v1", "openai-chat": "/v1"}
"""Protocol -> what stands before the vendor's own path."""

SPOKEN = [protocol for protocol in BASES if protocol in PROTOCOLS]
EACH = pytest.mark.parametrize("protocol", [name for name in SPOKEN if name != "openai-chat"])
PAIR = pytest.mark.parametrize(
    ("protocol", "other"), [(one, other) for one in SPOKEN for other in SPOKEN if one != other]
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require()
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    says.write(path)
    return path


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with closing(Server(model, tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
def pipe(shell: Shell, server: Server) -> Shell:
    """A shell that knows the server, and has a stream with a tool."""
    shell.environment |= {"ORIGIN": f"http://127.0.0.1:{server.port}", "K": KEY}
    (shell.folder / "tool.jsonl").write_text(json.dumps(says.TOOL) + "\n")
    return shell


def ask(protocol: str) -> str:
    return f"llm-send --base-url $ORIGIN{BASES[protocol]} --protocol {protocol} -m tiny --key-env K"


def notices(records: list[Object]) -> list[str]:
    return [record["code"] for record in records if record["type"] == "notice"]


def said_of(message: Object) -> list[tuple[str, Any]]:
    """Return what each part says: its text, or the arguments of a call."""
    return [(part["type"], part.get("text", part.get("arguments"))) for part in message["parts"]]


def calls_of(message: Object) -> list[str]:
    """Return the ids of the calls."""
    return [part["tool_call_id"] for part in message["parts"] if part["type"] == "tool_call"]


# Text, reasoning, calls

WHAT = {
    "hi": [("text", says.PLAIN)],
    "why": [("reasoning", says.THOUGHT), ("text", says.CONCLUSION)],
    "weather": [("text", says.LOOK), ("tool_call", says.ONE)],
    "weather of both": [("tool_call", arguments) for arguments in says.TWO],
}
"""What is said to what; the tool is offered with the words about the weather."""


@EACH
@pytest.mark.parametrize("said", WHAT)
def test_each_kind_of_reply_streamed_and_whole(protocol: str, said: str, pipe: Shell) -> None:
    tools = "< tool.jsonl" if "weather" in said else ""
    streamed, whole = (
        pipe.run(f"llm-msg user '{said}' {tools} | {ask(protocol)} {option}") for option in ("", "--no-stream")
    )
    assert (streamed.status, whole.status) == (0, 0), streamed.err + whole.err
    assert said_of(reply_of(streamed.records)) == said_of(reply_of(whole.records)) == WHAT[said]
    finish = "tool_calls" if tools else "stop"
    for end in (streamed.records[-1], whole.records[-1]):
        assert (end["status"], end["finish_reason"], end["model_served"]) == ("ok", finish, "tiny")
    assert streamed.records[-1]["usage"] == whole.records[-1]["usage"]


@EACH
def test_text_and_reasoning_come_token_by_token(protocol: str, pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user why | {ask(protocol)} | tee all.jsonl | llm-parts")
    assert (done.status, done.text) == (0, says.CONCLUSION + "\n")
    records = valid_records((pipe.folder / "all.jsonl").read_bytes())
    thought, text = chunks(records, "reasoning"), chunks(records, "text")
    assert len(thought) > 5 and len(text) > 2
    assert ("".join(thought), "".join(text)) == (says.THOUGHT, says.CONCLUSION)
    usage = records[-1]["usage"]
    assert usage["input"] > 0 and usage["output"] >= len(thought + text)


@EACH
def test_the_arguments_of_a_call_come_in_pieces(protocol: str, pipe: Shell) -> None:
    records = pipe.run(f"llm-msg user weather < tool.jsonl | {ask(protocol)}").records
    assert len(chunks(records, "tool_call_args")) > 5
    assert json.loads("".join(chunks(records, "tool_call_args"))) == says.ONE


@EACH
def test_two_parallel_calls_and_the_answer_to_both_results(protocol: str, pipe: Shell) -> None:
    asked = pipe.run(f"llm-msg user 'weather of both' < tool.jsonl | {ask(protocol)}")
    one, other = calls_of(reply_of(asked.records))
    assert one and other and one != other
    answers = f"llm-msg tool rain --call '{one}' | llm-msg tool '18 degrees' --call '{other}'"
    done = pipe.run(f"{answers} | {ask(protocol)} | llm-parts --last", stdin=asked.out)
    assert (done.status, done.text) == (0, says.SUNNY + "\n"), done.err


@EACH
def test_a_schema_makes_json_that_fits(protocol: str, pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user object | {ask(protocol)} --schema 'title, people int' | llm-parts")
    assert (done.status, json.loads(done.text)) == (0, says.OBJECT), done.err


@EACH
def test_a_saved_conversation_goes_on(protocol: str, pipe: Shell) -> None:
    """Its model says the last words only where the first reply came back as it was."""
    pipe.run(f"llm-msg user hi | {ask(protocol)} --save talk.jsonl")
    done = pipe.run(f"llm-msg user again < talk.jsonl | {ask(protocol)} --save longer.jsonl | llm-parts")
    assert (done.status, done.text) == (0, says.AGAIN + "\n"), done.err
    saved = valid_records((pipe.folder / "longer.jsonl").read_bytes())
    assert texts(saved) == [("user", "hi"), ("assistant", says.PLAIN), ("user", "again"), ("assistant", says.AGAIN)]


@EACH
def test_reasoning_goes_back_where_the_protocol_takes_it(protocol: str, pipe: Shell) -> None:
    """Of Responses it is the item's text; Anthropic's wants a signature, and this server has none."""
    done = pipe.run(f"llm-msg user why | {ask(protocol)} | llm-msg user again | {ask(protocol)}")
    is_taken = protocol == "openai-responses"
    assert said_of(reply_of(done.records)) == [("text", says.RETHOUGHT if is_taken else says.PLAIN)]
    assert notices(done.records) == ([] if is_taken else ["dropped_reasoning"])


@EACH
def test_a_limit_on_the_tokens_is_a_success(protocol: str, pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user hi | {ask(protocol)} -o max_tokens 3")
    end = done.records[-1]
    assert (done.status, end["status"], end["usage"]["output"]) == (0, "ok", 3)
    if protocol == "anthropic":  # in Responses the server says that the reply is complete
        assert (end["finish_reason"], notices(done.records)) == ("length", ["length"])
    (_, text), *_ = said_of(reply_of(done.records))
    assert text and says.PLAIN.startswith(text) and text != says.PLAIN


# From one protocol to another


@PAIR
def test_a_conversation_goes_on_in_another_protocol(protocol: str, other: str, pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user hi | {ask(protocol)} | llm-msg user again | {ask(other)} | llm-parts")
    assert (done.status, done.text) == (0, says.AGAIN + "\n"), done.err


@PAIR
def test_the_results_of_calls_go_back_in_another_protocol(protocol: str, other: str, pipe: Shell) -> None:
    asked = pipe.run(f"llm-msg user 'weather of both' < tool.jsonl | {ask(protocol)}")
    one, second = calls_of(reply_of(asked.records))
    answers = f"llm-msg tool rain --call '{one}' | llm-msg tool '18 degrees' --call '{second}'"
    done = pipe.run(f"{answers} | {ask(other)} | llm-parts --last", stdin=asked.out)
    assert (done.status, done.text) == (0, says.SUNNY + "\n"), done.err


# Failures


@EACH
@pytest.mark.parametrize("option", ["", "--no-stream"])
def test_a_wrong_key_is_reported_in_the_servers_words(protocol: str, option: str, pipe: Shell) -> None:
    script = f"llm-msg user hi | {ask(protocol)} {option} | tee all.jsonl | llm-parts"
    done = pipe.run(script, env={"K": "wrong-key-of-nobody"})
    assert (done.status, done.out) == (77, b"")
    assert done.err == "llm-send: tiny: 401 the key from the variable K was refused: Invalid API Key\n"
    records = valid_records((pipe.folder / "all.jsonl").read_bytes())
    assert [record["type"] for record in records] == ["message", "error"]
    assert records[-1]["http_status"] == 401


@EACH
def test_a_context_that_is_too_long_is_reported_in_the_servers_words(protocol: str, pipe: Shell) -> None:
    done = pipe.run(f"llm-msg user - | {ask(protocol)} | llm-parts", stdin=b"x" * says.CONTEXT)
    assert done.status == 65
    assert re.search(rf"^llm-send: .*available context size \({says.CONTEXT} tokens\)", done.err, re.MULTILINE)


@EACH
def test_what_came_before_the_server_was_killed_is_kept(
    protocol: str, pipe: Shell, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    server = Server(model, tmp_path / "server")
    text = tmp_path / "text"
    try:
        script = f"llm-msg -n user long | {ask(protocol)} --save saved.jsonl | tee all.jsonl | llm-parts > text"
        process = pipe.start(script, env={"ORIGIN": f"http://127.0.0.1:{server.port}"})
        until(lambda: text.exists() and says.LONG[:40].encode() in text.read_bytes())
    finally:
        server.kill()
    process.communicate(timeout=LIMIT)
    assert process.returncode == 75
    records = valid_records((tmp_path / "all.jsonl").read_bytes())
    assert (records[-1]["status"], records[-1]["exit_status"]) == ("truncated", 75)
    message = reply_of(records)
    came = "".join(chunks(records, "text"))
    assert said_of(message) == [("text", came)]
    assert (says.LONG * (len(came) // len(says.LONG) + 1)).startswith(came)
    assert valid_records((tmp_path / "saved.jsonl").read_bytes()) == [records[0], message]


@EACH
def test_a_reader_that_leaves_ends_the_request(protocol: str, pipe: Shell, server: Server) -> None:
    done, statuses = pipe.statuses(f"llm-msg user long | {ask(protocol)} | llm-parts | head -c 20")
    assert done.out == says.LONG.encode()[:20]
    assert statuses == [0, 128 + signal.SIGPIPE, 128 + signal.SIGPIPE, 0]
    until(lambda: not server.is_busy)
