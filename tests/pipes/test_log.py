"""llm-log as a filter, and what it gives back: real pipes, a real database."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from llmtools.errors import NoInputError, UsageError
from llmtools.log.recorder import Recorder
from llmtools.log.store import Store, check_name
from llmtools.records.canonical import canonical_json, node_hash
from support.harness import LIMIT, SCRIPTS, Shell, valid_records
from support.large import SIZE, peak
from support.paths import ROOT

Object = dict[str, Any]


def text(role: str, said: str, **more: Any) -> Object:
    return {"type": "message", "role": role, "parts": [{"type": "text", "text": said}], **more}


def reply(said: str, identity: str = "r", **more: Any) -> Object:
    return text("assistant", said, response={"id": identity, "model": "m", "status": "ok", **more})


def lines(*records: Object) -> bytes:
    return b"".join(
        json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for record in records
    )


def response(said: str, identity: str = "r") -> list[Object]:
    """What llm-send writes of a reply."""
    return [
        {"type": "start", "response_id": identity, "model": "m"},
        {"type": "text", "chunk": said, "part_index": 0},
        reply(said, identity),
        {"type": "end", "response_id": identity, "status": "ok"},
    ]


@pytest.fixture
def log(shell: Shell) -> Shell:
    shell.environment["LLMTOOLS_DATA"] = str(shell.folder / "data")
    return shell


def database(shell: Shell) -> Path:
    return shell.folder / "data" / "log.db"


def kept(shell: Shell, statement: str) -> list[Any]:
    with sqlite3.connect(database(shell)) as connection:
        return [row[0] if len(row) == 1 else row for row in connection.execute(statement)]


def content(shell: Shell) -> list[list[Any]]:
    tables = ("node", "response", "attachment", "attached", "tool", "toolset", "called", "name")
    return [kept(shell, f"SELECT * FROM {table}") for table in tables]


def store(shell: Shell, *records: Object, options: str = "") -> None:
    done = shell.run(f"llm-log {options}", lines(*records))
    assert (done.status, done.err, done.out) == (0, "", lines(*records))


def got(shell: Shell, ref: str = "last") -> list[Object]:
    done = shell.run(f"llm-log get '{ref}'")
    assert (done.status, done.err) == (0, "")
    return valid_records(done.out)


# The filter


def test_the_first_pipe_stores_and_passes_on(log: Shell) -> None:
    done, statuses = log.statuses("llm-msg user hi | llm-send -m echo | tee sent | llm-log | tee passed | llm-parts")
    assert (statuses, done.text) == ([0] * 6, "hi\n")
    assert (log.folder / "sent").read_bytes() == (log.folder / "passed").read_bytes()
    history = [record for record in valid_records((log.folder / "sent").read_bytes()) if record["type"] == "message"]
    assert got(log) == history and len(history) == 2


def test_a_conversation_goes_on_from_the_log(log: Shell) -> None:
    log.run("llm-msg user hi | llm-send -m echo | llm-log")
    done, statuses = log.statuses("llm-log get last | llm-msg user shorter | llm-send | llm-log | llm-parts")
    assert (statuses, done.text) == ([0] * 5, "shorter\n")
    assert [record["role"] for record in got(log)] == ["user", "assistant"] * 2
    assert kept(log, "SELECT count(*) FROM head") == [1]  # it went on: no second conversation


def test_text_passes_before_the_end_and_the_end_after_the_commit(log: Shell) -> None:
    process = log.start("llm-log")
    assert process.stdin and process.stdout
    records = [text("user", "hi"), *response("hello", "r-1")]
    for place in range(4):  # each alone, with the next one not yet there
        process.stdin.write(lines(records[place]))
        process.stdin.flush()
        assert process.stdout.readline() == lines(records[place])
    assert not database(log).exists() or kept(log, "SELECT count(*) FROM response") == [0]
    process.stdin.write(lines(records[4]))
    process.stdin.flush()
    assert process.stdout.readline() == lines(records[4])
    assert kept(log, "SELECT json_extract(body, '$.id') FROM response") == ["r-1"]
    process.stdin.close()
    assert process.wait(LIMIT) == 0


def test_a_stream_stored_twice_adds_nothing(log: Shell) -> None:
    records = [
        {"type": "tool", "name": "add", "input_schema": {}},
        text("user", "hi"),
        reply("hello"),
        text("user", "more"),
    ]
    store(log, *records)
    before = content(log)
    store(log, *records)
    store(log, *records[:3])
    assert content(log) == before
    store(log, *records, reply("most", "r2"))
    assert kept(log, "SELECT count(*) FROM node") == [4]


def test_what_is_unknown_and_what_is_odd_comes_back_as_it_was(log: Shell) -> None:
    odd = b'[{"type":"x-block","a":1e400,"b":12345678901234567890123}]'
    line = b'{"type":"message","role":"user","parts":' + odd + b',"mine":[1.0]}\n'
    assert log.run("llm-log", line).out == line
    assert log.run("llm-log get").out == line


def test_tools_come_back_where_they_were_declared(log: Shell) -> None:
    tool: Object = {"type": "tool", "name": "add", "description": "Adds.", "input_schema": {"type": "object"}}
    other = {**tool, "description": "Adds two."}
    records = [tool, text("user", "a"), other, {**tool, "name": "sub"}, reply("b"), {"type": "tool", "name": "last"}]
    store(log, *records)
    assert got(log) == records
    assert got(log, "last~1") == records[:2]
    assert kept(log, "SELECT count(*) FROM tool") == [4]
    store(log, text("user", "a"), reply("c"))  # the same question, without any tool
    assert got(log) == [text("user", "a"), reply("c")]


def test_many_responses_to_one_message_are_kept_and_the_newest_comes_back(log: Shell) -> None:
    for identity in ("r1", "r2", "r1"):
        store(log, text("user", "a"), reply("b", identity))
    assert kept(log, "SELECT json_extract(body, '$.id') FROM response ORDER BY id") == ["r1", "r2"]
    assert got(log)[-1]["response"]["id"] == "r2"
    assert kept(log, "SELECT count(*) FROM node") == [2]


PNG = b"\x89PNG\r\n\x1a\nabc"


def test_the_bytes_of_an_attachment_are_kept_once_however_they_come(log: Shell) -> None:
    (log.folder / "a.png").write_bytes(PNG)
    for options in ("-a a.png one", "-a a.png two", "--ref -a a.png three"):
        assert log.run(f"llm-msg user {options} | llm-log").status == 0
    result = {"type": "tool_result", "name": "f", "output": "", "tool_call_id": "c"}
    content_ = {"type": "image/png", "content": b64encode(PNG).decode()}
    store(log, {"type": "message", "role": "tool", "parts": [{**result, "attachments": [content_]}]})
    assert kept(log, "SELECT content FROM attachment") == [PNG]
    assert got(log)[0]["parts"][0]["attachments"] == [content_]


def test_an_attachment_by_path_stays_so_while_the_file_is_what_it_was(log: Shell) -> None:
    (log.folder / "a.png").write_bytes(PNG)
    sent = log.run("llm-msg user --ref -a a.png what | llm-log").out
    assert log.run("llm-log get").out == sent
    (log.folder / "a.png").write_bytes(b"other")
    (message,) = got(log)
    assert message["parts"][1]["attachment"] == {
        "type": "image/png",
        "name": "a.png",
        "content": b64encode(PNG).decode(),
    }
    assert canonical_json(message) == canonical_json(json.loads(sent))  # type: ignore[arg-type]


def test_an_attachment_whose_path_holds_something_else_is_never_read_into_the_log(log: Shell) -> None:
    (log.folder / "secret").write_bytes(b"secret")
    log.run("mkfifo pipe")
    for name in ("secret", "pipe", "gone"):
        attachment = {"type": "text/plain", "path": str(log.folder / name), "sha256": "00" * 32}
        message = {"type": "message", "role": "user", "parts": [{"type": "attachment", "attachment": attachment}]}
        store(log, message)
        assert got(log) == [message]
    assert kept(log, "SELECT count(*) FROM attachment") == [0]


def test_a_name_of_the_last_time_comes_back(log: Shell) -> None:
    """No hash covers an attachment's name, but a vendor reads it."""
    for name in ("first.png", "second.png", "third.png"):
        (log.folder / name).write_bytes(PNG)
        sent = log.run(f"llm-msg user -a {name} what | llm-log").out
        assert log.run("llm-log get").out == sent
    assert kept(log, "SELECT count(*) FROM node") == [1]
    assert [log.run(f"llm-log search {name}").status for name in ("first", "second", "third")] == [66, 66, 0]
    log.run("llm-log rm last && llm-log gc")
    assert log.run("llm-log search third").status == 66


def test_every_node_is_named_by_its_hash(log: Shell) -> None:
    records = [text("user", "hi"), reply("Hello")]
    store(log, *records)
    first = node_hash(records[0])  # type: ignore[arg-type]
    assert kept(log, "SELECT hash FROM node ORDER BY id") == [first, node_hash(records[1], first)]  # type: ignore[arg-type]
    assert got(log, first.hex()[:10]) == records[:1]


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "20261121T100000Z", "yesterday"])
def test_a_time_of_any_kind_comes_back_as_it_was(log: Shell, created: str) -> None:
    records = [text("user", "hi"), reply("ho", created=created)]
    store(log, *records)
    assert got(log) == records
    (log.folder / "stream").write_bytes(lines(*records))
    assert log.run("llm-log -d other.db import stream && llm-log -d other.db list --since 2000-01-01").status == 0
    assert log.run("llm-log usage --by day --since 1970-01-02").text.count("\n") == 2


def test_conversation_records_are_kept_each_for_itself(log: Shell) -> None:
    say = [{"role": "user", "parts": [{"type": "text", "text": f"q{number}"}]} for number in range(3)]
    records: list[Object] = [
        {"type": "conversation", "id": f"row-{place}", "messages": [say[place]]} for place in range(3)
    ]
    records[2]["error"] = {"code": "rate_limited", "message": "slow down", "exit_status": 75}
    done = log.run("llm-log", lines(*records))
    assert (done.status, done.err, done.out) == (75, "", lines(*records))
    assert kept(log, "SELECT count(*) FROM head") == [3]
    assert got(log) == [{"type": "message", **say[2]}]
    exported = log.run("llm-log export").records
    assert sorted(exported, key=lambda record: str(record["id"])) == records


# Failed, partial and cancelled replies


def test_a_failed_reply_is_kept_and_marked_and_its_status_passes_through(log: Shell) -> None:
    _, statuses = log.statuses("""llm-msg user '{"text": "half of", "cut": true}' | llm-send -m echo | llm-log""")
    assert statuses == [0, 75, 75]
    message = got(log)[-1]
    assert message["response"]["status"] == "truncated" and message["parts"][0]["text"]
    assert "(truncated)" in log.run("llm-log list").text


def test_events_without_their_message_are_kept_as_what_they_show(log: Shell) -> None:
    cut = [text("user", "hi"), *response("half a rep")[:2]]
    done = log.run("llm-log", lines(*cut))
    assert (done.status, done.out) == (75, lines(*cut))
    message = got(log)[-1]
    assert (message["parts"], message["response"]["status"]) == ([{"type": "text", "text": "half a rep"}], "truncated")
    error = {"type": "error", "code": "overloaded", "message": "too much", "exit_status": 75}
    assert log.run("llm-log", lines(*cut, error)).status == 75
    assert got(log)[-1]["response"]["error"] == {"code": "overloaded", "message": "too much"}


def test_a_request_that_got_no_reply_is_kept(log: Shell) -> None:
    error = {"type": "error", "code": "key_refused", "message": "no", "exit_status": 77}
    assert log.run("llm-log", lines(text("user", "hi"), error)).status == 77
    assert kept(log, "SELECT status, json_extract(body, '$.error.code') FROM response") == [("error", "key_refused")]
    assert got(log) == [text("user", "hi")]
    assert "(error)" in log.run("llm-log list").text
    store(log, text("user", "hi"), reply("at last"))
    assert "(error)" not in log.run("llm-log list").text
    store(log, text("user", "more"), error, text("user", "again"), reply("well"))  # healed, but not forgotten
    asked = "SELECT json_extract(node.body, '$.parts[0].text') FROM response JOIN node ON asked = node.id ORDER BY 1"
    assert kept(log, f"{asked}") == ["again", "hi", "hi", "more"]


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_keeps_what_came(log: Shell, number: int) -> None:
    process = log.start("exec llm-log")
    assert process.stdin and process.stdout
    process.stdin.write(lines(text("user", "hi"), *response("half")[:2]))
    process.stdin.flush()
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(number)
    assert process.wait(LIMIT) == -number
    assert got(log)[-1]["response"]["status"] == "cancelled"


def test_a_reader_that_leaves_costs_nothing_that_came(log: Shell) -> None:
    (log.folder / "stream").write_bytes(lines(text("user", "hi"), *response("whole")[:3]))
    done, statuses = log.statuses("llm-log <stream | head -n 1")
    assert done.text == lines(text("user", "hi")).decode() and statuses[1] == 0
    assert got(log)[-1]["parts"][0]["text"] == "whole"
    process = log.start("exec llm-log")
    assert process.stdin and process.stdout
    process.stdin.write(lines(text("user", "hi"), *response("parts of it")[:2]))
    process.stdin.flush()
    for _ in range(3):
        process.stdout.readline()
    process.stdout.close()
    assert process.wait(LIMIT) == -13  # while it waits for more
    assert got(log)[-1]["response"]["status"] == "cancelled"


def test_a_full_disk_behind_it_costs_nothing_that_came(log: Shell) -> None:
    _, statuses = log.statuses("llm-msg user hi | llm-send -m echo | llm-log >/dev/full")
    assert statuses == [0, 0, 74]
    assert [message["role"] for message in got(log)] == ["user", "assistant"]
    assert got(log)[-1]["response"]["status"] == "ok"


def test_a_wrong_line_is_refused_and_what_came_before_is_kept(log: Shell) -> None:
    done = log.run("llm-log", lines(text("user", "hi"), reply("ho")) + b"nonsense\n")
    assert done.status == 65 and "stdin line 3" in done.err
    assert done.out.startswith(lines(text("user", "hi"), reply("ho")))
    assert len(got(log)) == 2


def test_a_message_that_cannot_be_stored_is_reported_once_and_passed_on(log: Shell) -> None:
    attachment = {"type": "attachment", "attachment": {"type": "image/png", "content": "n"}}
    stream = lines(text("system", "a"), {"type": "message", "role": "user", "parts": [attachment]}, reply("ho"))
    done = log.run("llm-log", stream)
    assert (done.status, done.out) == (0, stream)
    assert done.err.startswith("llm-log: not stored: ") and done.err.count("\n") == 1
    assert got(log) == [text("system", "a")]
    assert log.run("llm-log --require", stream).status == 65


# References


def test_references(log: Shell) -> None:
    records = [text("user", "a"), reply("b"), text("user", "c"), reply("d")]
    store(log, *records, options="--name talk")
    assert got(log, "talk") == got(log, "last") == records
    assert got(log, "talk~2") == got(log, "last~2") == records[:2]
    assert got(log, "talk~") == records[:3]
    digest = log.run("llm-log fork talk~2 elsewhere").text.strip()
    assert got(log, "elsewhere") == got(log, digest[:8]) == got(log, digest) == records[:2]
    store(log, *records[:2], text("user", "x"), options="--name elsewhere")
    assert got(log, "elsewhere")[-1] == text("user", "x")
    assert got(log, "talk") == records  # a name stays where it is


@pytest.mark.parametrize("ref", ["nobody", "last~9", "0000", "abc", "last~x"])
def test_a_reference_to_nothing_fails_what_follows_too(log: Shell, ref: str) -> None:
    store(log, text("user", "a"))
    done, statuses = log.statuses(f"llm-log get {ref} | llm-msg user more | llm-send -m echo")
    assert statuses == [66, 66, 66]
    assert [record["type"] for record in done.records] == ["error"]


def test_an_empty_log_is_reported(log: Shell) -> None:
    done = log.run("llm-log get last")
    assert done.status == 66 and "nothing has been stored yet" in done.err
    for action in ("list", "search x", "tree", "fork last a", "rm last", "gc", "usage", "export", "verify", "backup b"):
        assert log.run(f"llm-log {action}").status == 66
    assert not database(log).exists()


def test_an_ambiguous_hash_is_refused_with_those_it_may_be(tmp_path: Path) -> None:
    log = Store(tmp_path / "log.db")
    for number in range(2000):
        recorder = Recorder()
        recorder.feed(text("user", str(number)))
        log.write(recorder.unsaved_conversations())
    row = log.connection.execute("SELECT substr(hex(hash), 1, 4) FROM node GROUP BY 1 HAVING count(*) > 1").fetchone()
    assert row, "2,000 hashes and no two with the same four digits"
    with pytest.raises(UsageError, match="is the beginning of several"):
        log.resolve(row[0])


@pytest.mark.parametrize("name", ["last", "a~1", "-x", "", "a b", "a\nb", "a\x1b"])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "2026-11-21", "日記", "a/b:c"])
def test_what_can_be_a_name(name: str) -> None:
    assert check_name(name) == name


# Forgetting


def test_what_was_removed_is_gone_for_good_after_gc(log: Shell) -> None:
    (log.folder / "a.png").write_bytes(PNG)
    store(log, text("user", "shared"), reply("b"), text("user", "kept"))
    log.run("llm-log get last~1 | llm-msg user -a a.png 'the canary sang' | llm-log")
    store(log, text("user", "shared"), reply("b"), {"type": "tool", "name": "spy"}, text("user", "canary too"))
    log.run("llm-log rm last")
    log.run("llm-log rm last")
    assert [row.split("\t")[-1] for row in log.run("llm-log list").text.splitlines()] == ["kept"]
    assert log.run("llm-log search canary").status == 0  # nothing is lost before gc
    done = log.run("llm-log gc")
    assert done.status == 0 and "2 messages and 1 attachment" in done.err
    assert log.run("llm-log search canary").status == 66
    assert len(log.run("llm-log search shared").text.splitlines()) == 1
    assert kept(log, "SELECT (SELECT count(*) FROM node), (SELECT count(*) FROM tool)") == [(3, 0)]
    assert b"canary" not in database(log).read_bytes() and PNG not in database(log).read_bytes()
    assert log.run("llm-log verify").text.startswith("3 messages, 1 conversation,")


def test_rm_of_a_message_forgets_all_that_goes_through_it_and_a_name_only_itself(log: Shell) -> None:
    for number in range(3):
        store(log, text("user", "a"), reply("b"), text("user", f"c{number}"))
    log.run("llm-log fork last~1 here")
    assert log.run("llm-log rm here").err == "llm-log: removed 1 reference (llm-log gc deletes what has no reference)\n"
    assert len(log.run("llm-log list").text.splitlines()) == 3
    log.run("llm-log fork last~2 root")
    assert log.run("llm-log rm last~1").err.startswith("llm-log: removed 3 references ")
    assert log.run("llm-log list").text == ""
    assert "2 messages" not in log.run("llm-log gc").err
    assert got(log, "root") == [text("user", "a")]


# For people


def test_list_shows_the_newest_first(log: Shell) -> None:
    store(log, text("user", "one"), reply("1"))
    store(log, text("user", "two\nlines"), reply("2"), options="--name second")
    rows = [row.split("\t") for row in log.run("llm-log list").text.splitlines()]
    assert [row[2:] for row in rows] == [["m", "2", "second", "two lines"], ["m", "2", "", "one"]]
    assert len(log.run("llm-log list --limit 1").text.splitlines()) == 1
    assert log.run("llm-log list --model other").text == ""
    (record,) = [json.loads(line) for line in log.run("llm-log list --json --limit 1").text.splitlines()]
    assert record["names"] == ["second"] and record["status"] == "ok" and record["messages"] == 2


def test_the_tree_goes_right_only_where_it_forks(log: Shell) -> None:
    store(log, text("user", "a"), reply("b"), text("user", "c"), reply("d"))
    store(log, text("user", "a"), reply("b"), text("user", "e"), options="--name other")
    drawn = log.run("llm-log tree").text
    assert re.sub("[0-9a-f]{8}", "#", drawn).splitlines() == [
        "# user      a",
        "# assistant b",
        "├─ # user      c",
        "│  # assistant d",
        "└─ # user      [other] e",
    ]
    store(log, text("user", "elsewhere"))
    assert len(log.run("llm-log tree").text.splitlines()) == 1
    assert len(log.run("llm-log tree --all").text.splitlines()) == 6
    graph = log.run("llm-log tree other --dot").text.splitlines()
    assert graph[0] == "digraph log {" and graph[-1] == "}" and sum(" -> " in line for line in graph) == 4


def test_usage_adds_up_every_response_once(log: Shell) -> None:
    used: Object = {
        "usage": {"input": 10, "output": 2, "details": {"cached": 4}},
        "created": "2026-11-20T12:00:00.000Z",
    }
    more: Object = {**used, "model": "big/n", "created": "2026-11-21T12:00:00Z", "details": {"big": {"cost": 0.5}}}
    store(log, text("user", "a"), reply("b", **used), text("user", "c"), reply("d", "r2", **more), options="--name x")
    store(log, text("user", "a"), reply("b", **used), text("user", "e"), reply("f", "r3", **used))
    by_model = log.run("llm-log usage").text.splitlines()
    assert by_model == [
        "model\tresponses\tinput\toutput\tcached\treasoning\tcost",
        "big/n\t1\t10\t2\t4\t0\t0.5000",
        "m\t2\t20\t4\t8\t0\t-",
    ]
    assert [line.split("\t")[:2] for line in log.run("llm-log usage --by name").text.splitlines()[1:]] == [
        ["-", "1"],
        ["x", "2"],
    ]
    days = [json.loads(line) for line in log.run("TZ=UTC llm-log usage --by day --json").text.splitlines()]
    assert [(row["day"], row["responses"]) for row in days] == [("2026-11-20", 2), ("2026-11-21", 1)]
    assert len(log.run("TZ=UTC llm-log usage --since 2026-11-21").text.splitlines()) == 2
    assert log.run("llm-log usage --plot").text.splitlines()[0].startswith("big/n  ████")
    for ref in ("x", "last", "last~2"):
        row = json.loads(log.run(f"llm-log usage --by day --since 2026-11-20 --name {ref} --json").text.splitlines()[0])
        assert row["responses"] == (2 if ref == "last" else 1)
    assert log.run("llm-log usage --name nothing").status == 66


PRICES = """
class Usage:
    def __init__(self, **counts): self.counts = counts
def calc_price(usage, model_ref, provider_id=None, genai_request_timestamp=None):
    if model_ref != "n": raise LookupError(model_ref)
    assert provider_id == "google" and genai_request_timestamp.year == 2026
    class Price: total_price = usage.counts["input_tokens"] + usage.counts["cache_read_tokens"] / 10
    return Price
"""


def test_prices_come_from_genai_prices_where_it_is_installed(log: Shell) -> None:
    used: Object = {"usage": {"input": 10, "details": {"cached": 5}}, "created": "2026-11-20T12:00:00Z"}
    store(log, text("user", "a"), reply("b", model="gemini/n", **used), reply("c", model="gemini/other", **used))
    (log.folder / "genai_prices.py").write_text(PRICES)
    rows = [row.split("\t") for row in log.run(f"PYTHONPATH={log.folder} llm-log usage").text.splitlines()]
    assert [(row[0], row[-1]) for row in rows[1:]] == [("gemini/n", "10.5000"), ("gemini/other", "-")]
    assert log.run(f"PYTHONPATH={log.folder} llm-log usage --plot").text.splitlines()[0].endswith(" $10.5000")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("get --json", "--json does not go with get"),
        ("frob", "'frob' is not one of 'get', 'list'"),
        ("fork last", "fork takes 2 operands"),
        ("--name last", "cannot be a name"),
        ("list --since yesterday", "is not a time"),
        ("list --limit 9999999999999999999", "is not in the range"),
        ("search '++'", "a word is missing"),
    ],
)
def test_wrong_usage_is_reported(log: Shell, arguments: str, says: str) -> None:
    store(log, text("user", "a"))
    done = log.run(f"llm-log {arguments}", b"")
    assert done.status == 2 and says in done.err


@pytest.mark.parametrize(("moment", "found"), [("9999-12-31", 0), ("99999999999999999999w", 1), ("0002-01-01", 1)])
def test_a_time_may_be_far_away(log: Shell, moment: str, found: int) -> None:
    store(log, text("user", "a"))
    assert log.run(f"TZ=UTC llm-log list --since {moment}").text.count("\n") == found
    assert log.run(f"TZ=UTC llm-log search a --since {moment}").status == (0 if found else 66)
    assert log.run(f"TZ=UTC llm-log usage --since {moment}").status == 0


# The library


def test_a_client_that_echoes_text_only_finds_what_was_stored(tmp_path: Path) -> None:
    log, recorder = Store(tmp_path / "log.db"), Recorder()
    call = {"type": "tool_call", "name": "add", "arguments": {"a": 1, "b": 2}, "tool_call_id": "c1"}
    signed = {"type": "reasoning", "text": "hm", "provider_metadata": {"v": {"signature": "s"}}}
    result = {"type": "tool_result", "name": "add", "output": "3", "tool_call_id": "c1"}
    stored: list[Any] = [
        text("user", "1 + 2?"),
        {"type": "message", "role": "assistant", "parts": [signed, call], "response": {"id": "r", "status": "ok"}},
        {"type": "message", "role": "tool", "parts": [result]},
        {
            "type": "message",
            "role": "assistant",
            "parts": [signed, {"type": "text", "text": "It is "}, {"type": "text", "text": "3.\n"}],
        },
    ]
    for message in stored:
        recorder.feed(message)
    log.write(recorder.unsaved_conversations())
    echoed: list[Any] = [
        text("user", "1 + 2?"),
        {"role": "assistant", "parts": [{**call, "arguments": {"b": 2, "a": 1}, "tool_call_id": "other"}]},
        {"role": "tool", "parts": [{**result, "tool_call_id": "other"}]},
        text("assistant", "It is 3."),
        text("user", "and 4?"),
    ]
    assert log.recognise(echoed) == [*stored, echoed[4]]
    assert log.recognise([text("user", "never"), *echoed[1:]]) == [text("user", "never"), *echoed[1:]]  # type: ignore[list-item]
    with pytest.raises(NoInputError):
        Store(tmp_path / "none.db", writes=False)


# Modes


@pytest.mark.parametrize("mask", ["0000", "0022", "0077"])
def test_everything_is_made_for_the_user_alone_from_the_first_byte(log: Shell, mask: str) -> None:
    """No chmod afterwards: the modes are those that open and mkdir were called with."""
    process = log.start(f"umask {mask}; exec llm-log")
    assert process.stdin and process.stdout
    stream = lines(text("user", "hi"), *response("ho"))
    process.stdin.write(stream)
    process.stdin.flush()
    for _ in range(5):
        process.stdout.readline()
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (log.folder / "data").iterdir()}
    assert found == {"log.db": 0o600, "log.db-wal": 0o600, "log.db-shm": 0o600}
    assert stat.S_IMODE((log.folder / "data").stat().st_mode) == 0o700
    process.stdin.close()
    assert process.wait(LIMIT) == 0
    source = "".join(path.read_text() for path in (ROOT / "llmtools" / "log").glob("*.py"))
    assert "chmod" not in source


@pytest.mark.slow
def test_a_line_of_100_megabytes_is_stored_and_passes_in_four_times_its_size(huge: Path, log: Shell) -> None:
    out = log.folder / "out"
    status, size = peak([f"{SCRIPTS}/llm-log"], huge, out, log)
    assert status == 0 and size < 4 * SIZE
    status, size = peak([f"{SCRIPTS}/llm-log", "get"], huge, log.folder / "back", log)
    assert status == 0 and size < 4 * SIZE
    for path in (out, log.folder / "back"):
        assert log.run(f"cmp {path} {huge}").status == 0
    assert database(log).stat().st_size < 0.8 * SIZE  # bytes, not base64
