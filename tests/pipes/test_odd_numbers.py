"""Numbers that neither a double nor Python's Decimal holds, and what nests too deep: wherever they come, they are kept
as written or refused in one line, and never cost a reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.harness import Shell
from support.protocol_replies import PROTOCOLS, send
from support.server import Close, Server, head, whole

NUMBERS = {
    "tiny": "1e-9999999999999999999999",
    "huge": "1e999999999999",
    "exponent": "-1.5e+" + "9" * 5000,
    "digits": "9" * 4000,
    "fraction": "0." + "3" * 5000,
}
CALL = '{"type":"message","role":"assistant","parts":[{"type":"tool_call","name":"f","arguments":{"a":%s}}],"x":%s}\n'
ASK = '{"type":"message","role":"user","parts":[{"type":"text","text":"hi"}]}\n'
COMMANDS = (
    "llm-send -m echo",
    "llm-parts --all --json",
    "llm-log",
    "llm-msg user more",
    "llm-send -m echo -o seed $N",
    """llm-send -m echo --schema '{"type":"object","properties":{"a":{"type":"number","maximum":'$N'}}}'""",
    "llm-send -m m --base-url http://127.0.0.1:9 --dry-run -q --protocol anthropic",
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_kept_as_written(shell: Shell, name: str, command: str) -> None:
    number = NUMBERS[name]
    (shell.folder / "in").write_text(CALL % (number, number) + ASK)
    done = shell.run(f"{command} < in", env={"N": number})
    assert (done.status, done.err) == (0, "")
    assert number in done.text


BODIES = {"tiny": NUMBERS["tiny"], "digits": NUMBERS["digits"], "deep": "[" * 300 + "]" * 300, "half": '"\\ud83d"'}


@pytest.mark.parametrize("odd", BODIES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_reply_with_an_odd_value_is_stored_everywhere(shell: Shell, protocol: str, odd: str) -> None:
    body = PROTOCOLS[protocol][3].replace(b'{"', b'{"odd": ' + BODIES[odd].encode() + b', "', 1)
    last = body.rindex(b'{"', 0, body.rindex(b"oken") if b"oken" in body else len(body) - 60)
    body = body[:last] + b'{"odder": ' + BODIES[odd].encode() + b", " + body[last + 1 :]
    with Server([head(connection="close"), body, Close.FIN]) as server:
        done = shell.run(f"llm-msg user hi | {send(server, protocol)} --save talk.jsonl --log")
    assert done.status in (0, 76), done.err
    saved = [json.loads(line) for line in (shell.folder / "talk.jsonl").read_text().splitlines()]
    logged = shell.run("llm-log get last")
    assert logged.status == 0
    for records in (done.records, saved, logged.records):
        assert "Hello" in _said(records)


def _said(records: list[dict[str, Any]]) -> str:
    messages = [record for record in records if record["type"] == "message" and record["role"] == "assistant"]
    return "".join(part["text"] for part in messages[-1]["parts"] if part["type"] == "text")


@pytest.mark.parametrize("odd", BODIES)
def test_an_error_with_an_odd_value_is_an_error(shell: Shell, odd: str) -> None:
    body = '{"error": {"message": "slow down", "code": "rate_limit", "odd": %s}}' % BODIES[odd]  # noqa: UP031
    with Server(whole(429, body.encode())) as server:
        done = shell.run(f"llm-msg user hi | {send(server, 'openai-chat')}")
    assert done.status == 75
    assert "slow down" in done.err and done.err.count("\n") == 1
