"""What llm-log imports: the log of `llm`, of old and of new, saved streams, its own export, another log.

The databases are made here, from the schemas that `llm` 0.27 and 0.36 made.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.harness import Shell

Object = dict[str, Any]

PNG = b"\x89PNG\r\n\x1a\nabc"
PNG_ID = hashlib.sha256(PNG).hexdigest()
COMMON = """
CREATE TABLE IF NOT EXISTS attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE IF NOT EXISTS schemas (id TEXT PRIMARY KEY, content TEXT);
CREATE TABLE IF NOT EXISTS fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT, datetime_utc TEXT,
    source TEXT);
CREATE TABLE IF NOT EXISTS tools (id INTEGER PRIMARY KEY, hash TEXT, name TEXT, description TEXT,
    input_schema TEXT, plugin TEXT);
"""
OLD = """
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT,
    response TEXT, response_json TEXT, conversation_id TEXT, duration_ms INTEGER, datetime_utc TEXT,
    input_tokens INTEGER, output_tokens INTEGER, token_details TEXT, schema_id TEXT, resolved_model TEXT,
    reasoning TEXT);
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE system_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE tool_responses (tool_id INTEGER, response_id TEXT);
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, arguments TEXT,
    tool_call_id TEXT);
CREATE TABLE tool_results (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, output TEXT,
    tool_call_id TEXT, instance_id INTEGER, exception TEXT);
CREATE TABLE tool_results_attachments (tool_result_id INTEGER, attachment_id TEXT, "order" INTEGER);
"""
NEW = """
CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT, role TEXT, provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT, position INTEGER, type TEXT, tool_name TEXT, text TEXT,
    payload TEXT);
CREATE TABLE part_attachments (part_id INTEGER, attachment_id TEXT, "order" INTEGER);
CREATE TABLE part_fragments (part_id INTEGER, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE threads (id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT,
    resolved_model TEXT, options_json TEXT, schema_id TEXT, input_tokens INTEGER, output_tokens INTEGER,
    token_details TEXT, duration_ms INTEGER, datetime_utc TEXT, response_json TEXT);
CREATE TABLE turn_tools (turn_id TEXT, tool_id INTEGER, instance_id INTEGER);
"""
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def insert(path: Path, schema: str, rows: dict[str, list[Object]]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(schema)
        for table, values in rows.items():
            for row in values:
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def old(path: Path) -> None:
    def row(number: int, **fields: Any) -> Object:
        moment = f"2025-06-01T10:00:0{number}.000000"
        common = {"id": f"r{number}", "model": "gpt-x", "conversation_id": "c1", "datetime_utc": moment}
        return {**common, "prompt": "", "response": "", "duration_ms": 1500, **fields}

    rows: dict[str, list[Object]] = {
        "conversations": [{"id": "c1", "name": "Sums", "model": "gpt-x"}],
        "attachments": [
            {"id": PNG_ID, "type": "image/png", "content": PNG},
            {"id": "ff" * 32, "type": "image/png", "path": "/gone.png"},
            {"id": "ee" * 32, "type": "image/png", "url": "https://example.org/a.png"},
        ],
        "schemas": [{"id": "s1", "content": json.dumps(SCHEMA)}],
        "fragments": [
            {"id": 1, "hash": "h", "content": "A fragment.\n"},
            {"id": 2, "hash": "i", "content": "Be kind."},
        ],
        "tools": [{"id": 1, "hash": "t", "name": "add", "description": "Adds.", "input_schema": json.dumps(SCHEMA)}],
        "responses": [
            row(
                1,
                prompt="1 + 2?",
                system="Be brief.",
                reasoning="hm",
                response="Let me see.",
                input_tokens=10,
                output_tokens=5,
                token_details='{"cached": 3}',
                options_json='{"temperature": 0.5}',
                schema_id="s1",
                resolved_model="gpt-x-2025",
            ),
            row(2, response="3"),
            row(3, prompt="And 4?", response="7", system="Be brief."),
            row(4, conversation_id=None, prompt="alone", response="yes"),
        ],
        "prompt_attachments": [
            {"response_id": "r1", "attachment_id": attachment, "order": place}
            for place, attachment in enumerate((PNG_ID, "ff" * 32, "ee" * 32))
        ],
        "prompt_fragments": [{"response_id": "r1", "fragment_id": 1, "order": 0}],
        "system_fragments": [{"response_id": "r1", "fragment_id": 2, "order": 0}],
        "tool_responses": [{"tool_id": 1, "response_id": "r1"}],
        "tool_calls": [
            {"response_id": "r1", "tool_id": 1, "name": "add", "arguments": '{"a": 1}', "tool_call_id": "k1"},
            {"response_id": "r1", "tool_id": 1, "name": "add", "arguments": '{"a": 2}', "tool_call_id": None},
        ],
        "tool_results": [
            {"id": 1, "response_id": "r2", "tool_id": 1, "name": "add", "output": "3", "tool_call_id": "k1"},
            {"id": 2, "response_id": "r2", "tool_id": 1, "name": "add", "output": "", "exception": "ValueError: no"},
        ],
        "tool_results_attachments": [{"tool_result_id": 1, "attachment_id": PNG_ID, "order": 0}],
    }
    rows["responses"][2]["system"] = None
    insert(path, COMMON + OLD, rows)


IMAGE = {"type": "image/png", "content": b64encode(PNG).decode()}
OLD_MESSAGES: list[Object] = [
    {"role": "system", "parts": [{"type": "text", "text": "Be kind.\n\nBe brief."}]},
    {
        "role": "user",
        "parts": [
            {"type": "text", "text": "A fragment.\n\n1 + 2?"},
            {"type": "attachment", "attachment": IMAGE},
            {"type": "attachment", "attachment": {"type": "image/png", "path": "/gone.png", "sha256": "ff" * 32}},
            {"type": "attachment", "attachment": {"type": "image/png", "url": "https://example.org/a.png"}},
        ],
    },
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "text": "hm"},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_call", "name": "add", "arguments": {"a": 1}, "tool_call_id": "k1"},
            {"type": "tool_call", "name": "add", "arguments": {"a": 2}, "tool_call_id": "~3"},
        ],
        "response": {
            "id": "r1",
            "model": "llm/gpt-x",
            "status": "ok",
            "model_served": "gpt-x-2025",
            "usage": {"input": 10, "output": 5},
            "created": "2025-06-01T10:00:01.000Z",
            "timing": {"total": 1.5},
            "request": {"options": {"temperature": 0.5}, "schema": SCHEMA},
            "details": {"llm": {"token_details": {"cached": 3}}},
        },
    },
    {
        "role": "tool",
        "parts": [
            {"type": "tool_result", "name": "add", "output": "3", "tool_call_id": "k1", "attachments": [IMAGE]},
            {"type": "tool_result", "name": "add", "output": "", "tool_call_id": "~3", "exception": "ValueError: no"},
        ],
    },
    {"role": "assistant", "parts": [{"type": "text", "text": "3"}]},
    {"role": "user", "parts": [{"type": "text", "text": "And 4?"}]},
    {"role": "assistant", "parts": [{"type": "text", "text": "7"}]},
]
TOOL = {"type": "tool", "name": "add", "description": "Adds.", "input_schema": SCHEMA}


def new(path: Path) -> None:
    def text(digest: str, text: str | None, **payload: Any) -> Object:
        said = json.dumps(payload) if payload else None
        return {"message_hash": digest, "position": 0, "type": "text", "text": text, "payload": said}

    reference = [{"literal": "Read: "}, {"fragment": 1}]
    call = {"name": "add", "arguments": {"a": 1}, "tool_call_id": "k1"}
    result = {"name": "add", "output": "3", "tool_call_id": "k1", "attachments": [{"id": PNG_ID}]}

    def turn(number: int, tip: str, **more: Any) -> Object:
        moment = f"2026-06-01T10:00:0{number}+00:00"
        return {
            "id": f"t{number}",
            "thread_id": "th",
            "tip_message_hash": tip,
            "model": "m",
            "datetime_utc": moment,
            **more,
        }

    insert(
        path,
        COMMON + NEW,
        {
            "attachments": [{"id": PNG_ID, "type": "image/png", "content": PNG}],
            "fragments": [{"id": 1, "hash": "h", "content": "the fragment"}],
            "tools": [
                {"id": 1, "hash": "t", "name": "add", "description": "Adds.", "input_schema": json.dumps(SCHEMA)}
            ],
            "messages": [
                {"hash": "u1", "role": "user"},
                {"hash": "a1", "parent_hash": "u1", "role": "assistant", "provider_metadata": '{"v": {"id": "x"}}'},
                {"hash": "o1", "parent_hash": "a1", "role": "tool"},
                {"hash": "a2", "parent_hash": "o1", "role": "assistant"},
                {"hash": "u2", "parent_hash": "a1", "role": "user"},
            ],
            "parts": [
                text("u1", None, text_ref=reference),
                {
                    "id": 20,
                    "message_hash": "u1",
                    "position": 1,
                    "type": "attachment",
                    "payload": json.dumps({"attachment": {"id": PNG_ID}}),
                },
                {**text("a1", "", provider_metadata={"v": {"signature": "s"}}), "type": "reasoning"},
                {"message_hash": "a1", "position": 1, "type": "tool_call", "payload": json.dumps(call)},
                {"id": 30, "message_hash": "o1", "position": 0, "type": "tool_result", "payload": json.dumps(result)},
                text("a2", "It is 3."),
                text("u2", "another way"),
            ],
            "part_attachments": [
                {"part_id": 20, "attachment_id": PNG_ID, "order": 0},
                {"part_id": 30, "attachment_id": PNG_ID, "order": 0},
            ],
            "threads": [{"id": "th", "name": "Read", "tip_message_hash": "a2"}],
            "turns": [
                turn(1, "a1", input_tokens=1, output_tokens=2),
                turn(2, "a2"),
                turn(3, "a2", resolved_model="m-2"),
            ],
            "turn_tools": [{"turn_id": "t1", "tool_id": 1}],
        },
    )


@pytest.fixture
def log(shell: Shell) -> Shell:
    shell.environment["LLMTOOLS_DATA"] = str(shell.folder / "data")
    return shell


def history(shell: Shell, ref: str) -> list[Object]:
    return shell.run(f"llm-log get {ref}").records


def without_response(messages: list[Object]) -> list[Object]:
    return [
        {name: value for name, value in message.items() if name not in ("response", "type")} for message in messages
    ]


def listed(shell: Shell) -> dict[str, str]:
    rows = [json.loads(line) for line in shell.run("llm-log list --json").text.splitlines()]
    return {row["text"]: row["hash"] for row in rows}


def test_the_old_log_of_llm(log: Shell) -> None:
    old(log.folder / "logs.db")
    before = (log.folder / "logs.db").read_bytes()
    done = log.run("llm-log import logs.db")
    assert done.err == "llm-log: imported 9 messages, 4 responses, 1 attachment\n"
    found = listed(log)
    assert list(found) == ["alone", "And 4?"]  # the newest first, by when they were
    tool, *messages = history(log, found["And 4?"])
    assert tool == TOOL
    assert without_response(messages) == without_response(OLD_MESSAGES)
    assert messages[2]["response"] == OLD_MESSAGES[2]["response"]
    assert log.run("llm-log search fragment --role user").status == 0
    assert log.run("TZ=UTC llm-log list").text.split("\t")[1] == "2025-06-01 10:00"
    again = log.run("llm-log import logs.db")
    assert again.err == "llm-log: imported 0 messages, 0 responses, 0 attachments\n"
    assert (log.folder / "logs.db").read_bytes() == before
    assert log.run("llm-log verify").status == 0


def test_the_log_of_llm_since_032(log: Shell) -> None:
    new(log.folder / "logs.db")
    done = log.run("llm-log import logs.db")
    assert done.err == "llm-log: imported 5 messages, 3 responses, 1 attachment\n"
    found = listed(log)
    tool, *messages = history(log, found["Read: the fragment"])
    assert tool == TOOL
    assert without_response(messages) == [
        {
            "role": "user",
            "parts": [{"type": "text", "text": "Read: the fragment"}, {"type": "attachment", "attachment": IMAGE}],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "text": "", "provider_metadata": {"v": {"signature": "s"}}},
                {"type": "tool_call", "name": "add", "arguments": {"a": 1}, "tool_call_id": "k1"},
            ],
            "provider_metadata": {"v": {"id": "x"}},
        },
        {
            "role": "tool",
            "parts": [
                {"type": "tool_result", "name": "add", "output": "3", "tool_call_id": "k1", "attachments": [IMAGE]}
            ],
        },
        {"role": "assistant", "parts": [{"type": "text", "text": "It is 3."}]},
    ]
    assert messages[3]["response"]["model_served"] == "m-2"  # the newest of two
    assert [record["role"] for record in history(log, found["another way"])[1:]] == ["user", "assistant", "user"]
    assert log.run("llm-log import logs.db").err.startswith("llm-log: imported 0 messages, 0 responses, 0 att")


def test_both_schemas_in_one_file(log: Shell) -> None:
    """As `llm` leaves it after an update: the old rows stay where they are."""
    old(log.folder / "logs.db")
    new(log.folder / "logs.db")
    assert log.run("llm-log import logs.db").err == "llm-log: imported 14 messages, 7 responses, 1 attachment\n"
    with closing(sqlite3.connect(log.folder / "logs.db")) as connection, connection:
        connection.execute("UPDATE turns SET id = 'r4' WHERE id = 't1'")  # one that stands in both
    assert "imported 12 messages" in log.run("llm-log -d other/log.db import logs.db").err
    assert "alone" not in log.run("llm-log -d other/log.db list").text


def test_a_log_of_llm_of_the_first_days(log: Shell) -> None:
    insert(
        log.folder / "logs.db",
        "CREATE TABLE responses (id TEXT, model TEXT, prompt TEXT, system TEXT, response TEXT, datetime_utc TEXT)",
        {
            "responses": [
                {"id": "1", "model": "m", "prompt": "q", "response": "a", "datetime_utc": "2023-07-01 10:00:00"}
            ]
        },
    )
    assert "2 messages" in log.run("llm-log import logs.db").err


def test_saved_streams_and_the_export_are_imported_once(log: Shell) -> None:
    log.run("llm-msg user one | llm-send -m echo --save talk.jsonl >all.jsonl")
    log.run("""llm-msg user '{"text": "half", "cut": true}' | llm-send -m echo >cut.jsonl""")
    done = log.run("llm-log import talk.jsonl all.jsonl cut.jsonl")
    assert done.err == "llm-log: imported 4 messages, 2 responses, 0 attachments\n"
    log.run("llm-log fork last~1 here; llm-log export >export.jsonl")
    assert log.run("llm-log import - <export.jsonl").err.startswith("llm-log: imported 0 messages, 0 responses")
    log.run("llm-log -d new/log.db import export.jsonl && llm-log -d new/log.db export >again.jsonl")
    assert (log.folder / "again.jsonl").read_bytes() == (log.folder / "export.jsonl").read_bytes()
    assert len(log.run("llm-log -d new/log.db get here").records) == 1
    log.run("llm-log -d third/log.db import new/log.db")
    assert log.run("llm-log -d third/log.db export").out == (log.folder / "export.jsonl").read_bytes()


def test_a_name_that_was_imported_and_taken_away_is_not_exported(log: Shell) -> None:
    meta = {"mine": 1, "log": {"names": ["here"]}}
    (log.folder / "in").write_text(
        json.dumps({"type": "conversation", "messages": [{"role": "user", "parts": []}], "meta": meta}) + "\n"
    )
    log.run("llm-log import in")
    assert log.run("llm-log export").records[0]["meta"] == meta
    log.run("llm-msg user b | llm-log --name here")
    metas = [record.get("meta") for record in log.run("llm-log export").records]
    assert metas == [{"mine": 1}, {"log": {"names": ["here"]}}]


def test_older_replies_of_the_same_words_are_exported_too(log: Shell) -> None:
    for _ in range(3):
        log.run("llm-msg user one | llm-send -m echo | llm-log")
    log.run("llm-log -q export | llm-log -d new/log.db import -q -")
    for database in ("data/log.db", "new/log.db"):
        with closing(sqlite3.connect(log.folder / database)) as connection:
            rows = connection.execute("SELECT json_extract(body, '$.id') FROM response ORDER BY id").fetchall()
        assert len(set(rows)) == 3
        if database == "data/log.db":
            first = rows
    assert rows == first
    assert log.run("llm-log -d new/log.db usage").text.splitlines()[1].startswith("echo\t3\t")


def test_what_is_imported_does_not_change_what_is_there(log: Shell) -> None:
    log.run("llm-msg user old | llm-send -m echo >old.jsonl")
    log.run("llm-msg user new | llm-send -m echo | llm-log --name here")
    log.run("llm-log import old.jsonl")
    assert log.run("llm-log get last").records[0]["parts"][0]["text"] == "new"
    assert log.run("llm-log list --limit 1").text.split("\t")[-1] == "new\n"


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b'{"role":"user","content":"x"}\nnonsense\n', 65, "file line 2"),
        (b"SQLite format 3\0" + b"x" * 5000, 74, "file"),
    ],
)
def test_a_failed_import_is_reported(log: Shell, content: bytes, status: int, says: str) -> None:
    (log.folder / "file").write_bytes(content)
    done = log.run("llm-log import file")
    assert done.status == status and says in done.err
    assert log.run("llm-log import nowhere").status == 66


def test_a_database_of_another_program_is_not_imported(log: Shell) -> None:
    insert(log.folder / "other.db", "CREATE TABLE things (a)", {})
    done = log.run("llm-log import other.db")
    assert done.status == 74 and "not a log of llmtools" in done.err
