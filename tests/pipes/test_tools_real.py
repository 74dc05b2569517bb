"""llm-tools loop with real models' servers and real tools: llama.cpp with scripted calls, and aimock
in every protocol; the tools are functions and MCP servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from llmtools.protocols import PROTOCOLS
from support import llamacpp
from support import llamacpp_model as says
from support.aimock import BASES, KEY, Mock, require, text_of
from support.harness import Shell, texts, valid_records
from support.mcp_servers import node, require_sdk

pytestmark = pytest.mark.slow
Object = dict[str, Any]

CALC = '''
"""Tools to compute with."""

def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b

def get_weather(city: str, days: int) -> str:
    """The weather of a place."""
    with open("asked", "a") as file:
        file.write(f"{city} {days}\\n")
    return f"18 degrees in {city}"
'''
QUESTION = "What is 12*34, and what time is it in Tokyo?"
ANSWER = "It is 408, and noon in Tokyo is 3 in the morning in UTC."
TIME = {"source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "UTC"}
ENTITY = {"name": "Tokyo", "entityType": "city", "observations": ["nine hours ahead"]}


@pytest.fixture
def desk(shell: Shell) -> Shell:
    require_sdk()
    (shell.folder / "calc.py").write_text(CALC)
    return shell


def answered(records: list[Object]) -> list[Object]:
    """The results, in their order."""
    messages = [record for record in records if record["type"] == "message" and record["role"] == "tool"]
    return [part for message in messages for part in message["parts"]]


# llama.cpp


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[llamacpp.Server]:
    llamacpp.require()
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    says.write(path)
    with closing(llamacpp.Server(path, tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.mark.parametrize(("said", "calls"), [("weather", [says.ONE]), ("weather of both", says.TWO)])
def test_the_pipe_with_a_real_server(said: str, calls: list[Object], server: llamacpp.Server, desk: Shell) -> None:
    desk.environment |= {"URL": server.url, "K": llamacpp.KEY}
    ask = 'llm-send --base-url "$URL" -m tiny --key-env K'
    done = desk.run(
        f"llm-msg user '{said}' | llm-tools loop ./calc.py mcp:mcp-server-time -- {ask} | tee all.jsonl | llm-parts"
    )
    assert done.status == 0, done.err
    before = [] if len(calls) > 1 else [says.LOOK]
    assert done.text.splitlines() == [*before, says.SUNNY], "every text of the reply"
    records = valid_records((desk.folder / "all.jsonl").read_bytes())
    assert [part["output"] for part in answered(records)] == [f"18 degrees in {call['city']}" for call in calls]
    asked = (desk.folder / "asked").read_text().splitlines()
    assert sorted(asked) == sorted(f"{call['city']} {call['days']}" for call in calls)
    roles = [role for role, _ in texts(records)]
    assert roles == ["user", "assistant", "tool", "assistant"]


# aimock, in every protocol


def fixtures() -> list[Object]:
    """Return what the mock says: two calls, then one, then the answer. The protocol stands in the question,
    as each sees the conversation as its own."""
    begun = [_call("multiply", {"a": 12, "b": 34})]
    found: list[Object] = [{"match": {"userMessage": "begin with"}, "response": {"toolCalls": begun}}]
    found.append({"match": {"userMessage": "go on with"}, "response": {"content": "So it is."}})
    for protocol in PROTOCOLS:
        match = {"userMessage": f"{QUESTION} ({protocol})"}
        first = [_call("multiply", {"a": 12, "b": 34}), _call("convert_time", TIME)]
        second = [_call("create_entities", {"entities": [ENTITY]}), _call("nothing_like_it", {})]
        found += [
            {"match": {**match, "sequenceIndex": 0}, "response": {"content": "Let me see.", "toolCalls": first}},
            {"match": {**match, "sequenceIndex": 1}, "response": {"content": "I note it.", "toolCalls": second}},
            {"match": {**match, "sequenceIndex": 2}, "response": {"content": ANSWER}},
        ]
    return found


def _call(name: str, arguments: Object) -> Object:
    return {"name": name, "arguments": arguments}


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    require()
    with closing(Mock(fixtures(), tmp_path_factory.mktemp("aimock"))) as mock:
        yield mock


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_pipe_in_every_protocol(protocol: str, mock: Mock, desk: Shell) -> None:
    desk.environment |= {"K": KEY, "MEMORY_FILE_PATH": str(desk.folder / "memory.jsonl")}
    ask = f"llm-send --base-url {mock.origin}{BASES[protocol]} --protocol {protocol} -m m --key-env K"
    sources = f"-E MEMORY_FILE_PATH ./calc.py mcp:mcp-server-time 'mcp:{node('mcp-server-memory')}'"
    question = f"{QUESTION} ({protocol})"
    done = desk.run(f"llm-msg user '{question}' | llm-tools loop {sources} -- {ask} | tee all.jsonl | llm-parts")
    assert done.status == 0, done.err
    assert done.text.splitlines() == ["Let me see.", "I note it.", ANSWER]
    records = valid_records((desk.folder / "all.jsonl").read_bytes())
    product, moment, noted, nothing = answered(records)
    assert product["output"] == "408"
    assert "-9.0h" in moment["output"]
    assert "nine hours ahead" in noted["output"]
    assert nothing["exception"] == "the tool nothing_like_it was not offered"
    check_understood(mock.requests(question)[-1]["body"]["messages"])
    history = [json.dumps(record) for record in records if record["type"] in ("message", "tool")]
    assert len(history) == len(set(history)), "each record of the history once"


def check_understood(messages: list[Object]) -> None:
    """The mock has found the results of both rounds in the last request."""
    results = [text_of(message) for message in messages if message["role"] == "tool"]
    assert len(results) == 4
    assert "408" in results[0] and "-9.0h" in results[1] and "nine hours" in results[2] and "offered" in results[3]


def test_the_conversation_goes_on_with_another_vendor(mock: Mock, desk: Shell) -> None:
    """A loop that one vendor began: its calls and results are valid for others."""
    desk.environment["K"] = KEY

    def ask(protocol: str) -> str:
        return f"llm-send --base-url {mock.origin}{BASES[protocol]} --protocol {protocol} -m m --key-env K"

    first = f"llm-msg user 'begin with this' | llm-tools offer calc.py | {ask('anthropic')}"
    for other in ("openai-responses", "gemini"):
        question = f"go on with {other}"
        done = desk.run(f"{first} | llm-tools run calc.py | llm-msg user '{question}' | {ask(other)} | llm-parts")
        assert (done.status, done.text) == (0, "So it is.\n"), done.err
        messages = mock.requests(question)[-1]["body"]["messages"]
        assert ["408" in text_of(message) for message in messages if message["role"] == "tool"] == [True]
