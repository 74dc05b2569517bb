"""The log where it is in trouble: many writers, kill -9, a full disk, a damaged file.

Nothing acknowledged is lost, the answer always flows, and no one's database is "repaired".
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from llmtools.errors import OutputError
from llmtools.log.database import APPLICATION_ID, SCHEMA_VERSION
from llmtools.log.store import Store
from llmtools.log.upkeep import verify
from support.harness import LIMIT, Shell
from support.log_database import assert_clean, changed, responses, write_at_once

Object = dict[str, Any]


def text(role: str, said: str, **more: Any) -> Object:
    return {"type": "message", "role": role, "parts": [{"type": "text", "text": said}], **more}


def lines(*records: Object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def turn(number: int) -> list[Object]:
    """A question and the whole of its reply."""
    identity, said = f"r{number}", f"answer {number} " * 40
    return [
        text("user", f"question {number}"),
        {"type": "start", "response_id": identity, "model": "m"},
        {"type": "text", "chunk": said, "part_index": 0},
        text("assistant", said, response={"id": identity, "model": "m", "status": "ok"}),
        {"type": "end", "response_id": identity, "status": "ok"},
    ]


STREAM = lines(*turn(1))


@pytest.fixture
def log(shell: Shell) -> Shell:
    shell.environment["LLMTOOLS_DATA"] = str(shell.folder / "data")
    return shell


def path_of(shell: Shell) -> Path:
    return shell.folder / "data" / "log.db"


# Many writers


def test_many_writers_at_once_from_a_first_run(tmp_path: Path) -> None:
    write_at_once(tmp_path / "data" / "log.db", 8, 25)


@pytest.mark.slow
def test_32_writers_of_200_conversations_from_a_first_run(tmp_path: Path) -> None:
    write_at_once(tmp_path / "data" / "log.db", 32, 200)


@pytest.mark.parametrize(("filters", "each"), [(8, 25), pytest.param(32, 200, marks=pytest.mark.slow)])
def test_many_filters_at_once_from_a_first_run(log: Shell, filters: int, each: int) -> None:
    records = [{"type": "conversation", "messages": [text("user", f"q{number}")]} for number in range(each)]
    (log.folder / "records").write_bytes(lines(*records))
    script = f"for n in $(seq {filters}); do sed s/q/q$n-/ records | llm-log >/dev/null & done; wait"
    done = log.run(script)
    assert (done.status, done.err) == (0, "")
    assert assert_clean(path_of(log))["conversations"] == filters * each


# kill -9


def kill_somewhere(log: Shell, dice: random.Random, first: int) -> int:
    """Feed turns until the process is killed; return the number of the next turn.

    It is killed when a random number of the bytes that it passes on have come, that is at a
    random place of a transaction: each `end` is out once its transaction is over.
    """
    process = log.start("exec llm-log")
    assert process.stdin and process.stdout
    turns = [lines(*turn(number)) for number in range(first, first + 4)]
    left = dice.randrange(1, sum(map(len, turns)))
    seen = b""
    os.set_blocking(process.stdin.fileno(), True)
    for data in turns:
        process.stdin.write(data)
        process.stdin.flush()
    while left > 0:
        data = os.read(process.stdout.fileno(), min(left, 997))
        assert data
        seen, left = seen + data, left - len(data)
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGKILL
    whole = (seen + rest).rpartition(b"\n")[0]
    said = [json.loads(line) for line in whole.split(b"\n") if line]
    acknowledged = {record["response_id"] for record in said if record["type"] == "end"}
    if path_of(log).exists():
        assert acknowledged <= set(responses(path_of(log)))
    else:
        assert not acknowledged
    return first + 4


def kill_often(log: Shell, times: int) -> None:
    dice, number = random.Random(times), 0
    for _ in range(times):
        number = kill_somewhere(log, dice, number)
        if path_of(log).exists() and path_of(log).stat().st_size:
            store = Store(path_of(log))
            assert verify(store)[1] == []
            store.close()
    assert log.run("llm-log", STREAM).err == ""  # and it goes on


def test_kill_9_loses_nothing_that_was_acknowledged(log: Shell) -> None:
    kill_often(log, 10)


@pytest.mark.slow
def test_kill_9_in_200_random_places(log: Shell) -> None:
    kill_often(log, 200)


def test_kill_9_while_the_first_database_is_made(log: Shell) -> None:
    """Whatever is left by the first, the second makes a log of it."""
    for content, mode in ((b"", None), (None, "WAL")):
        path_of(log).parent.mkdir(mode=0o700, exist_ok=True)
        if content is not None:
            path_of(log).write_bytes(content)
        else:
            path_of(log).unlink()
            with changed(path_of(log)) as connection:
                connection.execute(f"PRAGMA journal_mode = {mode}")
        assert log.run("llm-log", STREAM).err == ""
        assert assert_clean(path_of(log))["messages"] == 2


# A log that cannot be written


def assert_flows(log: Shell, says: str, before: str = "") -> None:
    """The answer flows, with its own status and one warning."""
    done = log.run(f"{before} llm-log", STREAM)
    assert (done.status, done.out) == (0, STREAM)
    assert done.err.startswith("llm-log: not stored: ") and says in done.err and done.err.count("\n") == 1
    failed = STREAM + lines({"type": "error", "code": "overloaded", "message": "m", "exit_status": 75})
    assert log.run(f"{before} llm-log", failed).status == 75


def assert_required(log: Shell, says: str, before: str = "") -> None:
    """With --require nothing is read, and nothing is sent."""
    (log.folder / "stream").write_bytes(STREAM)
    done = log.run(f"{before} (llm-log --require; echo $? >&2; cat >rest) <stream")
    assert done.err.splitlines()[-1] == "74" and says in done.err
    assert [record["type"] for record in done.records] == ["error"]
    if not before:
        assert (log.folder / "rest").read_bytes() == STREAM
    _, statuses = log.statuses(f"{before} llm-msg user hi | llm-log --require | llm-send -m echo")
    assert statuses[1:] == [74, 74]


def test_a_directory_that_cannot_be_made(log: Shell) -> None:
    (log.folder / "file").write_bytes(b"")
    log.environment["LLMTOOLS_DATA"] = str(log.folder / "file" / "data")
    assert_flows(log, "/file: ")
    assert_required(log, "/file: ")


def test_a_damaged_database_is_left_as_it_is(log: Shell) -> None:
    damaged = b"no database at all " * 1000
    path_of(log).parent.mkdir()
    path_of(log).write_bytes(damaged)
    assert_flows(log, "not a database")
    assert_required(log, "not a database")
    assert path_of(log).read_bytes() == damaged
    _, statuses = log.statuses("llm-log get | llm-msg user more | llm-send -m echo")
    assert statuses == [74, 74, 74]  # nothing goes out without what came before it
    assert log.run("llm-log gc").status == 74
    assert path_of(log).read_bytes() == damaged


@pytest.mark.slow
def test_a_database_with_damaged_pages_is_left_as_it_is(log: Shell) -> None:
    for number in range(60):
        log.run("llm-log", lines(*turn(number)))
    data = bytearray(path_of(log).read_bytes())
    for place in range(4096, len(data) - 4096, 4096):
        data[place : place + 600] = b"\xff" * 600
    path_of(log).write_bytes(data)
    assert_flows(log, "malformed")
    assert path_of(log).read_bytes() == bytes(data)
    done = log.run("llm-log verify")
    assert done.status in (65, 74) and done.err


def test_a_damaged_table_is_left_as_it_is(log: Shell) -> None:
    """SQLite quotes what it cannot read, which is no text then."""
    log.run("llm-log", STREAM)
    damaged = path_of(log).read_bytes().replace(b"CREATE TABLE attached", b"CREA\xffE TABLE attached")
    path_of(log).write_bytes(damaged)
    assert_flows(log, "damaged")
    assert_required(log, "damaged")
    sent = log.run("llm-msg user hi | llm-send -m echo --log | llm-parts")
    assert (sent.status, sent.out) == (0, b"hi\n") and "not stored" in sent.err
    assert path_of(log).read_bytes() == damaged
    assert log.run("llm-log list").status == log.run("llm-log verify").status == 74


@pytest.mark.parametrize("body", ["{", '{"type":"message"}', "[]"])
def test_a_damaged_message_is_reported(log: Shell, body: str) -> None:
    log.run("llm-log", STREAM)
    with changed(path_of(log)) as connection:
        connection.execute("UPDATE node SET body = ?", (body,))
    for action in ("list", "tree", "search question"):
        done = log.run(f"llm-log {action}")
        assert (done.status, done.err.count("\n")) == (74, 1) and "log.db: damaged: " in done.err
    assert log.run("llm-log verify").status == 65


def test_the_database_of_another_program_is_refused(log: Shell) -> None:
    path_of(log).parent.mkdir()
    with changed(path_of(log)) as connection:
        connection.execute("CREATE TABLE node (mine)")
    before = path_of(log).read_bytes()
    assert_flows(log, "not a log of llmtools")
    assert_required(log, "not a log of llmtools")
    assert path_of(log).read_bytes() == before


def test_a_newer_schema_is_read_only(log: Shell) -> None:
    log.run("llm-log", STREAM)
    with changed(path_of(log)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path_of(log).read_bytes()
    assert_flows(log, "written by a newer llmtools")
    assert_required(log, "written by a newer llmtools")
    done = log.run("llm-log get")
    assert done.status == 0 and len(done.records) == 2
    assert "written by a newer llmtools" in done.err and "read only" in done.err
    assert log.run("llm-log rm last").status == 74
    assert path_of(log).read_bytes() == before


def test_a_database_that_another_process_holds_is_waited_for(log: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    log.run("llm-log", STREAM)
    held = sqlite3.connect(path_of(log), isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    process = log.start("llm-log")
    assert process.stdin and process.stdout
    process.stdin.write(lines(*turn(2)))
    process.stdin.close()
    process.stdin = None
    passed = [json.loads(process.stdout.readline())["type"] for _ in range(4)]
    assert passed == ["message", "start", "text", "message"]  # all but the end, which waits
    held.execute("COMMIT")
    out, err = process.communicate(timeout=LIMIT)
    assert (json.loads(out)["type"], err, process.returncode) == ("end", b"", 0)
    held.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("llmtools.log.database.BUSY_TIMEOUT", 0)
    with pytest.raises(OutputError, match="another process holds it"):
        Store(path_of(log)).check()


def test_a_database_that_another_process_has_to_itself_is_waited_for(
    log: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the last one has it that closes it; it is not read past its lock."""
    log.run("llm-log", STREAM)
    held = sqlite3.connect(path_of(log), isolation_level=None)
    held.execute("PRAGMA locking_mode = EXCLUSIVE")
    held.execute("BEGIN EXCLUSIVE")
    reader, writer = log.start("llm-log get"), log.start("llm-log")
    assert reader.stdout and writer.stdin
    writer.stdin.write(lines(*turn(2)))
    writer.stdin.close()
    writer.stdin = None
    monkeypatch.setattr("llmtools.log.database.BUSY_TIMEOUT", 0)
    monkeypatch.setattr("llmtools.log.database._TRY_TIMEOUT", 0)
    for writes in (False, True):
        with pytest.raises(OutputError, match="another process holds it"):
            Store(path_of(log), writes=writes)
    held.close()
    for process in (reader, writer):
        _, err = process.communicate(timeout=LIMIT)
        assert (err, process.returncode) == (b"", 0)


def test_a_full_disk_in_the_midst(log: Shell) -> None:
    """A limit on the size of files stands for it: root is held to it too. Python ignores SIGXFSZ."""
    log.run("llm-log", STREAM)
    before = path_of(log).read_bytes()
    big = lines(text("user", "x" * 3_000_000), *turn(7)[1:])
    done = log.run("ulimit -f 1000; llm-log", big)
    assert (done.status, done.out) == (0, big)
    assert done.err.startswith("llm-log: not stored: ") and done.err.count("\n") == 1
    assert assert_clean(path_of(log))["messages"] == 2
    assert path_of(log).read_bytes() == before
    assert log.run("llm-log", big).err == ""  # once there is room again
    required = log.run("ulimit -f 1000; llm-log --require", lines(text("user", "y" * 3_000_000), *turn(8)[1:]))
    assert required.status == 74 and len(required.out) > 3_000_000  # paid for: it flows, and the status tells


def test_a_full_disk_from_the_start(log: Shell) -> None:
    assert_flows(log, "", "ulimit -f 8;")
    assert_required(log, "", "ulimit -f 8;")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full(log: Shell) -> None:
    (log.folder / "data").mkdir(mode=0o700)
    mount = log.run("mount -t tmpfs -o size=512k tmpfs data")
    if mount.status:
        pytest.skip(f"no disk can be mounted here: {mount.err.strip()}")
    try:
        number = 0
        while not (done := log.run("llm-log", lines(text("user", "y" * 30_000), *turn(number)[1:]))).err:
            number += 1
        assert done.status == 0 and done.err.startswith("llm-log: not stored: ") and number > 1
        assert_flows(log, "full")
        assert_required(log, "full")
        assert_clean(path_of(log))
        assert len(log.run("llm-log get last").records) == 2
    finally:
        log.run("umount data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to everything")
def test_a_directory_that_may_not_be_written_to(log: Shell) -> None:
    log.run("llm-log", STREAM)
    path_of(log).chmod(0o400)
    path_of(log).parent.chmod(0o500)
    try:
        assert_flows(log, "readonly")
        assert_required(log, "readonly")
        assert len(log.run("llm-log get last").records) == 2
    finally:
        path_of(log).parent.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_file_system_that_is_read_only(log: Shell) -> None:
    log.run("llm-log", STREAM)
    mount = log.run("mount --bind data data && mount -o remount,ro,bind data")
    if mount.status:
        pytest.skip(f"nothing can be mounted here: {mount.err.strip()}")
    try:
        assert_flows(log, "unable to open")
        assert_required(log, "unable to open")
        assert len(log.run("llm-log get last").records) == 2
        assert log.run("llm-log list").text.count("\n") == 1
        assert log.run("llm-log rm last").status == 74
    finally:
        log.run("umount data")


# verify


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE node SET body = replace(body, 'question', 'reply')", "has changed"),
        ("UPDATE node SET depth = 9 WHERE role = 'assistant'", "has changed"),
        ("UPDATE node SET face = zeroblob(32) WHERE role = 'user'", "has changed"),
        ("UPDATE node SET body = '{' WHERE role = 'user'", "cannot be read"),
        ("DELETE FROM node WHERE role = 'user'", "gone"),
        ("UPDATE attachment SET content = x'00'", "has changed"),
        ("UPDATE tool SET body = '{}'", "has changed"),
    ],
)
def test_verify_finds_what_is_not_as_it_was_stored(log: Shell, damage: str, says: str) -> None:
    attachment = {"type": "attachment", "attachment": {"type": "text/plain", "content": "YWJj"}}
    tool = {"type": "tool", "name": "add", "input_schema": {}}
    log.run("llm-log", lines(tool, *turn(1), {"type": "message", "role": "user", "parts": [attachment]}))
    assert log.run("llm-log verify").status == 0
    with changed(path_of(log)) as connection:
        connection.execute(damage)
    done = log.run("llm-log verify")
    assert done.status == 65 and says in done.err


def test_the_file_says_what_it_is(log: Shell) -> None:
    log.run("llm-log", STREAM)
    with changed(path_of(log)) as connection:
        said = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        assert said == [APPLICATION_ID, SCHEMA_VERSION]
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_backup_is_a_log_of_one_moment(log: Shell) -> None:
    log.run("llm-log", STREAM)
    assert log.run("llm-log backup copy.db").status == 0
    assert (log.folder / "copy.db").stat().st_mode & 0o777 == 0o600
    log.run("llm-log", lines(text("user", "later")))
    assert assert_clean(log.folder / "copy.db")["messages"] == 2
    assert len(log.run("llm-log -d copy.db get").records) == 2
    assert log.run("llm-log backup copy.db").status == 2
    assert log.run("llm-log backup nowhere/copy.db").status == 73
    assert sorted(path.name for path in log.folder.iterdir()) == ["copy.db", "data"]


CIRCLES = ["parent = 2 WHERE id = 1", "parent = 1 WHERE id = 1", "parent = id"]
WALKS = ["get", "get last~1", "get n", "tree", "export", "search --name n a", "usage --name n", "fork last other"]


@pytest.mark.parametrize("circle", CIRCLES)
def test_parents_in_a_circle_are_an_error_that_names_the_message(circle: str, log: Shell) -> None:
    log.run("llm-msg user q | llm-send -m echo | llm-log > all.jsonl; llm-log fork last n")
    with changed(log.folder / "data" / "log.db") as connection:
        connection.execute(f"UPDATE node SET {circle}")
    for walk in WALKS:
        done = log.run(f"llm-log {walk}")
        assert done.status == 74 and re.search("damaged: message [0-9a-f]{64}: the message before it", done.err), walk
    for other in ("list", "verify", "tree --all", "usage --by name", "gc"):
        assert log.run(f"llm-log {other}").status in (0, 65)
    assert log.run("llm-msg user more | llm-log").status == 0, "what is new is stored"


@pytest.mark.parametrize(
    "damage",
    [
        "head SET seen = 9223372036854775807",
        "head SET seen = 'x'",
        "node SET created = 'x'",
        "node SET created = 9223372036854775807",
        "response SET created = '10000-01-01T00:00:00Z'",
    ],
)
def test_a_damaged_time_loses_no_stream(damage: str, log: Shell) -> None:
    log.run("llm-msg user before | llm-send -m echo | llm-log > /dev/null")
    with changed(log.folder / "data" / "log.db") as connection:
        connection.execute(f"UPDATE {damage}")
    assert log.run("llm-msg user after | llm-log > /dev/null").status == 0
    assert "after" in log.run("llm-log get").text, "the newest is the last"
    assert log.run("llm-log list").text.splitlines()[0].endswith("after")
    for action in ("search before", "export", "usage --by day", "list --since 7d"):
        assert log.run(f"llm-log {action}").status == 0, action


@pytest.mark.parametrize("created", ["10000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_a_response_of_an_impossible_time_is_kept(created: str, log: Shell) -> None:
    response = {"id": "r", "model": "m", "status": "ok", "created": created}
    message = {"type": "message", "role": "assistant", "parts": [{"type": "text", "text": "a"}], "response": response}
    stream = log.run("llm-msg user q").out + json.dumps(message).encode() + b"\n"
    assert log.run("llm-log", stdin=stream).status == 0
    assert log.run("llm-log get").out == stream.replace(b": ", b":").replace(b", ", b",")
    assert log.run("llm-log list; llm-log usage --by day; llm-log search a").status == 0
