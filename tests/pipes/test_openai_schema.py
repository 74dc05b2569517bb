"""What OpenAI is asked, against a schema of the two protocols' requests.

The schema has the fields that the documentation of OpenAI lists, and refuses others.
Bodies are those that `llm-send --dry-run` shows.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import jsonschema
import pytest

from support.harness import Shell
from support.sample_requests import FILES, VALUES

Object = dict[str, Any]

TEXT: Object = {"type": "string"}
NUMBER: Object = {"type": "number"}
COUNT: Object = {"type": "integer", "minimum": 0}
FLAG: Object = {"type": "boolean"}
ANY: Object = {"type": "object"}
NAME: Object = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
JSON: Object = {"type": "string", "contentMediaType": "application/json"}


def one_of(*values: str) -> Object:
    return {"enum": list(values)}


def listed(*kinds: Object) -> Object:
    return {"type": "array", "items": {"anyOf": list(kinds)} if len(kinds) > 1 else kinds[0], "minItems": 1}


def thing(needed: Object, optional: Object | None = None) -> Object:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**needed, **(optional or {})},
        "required": list(needed),
        "additionalProperties": False,
    }


def typed(kind: str, needed: Object | None = None, optional: Object | None = None) -> Object:
    return thing({"type": {"const": kind}, **(needed or {})}, optional)


EFFORT = one_of("none", "minimal", "low", "medium", "high", "xhigh", "max")
TIER = one_of("auto", "default", "flex", "scale", "priority", "fast")
VERBOSITY = one_of("low", "medium", "high")
FORMAT = {"name": NAME, "schema": ANY}
FORMAT_MORE = {"strict": FLAG, "description": TEXT}

CHAT_USER = listed(
    typed("text", {"text": TEXT}),
    typed("image_url", {"image_url": thing({"url": TEXT}, {"detail": TEXT})}),
    typed("input_audio", {"input_audio": thing({"data": TEXT, "format": one_of("wav", "mp3")})}),
    typed("file", {"file": thing({}, {"file_data": TEXT, "filename": TEXT, "file_id": TEXT})}),
)
CHAT_CALL = typed("function", {"id": TEXT, "function": thing({"name": NAME, "arguments": JSON})})
CHAT_TEXT = {"anyOf": [TEXT, listed(typed("text", {"text": TEXT}))]}
CHAT_MESSAGE = {
    "oneOf": [
        thing({"role": one_of("system", "developer"), "content": CHAT_TEXT}),
        thing({"role": {"const": "user"}, "content": {"anyOf": [TEXT, CHAT_USER]}}),
        thing(
            {"role": {"const": "assistant"}},
            {"content": {"anyOf": [CHAT_TEXT, {"type": "null"}]}, "refusal": TEXT, "tool_calls": listed(CHAT_CALL)},
        ),
        thing({"role": {"const": "tool"}, "tool_call_id": TEXT, "content": CHAT_TEXT}),
    ]
}
CHAT_TOOL = typed(
    "function", {"function": thing({"name": NAME}, {"description": TEXT, "parameters": ANY, "strict": FLAG})}
)
CHAT = thing(
    {"model": TEXT, "messages": listed(CHAT_MESSAGE)},
    {
        "tools": listed(CHAT_TOOL),
        "tool_choice": {
            "anyOf": [one_of("none", "auto", "required"), typed("function", {"function": thing({"name": NAME})})]
        },
        "parallel_tool_calls": FLAG,
        "response_format": {
            "anyOf": [typed("json_object"), typed("json_schema", {"json_schema": thing(FORMAT, FORMAT_MORE)})]
        },
        "reasoning_effort": EFFORT,
        "verbosity": VERBOSITY,
        "max_tokens": COUNT,
        "max_completion_tokens": COUNT,
        "temperature": NUMBER,
        "top_p": NUMBER,
        "stop": {"type": "array", "items": TEXT, "maxItems": 4},
        "seed": {"type": "integer"},
        "presence_penalty": NUMBER,
        "frequency_penalty": NUMBER,
        "service_tier": TIER,
        "prompt_cache_key": TEXT,
        "web_search_options": ANY,
        "stream": FLAG,
        "stream_options": thing({}, {"include_usage": FLAG, "include_obfuscation": FLAG}),
    },
)

INPUT = listed(
    typed("input_text", {"text": TEXT}),
    typed("input_image", {"image_url": TEXT}, {"detail": TEXT, "file_id": TEXT}),
    typed("input_file", {}, {"file_data": TEXT, "filename": TEXT, "file_url": TEXT, "file_id": TEXT}),
)
OUTPUT = listed(
    typed("output_text", {"text": TEXT}, {"annotations": {"type": "array"}}),
    typed("refusal", {"refusal": TEXT}),
)
STATUS = one_of("in_progress", "completed", "incomplete")
ITEM = {
    "oneOf": [
        typed("message", {"role": one_of("user", "system", "developer"), "content": {"anyOf": [TEXT, INPUT]}}),
        typed(
            "message",
            {"role": {"const": "assistant"}, "content": {"anyOf": [TEXT, OUTPUT]}},
            {"id": TEXT, "status": STATUS, "phase": one_of("commentary", "final_answer")},
        ),
        typed("function_call", {"call_id": NAME, "name": NAME, "arguments": JSON}, {"id": TEXT, "status": STATUS}),
        typed(
            "function_call_output",
            {"call_id": NAME, "output": {"anyOf": [TEXT, INPUT]}},
            {"id": TEXT, "status": STATUS},
        ),
        typed(
            "reasoning",
            {"summary": {"type": "array", "items": typed("summary_text", {"text": TEXT})}},
            {"id": TEXT, "encrypted_content": TEXT, "content": {"type": "array"}, "status": STATUS},
        ),
    ]
}
TOOL = {
    "oneOf": [
        typed("function", {"name": NAME, "parameters": ANY, "strict": FLAG}, {"description": TEXT}),
        typed("web_search", {}, {"filters": ANY, "search_context_size": TEXT, "user_location": ANY}),
        typed("code_interpreter", {"container": {"anyOf": [TEXT, typed("auto", {}, {"file_ids": listed(TEXT)})]}}),
        typed("image_generation", {}, {"size": TEXT, "quality": TEXT, "output_format": TEXT, "background": TEXT}),
        typed("file_search", {"vector_store_ids": listed(TEXT)}),
        typed("mcp", {"server_label": TEXT, "server_url": TEXT}, {"require_approval": {}, "allowed_tools": {}}),
    ]
}
INCLUDES = one_of("reasoning.encrypted_content", "web_search_call.action.sources", "code_interpreter_call.outputs")
RESPONSES = thing(
    {"model": TEXT, "input": listed(ITEM), "store": {"const": False}},
    {
        "include": listed(INCLUDES),
        "reasoning": thing({}, {"effort": EFFORT, "summary": one_of("auto", "concise", "detailed")}),
        "text": thing({}, {"format": typed("json_schema", FORMAT, FORMAT_MORE), "verbosity": VERBOSITY}),
        "max_output_tokens": COUNT,
        "tools": listed(TOOL),
        "tool_choice": {"anyOf": [one_of("none", "auto", "required"), typed("function", {"name": NAME})]},
        "parallel_tool_calls": FLAG,
        "temperature": NUMBER,
        "top_p": NUMBER,
        "service_tier": TIER,
        "prompt_cache_key": TEXT,
        "stream": FLAG,
    },
)
SCHEMAS = {"openai-chat": CHAT, "openai-responses": RESPONSES}
EACH = pytest.mark.parametrize("protocol", SCHEMAS)


def refuse(protocol: str, body: Any) -> None:
    """Refuse a body that the schema does not allow."""
    jsonschema.Draft202012Validator(SCHEMAS[protocol]).validate(body)


def shown(shell: Shell, protocol: str, options: str = "", stdin: str = "llm-msg user hi") -> Any:
    """The body of the request that would be sent."""
    url = "--base-url http://127.0.0.1:9"
    done = shell.run(f"{stdin} | llm-send --dry-run {url} --protocol {protocol} -m gpt-5.5 {options}")
    assert done.status == 0, done.err
    return json.loads(done.text)["body"]


OPTIONS = " ".join(
    f"-o {name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in VALUES.items()
)
# What OpenAI itself refuses, and only other servers take, is not asked of it here.
ASKED = [
    "",
    OPTIONS.replace("-o top_k 7", ""),
    "--reasoning high --no-stream",
    "--reasoning none --schema 'name, age int'",
    "--schema-multi 'name' --cache-prompt",
    "-s 'Be brief'",
]


@EACH
@pytest.mark.parametrize("options", ASKED)
def test_options(protocol: str, options: str, shell: Shell) -> None:
    refuse(protocol, shown(shell, protocol, options))


@EACH
def test_a_whole_conversation(protocol: str, shell: Shell) -> None:
    for name, data in FILES.items():
        (shell.folder / name).write_bytes(data)
    attached = " -a image.png -a paper.pdf -a table.csv" + (" -a sound.wav" if protocol == "openai-chat" else "")
    records: list[Object] = [
        {"type": "tool", "name": "add", "description": "Add.", "input_schema": {"type": "object", "properties": {}}},
        {"type": "tool", "name": "strict", "input_schema": {"type": "object", "additionalProperties": False}},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "text": "hm"},
                {"type": "text", "text": "Well", "annotations": [{"kind": "url_citation", "url": "https://a.example"}]},
                {"type": "tool_call", "name": "add", "arguments": {"a": 1}, "tool_call_id": "a b"},
                {"type": "tool_call", "name": "add", "arguments": {"a": 2}},
                {"type": "refusal", "text": "no"},
            ],
        },
        {
            "role": "tool",
            "parts": [
                {"type": "tool_result", "name": "add", "output": "1", "tool_call_id": "a b"},
                {"type": "tool_result", "name": "add", "output": "", "tool_call_id": "~3", "exception": "failed"},
            ],
        },
    ]
    (shell.folder / "talk.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    before = f"llm-msg system s; llm-msg -n user look{attached}; cat talk.jsonl; llm-msg -n system later"
    for choice in ("auto", "required", "none", "add"):
        body = shown(shell, protocol, f"--tool-choice {choice}", f"{{ {before}; llm-msg -n user more; }}")
        refuse(protocol, body)
    items = body["messages" if protocol == "openai-chat" else "input"]
    assert len(items) >= 7, "nothing of it is missing"


SERVER_TOOLS = {
    "openai-chat": ["web_search"],
    "openai-responses": [
        "web_search",
        "code_execution",
        "image_generation",
        """'file_search={"vector_store_ids": ["vs_1"]}'""",
        """'mcp={"server_label": "d", "server_url": "https://d.example"}'""",
    ],
}


@EACH
def test_server_tools(protocol: str, shell: Shell) -> None:
    refuse(protocol, shown(shell, protocol, " ".join(f"--server-tool {tool}" for tool in SERVER_TOOLS[protocol])))


@EACH
def test_the_schema_refuses_what_is_wrong(protocol: str, shell: Shell) -> None:
    body = shown(shell, protocol, OPTIONS.replace("-o top_k 7", ""))
    field = "messages" if protocol == "openai-chat" else "input"
    wrong: list[Object] = [
        {**body, "unknown": 1},
        {**body, "temperature": "warm"},
        {**body, field: []},
        {**body, field: [{**body[field][0], "role": "model"}]},
        {**body, field: [{"role": "tool", "content": "without a call"}]},
        {**body, field: [{"type": "function_call_output", "output": "without a call"}]},
        {**body, "service_tier": "turbo"},
        {name: value for name, value in body.items() if name != "model"},
    ]
    for case in wrong:
        with pytest.raises(jsonschema.ValidationError):
            refuse(protocol, deepcopy(case))
