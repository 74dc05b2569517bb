"""Whatever comes on stdin, a command ends with a status of the table and no traceback."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from llmtools.errors import STATUSES, InputError
from llmtools.records.check import check_record
from llmtools.records.jsonl import dumps, loads
from support.harness import SCRIPTS, environment
from support.strategies import Record, mutations, records

COMMANDS = (
    ["llm-msg", "user", "hi"],
    ["llm-msg", "tool", "42"],
    ["llm-send", "-m", "echo", "--anyway", "--prefill"],
    ["llm-send", "-m", "echo", "-s", "Be brief"],
    ["llm-parts"],
    ["llm-parts", "--all", "--json"],
    ["llm-parts", "--events", "--save", "."],
    ["llm-parts", "-t", "attachment,tool_call", "--json"],
)
BROKEN = (
    b"",
    b"{",
    b"null",
    b"\xff",
    b'{"type":"message"}',
    b'{"role":"user","content":1}',
    b'{"role":"user","content":"x"}',
)


def is_good(record: Record) -> bool:
    try:
        check_record(record)
    except InputError:
        return False
    return True


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Records that are taken, odd as they are, of every type."""
    found: list[Record] = []

    @settings(
        derandomize=True,
        deadline=None,
        max_examples=150,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(records(), mutations(records()))
    def collect(valid: Record, mutated: Record) -> None:
        found.extend(filter(is_good, (valid, mutated)))

    collect()
    return [dumps(record) for record in found]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_input_gives_a_traceback(command: list[str], lines: list[bytes], tmp_path: Path) -> None:
    chance = random.Random(1)
    for _ in range(15):
        chosen = [*chance.sample(lines, 6), *chance.sample(BROKEN, chance.randrange(2))]
        done = subprocess.run(
            [f"{SCRIPTS}/{command[0]}", *command[1:]],
            input=b"\n".join(chosen),
            capture_output=True,
            cwd=tmp_path,
            env=environment(tmp_path),
            timeout=60,
            check=False,
        )
        said = done.stderr.decode()
        assert "Traceback" not in said and "a bug" not in said, (said, chosen)
        assert done.returncode in statuses(chosen), (done.returncode, said, chosen)


def statuses(chosen: list[bytes]) -> set[int]:
    """Return the statuses that may come: those of the table, and those that a record names."""
    named: set[int] = set()
    for line in chosen:
        try:
            record = loads(line)
        except InputError:
            continue
        held = record if isinstance(record, dict) else {}
        response = held.get("response") or {}
        outcomes = [held, response, response.get("error") or {}, held.get("error") or {}]
        outcomes += [message.get("response") or {} for message in held.get("messages", ())]
        named |= {outcome.get("exit_status", 1) % 256 for outcome in outcomes}
    return (named | STATUSES.keys()) - {70}
