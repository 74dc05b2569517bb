"""Search in the log, and the growth of its file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from llmtools.errors import UsageError
from llmtools.log.recorder import Recorder
from llmtools.log.search import MAX_RANKED, fts_query, search
from llmtools.log.store import Store
from support.harness import Shell

Object = dict[str, Any]


def text(role: str, content: str, **more: Any) -> Object:
    return {"type": "message", "role": role, "parts": [{"type": "text", "text": content}], **more}


def reply(content: str, identity: str = "r", model: str = "m") -> Object:
    return text("assistant", content, response={"id": identity, "model": model, "status": "ok"})


def lines(*records: Object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


CALL = {"type": "tool_call", "name": "get_weather", "arguments": {"city": "Łódź", "days": 17}, "tool_call_id": "c"}
RESULT = {"type": "tool_result", "name": "get_weather", "output": "rain tomorrow", "tool_call_id": "c"}
TALK = [
    text("system", "Answer in Polish."),
    text("user", "Is it warmer in Kraków or in 東京都庁 today?"),
    {"type": "message", "role": "assistant", "parts": [{"type": "reasoning", "text": "a thermometer"}, CALL]},
    {"type": "message", "role": "tool", "parts": [RESULT]},
    reply("It rains. Tomorrow too, and the day after tomorrow.", model="openai/gpt-5.5"),
]


@pytest.fixture
def log(shell: Shell) -> Shell:
    shell.environment["LLMTOOLS_DATA"] = str(shell.folder / "data")
    shell.run("llm-log --name talk", lines(*TALK))
    shell.run("llm-log", lines(text("user", "tomorrow"), reply("never", "r2")))
    return shell


def roles_of_matches(shell: Shell, arguments: str) -> list[str]:
    done = shell.run(f"llm-log search {arguments}")
    assert done.status == (0 if done.out else 66)
    return [line.split("\t")[2] for line in done.text.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "roles"),
    [
        ("polish", ["system"]),
        ("krakow", ["user"]),
        ("KRAKÓW warmer", ["user"]),
        ("東京", ["user"]),
        ("京都", ["user"]),
        ("京東", []),
        ("thermometer", ["assistant"]),
        ("Łódź", ["assistant"]),
        ("17", ["assistant"]),
        ("weather", ["assistant", "tool"]),
        ("get_weather --role tool", ["tool"]),
        ("rain", ["tool"]),
        ("'rain*'", ["assistant", "tool"]),
        ("'\"day after\"'", ["assistant"]),
        ("'\"after day\"'", []),
        ("day after --model gpt-5.5", ["assistant"]),
        ("day after --model openai/gpt-5.5", ["assistant"]),
        ("tomorrow --model m", []),
        ("tomorrow --tool get_weather", ["tool"]),
        ("tomorrow --name talk --role user", []),
        ("tomorrow --since 1h --role user", ["user"]),
        ("tomorrow --since 2999-01-01", []),
        ("Kraków nowhere", []),
        ("'AND OR NOT (' tomorrow", []),
    ],
)
def test_messages_are_found(log: Shell, arguments: str, roles: list[str]) -> None:
    assert sorted(roles_of_matches(log, arguments)) == roles


def test_the_best_comes_first(log: Shell) -> None:
    assert roles_of_matches(log, "tomorrow")[0] == "user" and len(roles_of_matches(log, "tomorrow")) == 3
    assert roles_of_matches(log, "tomorrow --limit 1") == ["user"]


def test_a_snippet_shows_the_text_around_a_match(log: Shell) -> None:
    words = "word " * 200
    log.run("llm-log", lines(text("user", f"{words} the needle \x1b[31mred {words}")))
    (line,) = log.run("llm-log search needle").text.splitlines()
    snippet = line.split("\t")[3]
    assert "the needle" in snippet and snippet.startswith("…") and snippet.endswith("…") and len(snippet) < 300
    assert log.run("llm-log search needle --color always").text.count("\x1b[1mneedle\x1b[0m") == 1
    assert "東京都庁 today" in log.run("llm-log search 東京").text


def test_records_with_json(log: Shell) -> None:
    (record,) = log.run("llm-log search rain --json").records
    digest = record.pop("hash")
    assert record == TALK[3]
    assert log.run(f"llm-log get {digest}").records == TALK[:4]
    (record,) = log.run("llm-log search Polish --json").records
    assert log.run("llm-log search day after --json").records[0]["response"]["model"] == "openai/gpt-5.5"


@pytest.mark.parametrize("words", ["", "++", '""', "* *"])
def test_a_query_without_words_is_refused(words: str) -> None:
    with pytest.raises(UsageError):
        fts_query(words)


def test_no_query_is_a_syntax_error(tmp_path: Path) -> None:
    log, dice = Store(tmp_path / "log.db"), random.Random(1)
    for _ in range(500):
        words = "".join(dice.choices("ab *\"'()-+:^{}[]AND OR NEAR\\/,;\u200b京", k=dice.randrange(1, 12)))
        try:
            search(log, words, 3)
        except UsageError:
            pass
    log.close()


def fill(path: Path, conversations: int) -> Store:
    """Store conversations of four messages. Each message has `common`, and one of w0 to w999."""
    log, dice, waiting = Store(path), random.Random(1), []
    for number in range(conversations):
        recorder = Recorder()
        for role in ("user", "assistant", "user", "assistant"):
            recorder.feed(
                text(role, f"common w{number % 1000} " + " ".join(f"x{dice.randrange(9999)}" for _ in range(8)))
            )
        waiting += recorder.unsaved_conversations()
        if len(waiting) == 1000 or number == conversations - 1:
            log.write(waiting)
            waiting = []
    return log


@pytest.mark.slow
def test_search_in_100_000_messages(tmp_path: Path) -> None:
    log = fill(tmp_path / "log.db", 25_000)
    rows = search(log, "common", 20)
    newest = log.connection.execute("SELECT max(id) FROM node").fetchone()[0]
    assert len(rows) == 20 and all(row["node"] > newest - MAX_RANKED for row in rows)
    assert len(search(log, "w17", 500)) == 100
    assert {row["role"] for row in search(log, "common", 20, role="user")} == {"user"}
    log.close()


# Growth


def turns(count: int) -> list[Object]:
    dice = random.Random(2)
    messages = []
    for number in range(count):
        content = " ".join(f"w{dice.randrange(3000)}" for _ in range(40))
        messages += [text("user", content), reply(content[::-1], f"r{number}")]
    return messages


def size(log: Store) -> int:
    log.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return log.path.stat().st_size


def grow(path: Path, count: int) -> list[int]:
    """Store a conversation after every turn; return the sizes of the file after half of the turns and at the end."""
    log, messages, sizes = Store(path), turns(count), []
    for end in range(2, len(messages) + 1, 2):
        recorder = Recorder()
        for message in messages[:end]:
            recorder.feed(message)
        log.write(recorder.unsaved_conversations())
        if end in (len(messages) // 2, len(messages)):
            sizes.append(size(log))
    log.close()
    return sizes


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_conversation_stored_after_every_turn_grows_linearly(tmp_path: Path, count: int) -> None:
    half, whole = grow(tmp_path / "log.db", count)
    log = Store(tmp_path / "once.db")
    recorder = Recorder()
    for message in turns(count):
        recorder.feed(message)
    log.write(recorder.unsaved_conversations())
    once = size(log)
    empty = size(Store(tmp_path / "empty.db"))
    assert whole - empty < 2.4 * (half - empty)  # linear, not quadratic: that would be four times
    assert whole < 1.25 * once  # hardly more than stored at once: only the index has more pages


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_forks_of_one_long_prefix_store_it_once(tmp_path: Path, count: int) -> None:
    prefix = [text("system", "token " * 50_000), text("user", "other " * 50_000)]
    log = Store(tmp_path / "log.db")
    for number in range(count):
        recorder = Recorder()
        for message in [*prefix, reply(f"answer {number}", f"r{number}")]:
            recorder.feed(message)
        log.write(recorder.unsaved_conversations())
    assert log.connection.execute("SELECT count(*) FROM node").fetchone()[0] == 2 + count
    assert log.connection.execute("SELECT count(*) FROM head").fetchone()[0] == count
    assert size(log) < 1_500_000 + 1_000 * count  # the prefix alone is 600,000 bytes
    log.close()


def test_a_thousand_turns_are_read_back(tmp_path: Path) -> None:
    log, recorder = Store(tmp_path / "log.db"), Recorder()
    messages = turns(1000)
    for message in messages:
        recorder.feed(message)
    log.write(recorder.unsaved_conversations())
    assert [json.loads(line) for line in log.lines("last")] == messages
    log.close()
