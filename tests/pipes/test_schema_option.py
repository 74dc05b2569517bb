"""--schema: what goes over the wire, and how an answer is held against it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.harness import Shell
from support.schemas import described
from support.server import Server, ask, completion, reply, whole

FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("--schema 'name, age int'", {"schema": described(name="string", age="integer"), "strict": True}),
    (
        "--schema-multi 'name'",
        {
            "schema": described(items={"type": "array", "items": described(name="string")}),
            "strict": True,
        },
    ),
    ("""--schema '{"type":"object"}'""", {"schema": {"type": "object"}}),
    ("--schema some.json", {"schema": {"title": "Some thing", "type": "string"}, "name": "Some_thing"}),
    ("--schema $'name\\nage int: a, b'", {}),
]
FORMATS[4] = (
    FORMATS[4][0],
    {"schema": described(name="string", age={"type": "integer", "description": "a, b"}), "strict": True},
)


@pytest.mark.parametrize(("options", "asked"), FORMATS)
def test_the_schema_is_on_the_wire_and_in_the_record(shell: Shell, options: str, asked: dict[str, Any]) -> None:
    (shell.folder / "some.json").write_text('{"title": "Some thing", "type": "string"}')
    with Server(reply('"x"')) as server:
        done = shell.run(ask(server, options))
    assert done.status == 0
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", **asked}}
    assert server.only.json["response_format"] == wanted
    [start] = [record for record in done.records if record["type"] == "start"]
    assert start["request"]["schema"] == asked["schema"]
    assert done.records[-2]["response"]["request"]["schema"] == asked["schema"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ("--schema 'name text'", 2),
        ("--schema ''", 2),
        ("--schema '{'", 2),
        ("--schema-multi ', '", 2),
        ("--schema missing.json", 66),
        ("""--schema '{"minLength": "3"}'""", 2),
        ("""--schema-multi '{"$ref": "https://example.com/a.json"}'""", 2),
    ],
)
def test_a_wrong_schema_is_refused_before_anything_is_sent(shell: Shell, options: str, status: int) -> None:
    with Server() as server:
        done = shell.run(ask(server, options))
    assert (done.status, server.connections) == (status, 0)
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "status", "out"),
    [
        ('{"name": "Ada", "age": 36}', 0, '{"name":"Ada","age":36}\n'),
        ('\n {"age": 18446744073709551616, "name": ""}\n', 0, '{"age":18446744073709551616,"name":""}\n'),
        ('{"name": "Ada"}', 65, ""),
        ('{"name": "Ada", "age": "36"}', 65, ""),
        ('{"name": "Ada", "age": 36, "more": 1}', 65, ""),
        ('{"name": "Ada", "age"', 65, ""),
        ("I am sorry", 65, ""),
    ],
)
def test_the_answer_is_held_against_its_schema(shell: Shell, answer: str, status: int, out: str) -> None:
    with Server(whole(200, completion(answer))) as server:
        script = ask(server, "--no-stream --schema 'name, age int'") + " | llm-parts --json"
        done, statuses = shell.statuses(script)
    assert (statuses[1:], done.text) == ([0, status], out)
    if status:
        assert "the answer" in done.err


def test_a_schema_of_a_stream_that_cannot_be_checked(shell: Shell) -> None:
    request = {"schema": {"properties": {"a": {"$ref": "https://example.com/a.json"}}}}
    message = {"type": "message", "role": "assistant", "parts": [{"type": "text", "text": "{}"}]}
    record = {**message, "response": {"status": "ok", "request": request}}
    done = shell.run("llm-parts --json", stdin=json.dumps(record).encode() + b"\n")
    assert (done.status, done.text) == (65, "")
    assert "the answer cannot be checked: the schema refers to https://example.com/a.json, and nothing" in done.err


def test_many_objects_come_as_their_items(shell: Shell) -> None:
    answer = {"items": [{"name": "Ada"}, {"name": "Ann"}]}
    with Server(reply(json.dumps(answer))) as server:
        done = shell.run(ask(server, "--schema-multi name") + " | llm-parts --json")
    assert (done.status, json.loads(done.text)) == (0, answer)


@pytest.mark.slow
def test_a_schema_of_a_stream_that_takes_for_ever_is_an_error(shell: Shell) -> None:
    request = {"schema": {"properties": {"a": {"pattern": "^(a+)+$"}}}}
    parts = [{"type": "text", "text": json.dumps({"a": "a" * 40 + "!"})}]
    message = {"type": "message", "role": "assistant", "parts": parts, "response": {"id": "1", "request": request}}
    done = shell.run("llm-parts --json", stdin=json.dumps(message).encode())
    assert (done.status, "the schema takes too long to check" in done.err, done.err.count("\n")) == (65, True, 1)
