"""The schema of an answer: as it is, narrow and strict, loose, or in words, as the vendor takes it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.protocols import PROTOCOLS, load
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import dumps, loads
from support import referees
from support import schema_rules as rules
from support.harness import Shell
from support.strategies import QUICK

Object = dict[str, Any]

TEXT: Object = {"type": "string"}
CLOSED: Object = {"type": "object", "properties": {"a": TEXT}, "required": ["a"], "additionalProperties": False}
OPEN: Object = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
SYSTEM = {"type": "message", "role": "system", "parts": [{"type": "text", "text": "Be brief."}]}
USER = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "hi"}]}


def body_of(protocol: str, *records: Any, **fields: Any) -> tuple[Object, list[str]]:
    """Return the body of a request, and the codes of the notices."""
    request, notices = load(protocol).encode(Conversation(records or (USER,)), Request("m", "m", **fields))
    body: Object = loads(request.body)
    referees.require()
    referees.judge(protocol, body)
    return body, [notice["code"] for notice in notices]


def form_of(protocol: str, body: Object) -> tuple[Any, bool | None]:
    """Return the schema in the fields of a body, None if it has none, and whether it is strict."""
    if protocol == "openai-chat":
        form = body.get("response_format", {}).get("json_schema", {})
        return form.get("schema"), form.get("strict", False)
    if protocol == "openai-responses":
        form = body.get("text", {}).get("format", {})
        return form.get("schema"), form.get("strict", False)
    if protocol == "anthropic":
        return body.get("output_config", {}).get("format", {}).get("schema"), None
    if protocol == "gemini":
        return body["generationConfig"].get("responseJsonSchema"), None
    return body.get("format"), None


def first_text(protocol: str, body: Object) -> str:
    """Return the text of the first system message, "" if there is none."""
    if protocol == "anthropic":
        return str(body.get("system", ""))
    message = body["input" if protocol == "openai-responses" else "messages"][0]
    return str(message["content"]) if message["role"] == "system" else ""


NULLABLE, MANY = {"type": ["string", "null"]}, [f"p{number}" for number in range(17)]
STRICT, LOOSE, WORDS = "strict", "loose", "words"
RECURSIVE = {**CLOSED, "properties": {"a": {"type": "array", "items": {"$ref": "#"}}}}
MAP = {**CLOSED, "properties": {"a": {"type": "object", "additionalProperties": TEXT}}}
DOUBLED = {
    **CLOSED,
    "properties": {"a": {"$ref": "#/$defs/D29"}},
    "$defs": {
        "D0": CLOSED,
        **{f"D{n}": {"type": "array", "items": {"$ref": f"#/$defs/D{n - 1}"}} for n in range(1, 3)},
        **{f"D{n}": {"anyOf": [{"$ref": f"#/$defs/D{n - 1}"}, {"$ref": f"#/$defs/D{n - 1}"}]} for n in range(3, 30)},
    },
}
"""A schema that is small, and of which each step doubles."""
SAMPLES: dict[str, tuple[Object, str, str]] = {
    # name: (schema, how OpenAI gets it, how Anthropic does)
    "closed": (CLOSED, STRICT, STRICT),
    "open": (OPEN, STRICT, STRICT),
    "open inside": ({**CLOSED, "properties": {"a": {"type": "array", "items": OPEN}}}, STRICT, STRICT),
    "without a type": ({"properties": {"a": TEXT}, "required": ["a"]}, STRICT, STRICT),
    "optional": ({"type": "object", "properties": {"a": TEXT}}, LOOSE, STRICT),
    "a map": (MAP, LOOSE, WORDS),
    "any object": ({**CLOSED, "properties": {"a": {"type": "object"}}}, LOOSE, WORDS),
    "open on purpose": ({**CLOSED, "additionalProperties": True}, LOOSE, WORDS),
    "nullable": ({**CLOSED, "properties": {"a": {"type": ["string", "null"]}}}, STRICT, STRICT),
    "anything": ({**CLOSED, "properties": {"a": {}}}, LOOSE, WORDS),
    "untyped enum": ({**CLOSED, "properties": {"a": {"enum": ["x", "y"]}}}, STRICT, STRICT),
    "untyped const": ({**CLOSED, "properties": {"a": {"const": 1}}}, STRICT, STRICT),
    "default": ({**CLOSED, "properties": {"a": {"type": "string", "default": "x"}}}, STRICT, STRICT),
    "bounds": ({**CLOSED, "properties": {"a": {"type": "integer", "minimum": 1, "maximum": 9}}}, STRICT, STRICT),
    "length": ({**CLOSED, "properties": {"a": {"type": "string", "minLength": 1}}}, LOOSE, STRICT),
    "format uri": ({**CLOSED, "properties": {"a": {"type": "string", "format": "uri"}}}, LOOSE, STRICT),
    "format of ours": ({**CLOSED, "properties": {"a": {"type": "string", "format": "isbn"}}}, LOOSE, STRICT),
    "two of them": ({**CLOSED, "properties": {"a": {"type": "array", "items": TEXT, "minItems": 2}}}, STRICT, STRICT),
    "array of anything": ({**CLOSED, "properties": {"a": {"type": "array"}}}, LOOSE, STRICT),
    "tuple": ({**CLOSED, "properties": {"a": {"type": "array", "prefixItems": [TEXT, TEXT]}}}, LOOSE, STRICT),
    "old tuple": ({**CLOSED, "properties": {"a": {"type": "array", "items": [TEXT, TEXT]}}}, LOOSE, STRICT),
    "oneOf": ({**CLOSED, "properties": {"a": {"oneOf": [TEXT, {"type": "null"}]}}}, LOOSE, STRICT),
    "allOf": ({**CLOSED, "properties": {"a": {"allOf": [TEXT]}}}, LOOSE, STRICT),
    "allOf of objects": (
        {**CLOSED, "properties": {"a": {"allOf": [OPEN, {"type": "object", "properties": {"b": TEXT}}]}}},
        LOOSE,
        WORDS,
    ),
    "properties beside anyOf": (
        {**CLOSED, "properties": {"a": {**OPEN, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}}},
        LOOSE,
        WORDS,
    ),
    "reference": ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": OPEN}}, STRICT, STRICT),
    "described reference": (
        {**CLOSED, "properties": {"a": {"$ref": "#/$defs/A", "description": "d"}}, "$defs": {"A": CLOSED}},
        STRICT,
        STRICT,
    ),
    "reference at the root": ({"$ref": "#/$defs/A", "$defs": {"A": OPEN}}, STRICT, STRICT),
    "reference to nothing": ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/A"}}}, LOOSE, WORDS),
    "recursive": (RECURSIVE, STRICT, WORDS),
    "array at the root": ({"type": "array", "items": OPEN}, WORDS, STRICT),
    "anyOf at the root": ({"anyOf": [OPEN, {"type": "object", "properties": {"b": TEXT}}]}, WORDS, STRICT),
    "pydantic": (
        {
            "$defs": {"Kind": {"enum": ["a", "b"], "title": "Kind", "type": "string"}},
            "properties": {
                "kind": {"$ref": "#/$defs/Kind", "description": "What it is."},
                "note": {"anyOf": [TEXT, {"type": "null"}], "title": "Note"},
            },
            "required": ["kind", "note"],
            "title": "Item",
            "type": "object",
        },
        STRICT,
        STRICT,
    ),
    "many optional": (
        {"type": "object", "properties": {f"p{number}": TEXT for number in range(25)}, "required": []},
        LOOSE,
        WORDS,
    ),
    "many unions": ({**CLOSED, "properties": dict.fromkeys(MANY, NULLABLE), "required": MANY}, STRICT, WORDS),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", SAMPLES)


def in_words(protocol: str, body: Object, schema: Object) -> bool:
    """Return whether a body has no schema in its fields, and the whole schema in its system message."""
    assert form_of(protocol, body)[0] is None
    return dumps(schema).decode() in first_text(protocol, body)


@EACH
@pytest.mark.parametrize("protocol", ["openai-responses", "openai-chat"])
def test_openai(protocol: str, name: str) -> None:
    schema, how, _ = SAMPLES[name]
    body, notices = body_of(protocol, schema=schema)
    found, is_strict = form_of(protocol, body)
    if how == WORDS and protocol == "openai-responses":
        assert in_words(protocol, body, schema)
        assert notices == ["changed_schema"]
        return
    assert is_strict is (how == STRICT)
    assert notices == ([] if is_strict else ["loose_schema"])
    if protocol == "openai-responses" or is_strict:
        rules.openai_answer(found, is_strict=bool(is_strict))
    else:
        assert found == schema, "other servers get what was asked"


@EACH
def test_anthropic(name: str) -> None:
    schema, _, how = SAMPLES[name]
    body, notices = body_of("anthropic", schema=schema)
    if how == WORDS:
        assert in_words("anthropic", body, schema)
        assert notices == ["changed_schema"]
        return
    found, _ = form_of("anthropic", body)
    rules.anthropic_answer(found)
    described = {"bounds", "length", "format of ours", "two of them", "tuple", "old tuple"}
    assert notices == (["changed_schema"] if name in described else [])
    assert first_text("anthropic", body) == ""


@EACH
def test_google(name: str) -> None:
    body, notices = body_of("gemini", schema=SAMPLES[name][0])
    rules.google_schema(form_of("gemini", body)[0])
    assert notices == []


def test_what_anthropic_does_not_take_is_described() -> None:
    schema = {**OPEN, "properties": {"a": {"type": "integer", "minimum": 1, "description": "How many."}}}
    found, _ = form_of("anthropic", body_of("anthropic", schema=schema)[0])
    assert found["properties"]["a"] == {"type": "integer", "description": "How many.\n\n{minimum: 1}"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_small_schema_of_which_each_step_doubles(protocol: str) -> None:
    body, notices = body_of(protocol, schema=DOUBLED)
    assert notices == (["changed_schema"] if protocol == "anthropic" else [])
    if protocol == "anthropic":
        assert in_words(protocol, body, DOUBLED)


# An answer that fits what was sent fits what was asked


@st.composite
def answers(draw: st.DrawFn, schema: Any, root: Any, depth: int = 4) -> Any:
    """A value that fits a strict schema."""
    if "$ref" in schema:
        return draw(answers(rules.target(root, schema["$ref"]), root, depth))
    if "allOf" in schema:
        return draw(answers(schema["allOf"][0], root, depth))
    if "anyOf" in schema:
        return draw(answers(draw(st.sampled_from(schema["anyOf"])), root, depth))
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum", [schema.get("const")])))
    kind = draw(st.sampled_from(rules.kinds(schema)))
    if kind == "object":
        names = [name for name in schema["properties"] if name in schema.get("required", ()) or draw(st.booleans())]
        return {name: draw(answers(schema["properties"][name], root, depth - 1)) for name in names}
    if kind == "array":
        least = schema.get("minItems", 0)
        count = least if depth < 1 else draw(st.integers(least, least + 1))
        return [draw(answers(schema.get("items", TEXT), root, depth - 1)) for _ in range(count)]
    plain = {"string": "x", "integer": 5, "number": 1.5, "boolean": True, "null": None}
    return plain[kind]


NARROW = [
    (protocol, name)
    for name, (_, openai, anthropic) in SAMPLES.items()
    for protocol, how in (("openai-responses", openai), ("anthropic", anthropic))
    if how == STRICT and name not in ("length", "bounds", "format of ours", "two of them", "tuple", "old tuple")
]


@pytest.mark.parametrize(("protocol", "name"), NARROW)
@QUICK
@given(data=st.data())
def test_an_answer_that_fits_what_was_sent_fits_what_was_asked(protocol: str, name: str, data: Any) -> None:
    schema = SAMPLES[name][0]
    found, _ = form_of(protocol, body_of(protocol, schema=schema)[0])
    answer = data.draw(answers(found, found))
    jsonschema.Draft202012Validator(found).validate(answer)
    jsonschema.Draft202012Validator(schema).validate(answer)


# In words


@pytest.mark.parametrize("protocol", ["openai-chat", "openai-responses", "anthropic"])
def test_words_go_to_the_first_system_message(protocol: str) -> None:
    schema = {"type": "object", "additionalProperties": TEXT}
    body, _ = body_of(protocol, SYSTEM, USER, schema=schema, quirks=frozenset({"no_schema"}))
    text = first_text(protocol, body)
    assert text.startswith("Be brief.\n\nAnswer with one JSON value") and text.endswith(dumps(schema).decode())
    assert form_of(protocol, body)[0] is None


def test_json_mode_has_the_schema_in_words() -> None:
    for provider_quirks in ({"json_object"}, {"json_object", "thinking"}):
        body, notices = body_of("openai-chat", schema=OPEN, quirks=frozenset(provider_quirks))
        assert body["response_format"] == {"type": "json_object"}
        assert in_words("openai-chat", body, OPEN)
        assert notices == ["changed_schema"]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("deepseek/deepseek-chat", ""),
        ("zai/glm-5", ""),
        ("alibaba/qwen-max", ""),
        ("mine/m", "[providers.mine]\nbase_url = 'http://127.0.0.1:9'\nquirks = ['json_object']\n"),
        ("groq/m", "[providers.groq]\nquirks = ['json_object']\n"),
    ],
)
def test_any_provider_can_have_json_mode_only(model: str, settings: str, shell: Shell) -> None:
    (shell.folder / "c.toml").write_text(settings)
    keys = {"DEEPSEEK_API_KEY": "k", "ZAI_API_KEY": "k", "DASHSCOPE_API_KEY": "k", "GROQ_API_KEY": "k"}
    done = shell.run(
        f"llm-msg user hi | llm-send -m {model} --dry-run --schema 'a int'",
        env={"LLMTOOLS_CONFIG": str(shell.folder / "c.toml"), **keys},
    )
    assert done.status == 0, done.err
    body = loads(done.text)["body"]
    assert body["response_format"] == {"type": "json_object"}
    assert '"a":{"type":"integer"}' in body["messages"][0]["content"]
    assert "in words" in done.err


# JSON without a schema


JSON_MODE: dict[str, Object] = {
    "openai-chat": {"response_format": {"type": "json_object"}},
    "openai-responses": {"text": {"format": {"type": "json_object"}}},
    "anthropic": {},
    "gemini-interactions": {"response_format": {"type": "text", "mime_type": "application/json"}},
    "gemini": {"generationConfig": {"responseMimeType": "application/json"}},
    "ollama": {"format": "json"},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", [True, False])
def test_json_object(protocol: str, value: bool) -> None:
    asking = JSON_MODE[protocol]
    plain, _ = body_of(protocol)
    body, notices = body_of(protocol, options={"json_object": value})
    if not value:
        assert (body, notices) == (plain, [])
        return
    assert body.items() >= asking.items()
    assert notices == (["changed_option"] if protocol == "anthropic" else [])
    assert "one JSON object" in dumps(body).decode(), "vendors want the word JSON in a message"
    asked = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "List them as json"}]}
    body, _ = body_of(protocol, asked, options={"json_object": True})
    assert ("one JSON object" in dumps(body).decode()) is (protocol == "anthropic")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_schema_wins_over_json_object(protocol: str) -> None:
    with_both, notices = body_of(protocol, schema=CLOSED, options={"json_object": True})
    assert (with_both, notices) == body_of(protocol, schema=CLOSED)
