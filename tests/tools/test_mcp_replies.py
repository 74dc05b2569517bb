"""What MCP servers say, in every odd form: messages in lines, tools in a list, blocks in a result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtools.tools.calls import Result
from llmtools.tools.mcp_replies import result_of_reply, tools_of, vendor_name
from llmtools.tools.mcp_stdio import MessageReader, messages_of

Object = dict[str, Any]
PNG = "iVBORw0KGgo="
EMPTY = {"type": "object", "properties": {}}


def text(value: Any) -> Object:
    return {"type": "text", "text": value}


def image(data: Any, **more: Any) -> Object:
    return {"type": "image", "data": data, "mimeType": "image/png", **more}


# Messages


def answer(result: Any, **more: Any) -> Object:
    return {"jsonrpc": "2.0", "id": 3, "result": result, **more}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"jsonrpc":"2.0","id":3,"result":{"a":"caf\xe9"}}', answer({"a": "caf�"})),
        (b'{"jsonrpc":"2.0","id":3,"result":{"a":"\\ud83d","b":"\\ud83d\\ude42"}}', answer({"a": "�", "b": "🙂"})),
        (b'{"jsonrpc":"2.0","id":3,"result":{"a":NaN,"b":[-Infinity,1]}}', answer({"a": None, "b": [None, 1]})),
        (b'{"id":3,"result":{}}', answer({})),
        (b'{"jsonrpc":"2.0","id":"3","result":{}}', {**answer({}), "id": "3"}),
        (b'{"jsonrpc":"2.0","id":3,"error":null,"result":{}}', answer({})),
        (b'{"jsonrpc":"2.0","id":3,"result":"bare"}', answer({"content": "bare"})),
        (b'{"jsonrpc":"2.0","id":3,"result":null}', answer({"content": None})),
    ],
)
def test_an_odd_answer_is_mended(line: bytes, message: Object) -> None:
    assert messages_of(line) == [message]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"id":3,"error":"no luck"}', "no luck"),
        (b'{"id":3,"error":{"code":"x","message":"no luck"}}', "no luck"),
        (b'{"id":3,"error":{"message":"no luck"},"result":{}}', "no luck"),
        (b'{"jsonrpc":"2.0","id":3}', "neither a result nor an error"),
    ],
)
def test_an_odd_error_is_an_error(line: bytes, says: str) -> None:
    [message] = messages_of(line)
    assert "result" not in message
    assert says in message["error"]["message"] and type(message["error"]["code"]) is int


def read(text: bytes) -> list[Object]:
    reader = MessageReader()
    return [message for line in text.splitlines(keepends=True) for message in reader.feed(line)]


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("", json.dumps(answer({"a": [{}, {"b": 1}]}), indent=2)),
        ("Server v1\n[info] {not json\n{\n", json.dumps(answer({"a": [{}, {"b": 1}]}), indent=1)),
        ("{not json\n", json.dumps(answer({"a": [{}, {"b": 1}]}))),
        ('{"level": "info"}\n', json.dumps(answer({"a": [{}, {"b": 1}]}))),
    ],
)
def test_a_message_over_several_lines_and_between_others(before: str, body: str) -> None:
    assert read(f"{before}{body}\nmore\n{body}\n".encode()) == [answer({"a": [{}, {"b": 1}]})] * 2


def test_a_text_with_raw_newlines() -> None:
    assert read(b'{"id":3,"result":{"a":"one\ntwo"}}\n') == [answer({"a": "one\ntwo"})]


def test_a_batch_and_a_notification() -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/message"}
    assert read(json.dumps([answer({}), note]).encode() + b"\n") == [answer({}), note]


def test_an_answer_that_is_cut_is_a_failure_of_its_call() -> None:
    cut = b'{"jsonrpc":"2.0","id":3,"result":{"content":[{"ty\n'
    messages = read(cut + json.dumps({**answer({}), "id": 4}).encode() + b"\n" + cut + cut)
    assert [message["id"] for message in messages] == [3, 4, 3]
    assert messages[0]["error"]["message"] == "the answer of the server is not JSON"


# Tools


@pytest.mark.parametrize(("name", "fit"), [("a.b/c", "a_b_c"), ("é" * 70, "_" * 64), ("ok-1", "ok-1")])
def test_a_name_that_vendors_do_not_take(name: str, fit: str) -> None:
    assert vendor_name(name) == fit


def test_names_are_unique_and_lead_back() -> None:
    names = ["files/read", "files.read", "файл", "n" * 90, "n" * 95]
    by_name, records, notices = tools_of([{"name": name} for name in names])
    assert list(by_name) == ["files_read", "files_read_2", "____", "n" * 64, "n" * 60 + "_2"]
    assert [tool["name"] for tool in by_name.values()] == names
    assert [record["name"] for record in records] == list(by_name)
    assert notices == []


GOOD: list[tuple[Object, Object]] = [
    ({}, EMPTY),
    ({"inputSchema": None, "description": None}, EMPTY),
    ({"inputSchema": {"type": "object", "properties": {"a": True}}}, {"type": "object", "properties": {"a": True}}),
    ({"inputSchema": {"anyOf": [{"type": "object"}]}}, {"anyOf": [{"type": "object"}]}),
    ({"inputSchema": EMPTY, "outputSchema": {"type": "array"}, "icons": "none", "annotations": 1}, EMPTY),
]


@pytest.mark.parametrize(("tool", "schema"), GOOD)
def test_an_odd_tool_that_is_good_enough(tool: Object, schema: Object) -> None:
    _, records, notices = tools_of([{"name": "t", **tool}])
    assert (records, notices) == ([{"type": "tool", "name": "t", "input_schema": schema}], [])


@pytest.mark.parametrize(
    ("schema", "part", "says"),
    [
        ({**EMPTY, "required": None}, EMPTY, r"$.required is not valid"),
        ({"properties": {"a": {}, "required": ["a"]}}, {"properties": {"a": {}}}, r"$.properties.required"),
        ({"properties": {"a": {"minLength": "3"}}}, {"properties": {"a": {}}}, r"$.properties.a.minLength"),
        ({"properties": {"a": {"$ref": "#/x"}}}, {"properties": {"a": {}}}, "refers to #/x, which is not in it"),
    ],
)
def test_a_schema_loses_the_part_that_is_wrong(schema: Object, part: Object, says: str) -> None:
    _, records, [notice] = tools_of([{"name": "t", "inputSchema": schema}])
    assert records[0]["input_schema"] == part
    assert notice.startswith("the tool t: a part of its inputSchema is left out: ") and says in notice


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ({"inputSchema": EMPTY}, "tool 2 has no name: it is left out"),
        ({"name": ""}, "tool 2 has no name"),
        ({"name": 7}, "tool 2 has no name"),
        ("t", "tool 2 has no name"),
        ({"name": "good"}, "the tool good is listed again: the first counts"),
        ({"name": "t", "inputSchema": {"type": "string"}}, "the tool t is left out: its inputSchema takes no object"),
        ({"name": "t", "inputSchema": [1]}, "the tool t is left out: its inputSchema is not an object"),
    ],
)
def test_a_tool_that_nobody_can_call_costs_only_itself(tool: Any, says: str) -> None:
    by_name, records, [notice] = tools_of([{"name": "good", "inputSchema": EMPTY}, tool])
    assert (list(by_name), len(records)) == (["good"], 1)
    assert says in notice


# Results


@pytest.mark.parametrize(
    ("reply", "output"),
    [
        ({"content": [text("one"), text("two")], "structuredContent": {"a": 1}}, "one\ntwo"),
        ({"content": [text("")], "structuredContent": {"a": 1}}, '{"a":1}'),
        ({"structuredContent": {"a": 1}}, '{"a":1}'),
        ({}, ""),
        ({"content": None}, ""),
        ({"content": "bare"}, "bare"),
        ({"content": text("one block")}, "one block"),
        ({"content": ["a", 7, text(None), text({"a": 1})]}, 'a\n7\n\n{"a":1}'),
        ({"content": [{"type": "video", "data": "AAAA"}]}, "[a content block of the type video is left out]"),
        ({"content": [{"type": "resource", "resource": {"text": "inside"}}]}, "inside"),
        ({"content": [{"type": "resource"}]}, "[a content block of the type resource is left out]"),
        (
            {"content": [{"type": "resource_link", "name": "b", "uri": "file:///b", "description": "d"}]},
            "b: file:///b (d)",
        ),
    ],
)
def test_the_text_of_a_result(reply: Object, output: str) -> None:
    assert result_of_reply(reply) == Result(output)


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        ({"content": [text("one")], "isError": True}, Result("one", "one")),
        ({"content": [], "isError": True}, Result("", "the tool failed")),
        ({"isError": True, "structuredContent": {"why": 1}}, Result('{"why":1}', '{"why":1}')),
    ],
)
def test_a_result_that_is_an_error(reply: Object, result: Result) -> None:
    assert result_of_reply(reply, {"type": "object", "required": ["n"]}) == result


@pytest.mark.parametrize(
    "block",
    [
        image(PNG),
        image(PNG, mimeType=None),
        image(PNG, mimeType="image/jpeg"),
        image("data:image/png;base64," + PNG),
        image("data:image/png;base64," + PNG, mimeType=None),
        image("iVBORw0K\nGgo=\n"),
        image("iVBORw0KGgo"),
        {"type": "resource", "resource": {"blob": PNG}},
    ],
)
def test_an_image_in_any_form(block: Object) -> None:
    result = result_of_reply({"content": [text("see"), block]})
    assert result == Result("see", None, [{"type": "image/png", "content": PNG}])


def test_url_safe_digits_and_other_files() -> None:
    blocks = [image("_9j_4AAQ", mimeType="image/jpeg"), {"type": "audio", "mimeType": "audio/wav", "data": "QUJD"}]
    blocks.append({"type": "resource", "resource": {"uri": "a", "blob": "AAEC"}})
    assert result_of_reply({"content": blocks}).attachments == [
        {"type": "image/jpeg", "content": "/9j/4AAQ"},
        {"type": "audio/wav", "content": "QUJD"},
        {"type": "application/octet-stream", "content": "AAEC"},
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("not base64!!", "the image of the result is broken: it is not base64"),
        ("iVBO=Rw0KGgo", "not base64"),
        (None, "not base64"),
        ("", "the image of the result is empty"),
        ("data:image/png;base64,", "empty"),
        ("aGVsbG8gd29ybGQ=", "it is text"),
    ],
)
def test_a_broken_image_is_told_and_does_not_go_on(data: Any, says: str) -> None:
    result = result_of_reply({"content": [text("shot"), image(data), image(PNG)]})
    assert (result.output, len(result.attachments)) == ("shot", 1)
    assert says in (result.exception or "")


@pytest.mark.parametrize(
    ("schema", "structured", "says"),
    [
        ({"properties": {"n": {"type": "integer"}}}, {"n": "seven"}, "structuredContent.n: 'seven' is not of type"),
        ({"type": "object"}, None, "has no structured content"),
        ({"type": "array"}, [1], None),
        ({"type": "unheard of"}, {"n": 1}, None),
        ("no schema", {"n": 1}, None),
    ],
)
def test_a_result_that_does_not_fit_its_schema_keeps_its_text(schema: Any, structured: Any, says: str | None) -> None:
    result = result_of_reply({"content": [text("useful")], "structuredContent": structured}, schema)
    assert result.output == "useful"
    assert (says is None and result.exception is None) or (says and says in (result.exception or ""))
