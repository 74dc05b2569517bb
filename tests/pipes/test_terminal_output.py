"""What a model, a server or a stream says never drives the terminal, whichever command writes it there."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
from typing import Any

import pytest

from support.harness import LIMIT, Shell

EVIL = (
    "".join(map(chr, (*range(1, 9), *range(11, 32), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F, 0x061C))) + "\x1b[8mX"
)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]|\r(?!\n)")
CALL = {"type": "tool_call", "name": "f", "arguments": {"x": EVIL}, "tool_call_id": "1"}
RESULT = {"type": "tool_result", "name": "f", "output": EVIL, "tool_call_id": "1"}
RESPONSE = {"id": EVIL, "model": f"echo{EVIL}", "status": "ok"}
STREAM: list[dict[str, Any]] = [
    {"type": "tool", "name": "f", "description": EVIL, "input_schema": {"type": "object", "title": EVIL}},
    {"type": "message", "role": "user", "parts": [{"type": "text", "text": EVIL}]},
    {"type": "notice", "code": EVIL, "message": EVIL},
    {"type": "unknown", "x": EVIL},
    {"type": "start", "response_id": "r", "model": "echo"},
    {"type": "reasoning", "chunk": EVIL, "part_index": 0},
    {"type": "text", "chunk": EVIL, "part_index": 1},
    {
        "type": "message",
        "role": "assistant",
        "parts": [{"type": "reasoning", "text": EVIL}, {"type": "text", "text": EVIL}, CALL],
        "response": RESPONSE,
    },
    {"type": "end", "response_id": "r", "status": "ok"},
    {"type": "message", "role": "tool", "parts": [RESULT]},
    {"type": "message", "role": "assistant", "parts": [{"type": "text", "text": EVIL}], "response": RESPONSE},
]
RECORDS = [
    "llm-msg user more < evil.jsonl",
    "head -2 evil.jsonl | llm-send -m echo",
    "head -2 evil.jsonl | llm-send --base-url http://127.0.0.1:1/v1 -m m --dry-run",
    "head -2 evil.jsonl | llm-send -m echo --save /dev/tty > out.jsonl",
    "llm-tools offer 'g: true' < evil.jsonl",
    "head -2 evil.jsonl | llm-tools loop 'g: true' -- llm-send -m echo",
    "llm-log < evil.jsonl",
    "llm-log get",
    "llm-log list --json",
    "llm-log export",
    "llm-parts --all --json < evil.jsonl",
    "llm-parts --events < evil.jsonl",
]
TEXTS = [
    "llm-parts < evil.jsonl",
    "llm-parts --all -t text < evil.jsonl",
    "llm-parts --all -t tool_call < evil.jsonl",
    "llm-parts --all -t tool_result < evil.jsonl",
    "llm-log list",
    "llm-log tree",
    "llm-log search X",
    "llm-log usage",
    'printf \'{"type":"error","code":"x","message":"a\\u009b\\u001b[8m","exit_status":75}\\n\' | llm-parts',
    "llm-msg user -a \"$(printf 'a\\033[8m\\302\\233')\"",
    "llm-msg user -t \"$(printf 'a\\033[8m\\302\\233')\"",
]


def on_terminal(shell: Shell, script: str) -> str:
    """Run a script with stdout and stderr on a terminal of its own; return what it shows."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=shell.folder,
        env={**shell.environment, "TERM": "xterm", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=secondary,
        preexec_fn=lambda: os.login_tty(os.dup(secondary)) if "/dev/tty" in script else None,
    )
    os.close(secondary)
    shown = b""
    while select.select([primary], [], [], LIMIT)[0]:
        try:
            data = os.read(primary, 1 << 16)
        except OSError:
            break
        if not data:
            break
        shown += data
    process.wait(LIMIT)
    os.close(primary)
    return shown.decode()


@pytest.fixture
def evil(shell: Shell) -> Shell:
    lines = [json.dumps(record, ensure_ascii=False) for record in STREAM]
    (shell.folder / "evil.jsonl").write_text("\n".join(lines).replace("{", "{\r", 1) + "\n", newline="")
    done = shell.run("llm-log < evil.jsonl")
    assert done.status == 0 and "\x9b" in done.text, "untouched in a pipe"
    return shell


@pytest.mark.parametrize("script", TEXTS)
def test_a_text_on_a_terminal_has_no_control_character(script: str, evil: Shell) -> None:
    shown = on_terminal(evil, script)
    assert len(shown) > 10 and not CONTROL.search(shown), repr(shown)


@pytest.mark.parametrize("script", RECORDS)
def test_a_record_on_a_terminal_has_no_control_character_and_stays_what_it_is(script: str, evil: Shell) -> None:
    shown = on_terminal(evil, script)
    assert not CONTROL.search(shown), repr(shown)
    values = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    assert any(EVIL in text for text in _strings(values))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _strings(item)]
