"""llm-parts: every option of it, through the executable."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.harness import LIMIT, Shell

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
RICH: dict[str, Any] = {
    "reasoning": "hm so",
    "text": "Here:\n```py\nx = 1\n```\nand\n```sh\nls\n```\n",
    "tool_calls": [{"name": "add", "arguments": {"a": 1}, "tool_call_id": "c1"}],
    "attachments": [{"type": "image/png", "content": PNG, "name": "../../pic.png"}],
    "usage": {"input": 5, "output": 7, "details": {"cached": 2}},
}


@pytest.fixture
def rich(shell: Shell) -> Shell:
    (shell.folder / "script").write_text(json.dumps(RICH))
    assert shell.run("llm-msg system s | llm-msg user -f script | llm-send -m echo > rich.jsonl").status == 0
    return shell


def test_types_in_a_pipe(rich: Shell) -> None:
    assert rich.run("llm-parts < rich.jsonl").text == RICH["text"]
    assert rich.run("cat rich.jsonl | llm-parts -t text").text == RICH["text"]
    assert rich.run("llm-parts -t reasoning < rich.jsonl").text == "hm so\n"
    assert rich.run("llm-parts -t attachment < rich.jsonl").out == base64.b64decode(PNG)
    call = {"type": "tool_call", "name": "add", "arguments": {"a": 1}, "tool_call_id": "c1"}
    assert json.loads(rich.run("llm-parts -t tool_call < rich.jsonl").out) == call


def test_several_types_need_json(rich: Shell) -> None:
    assert rich.run("llm-parts -t text,reasoning < rich.jsonl").status == 2
    lines = rich.run("llm-parts --json -t text -t reasoning < rich.jsonl").out.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["reasoning", "text"]


def test_json_prints_whole_parts(rich: Shell) -> None:
    parts = [json.loads(line) for line in rich.run("llm-parts --json < rich.jsonl").out.splitlines()]
    assert [part["type"] for part in parts] == ["reasoning", "text", "tool_call", "attachment"]
    parts = [json.loads(line) for line in rich.run("llm-parts --json -R < rich.jsonl").out.splitlines()]
    assert [part["type"] for part in parts] == ["text", "tool_call", "attachment"]


def test_extract_takes_the_first_or_last_block(rich: Shell) -> None:
    assert rich.run("llm-parts -x < rich.jsonl").text == "x = 1\n"
    assert rich.run("llm-parts --xl < rich.jsonl").text == "ls\n"
    assert rich.run("llm-msg user 'no block' | llm-send -m echo | llm-parts -x").text == "no block\n"


def test_usage(rich: Shell) -> None:
    assert json.loads(rich.run("llm-parts --usage < rich.jsonl").out) == RICH["usage"]
    twice = rich.run("(cat rich.jsonl; tail -n 2 rich.jsonl) | llm-parts --usage")
    assert json.loads(twice.out) == {"input": 10, "output": 14, "details": {"cached": 4}}


def test_roles_last_and_all(shell: Shell) -> None:
    talk = "llm-msg system s | llm-msg user a | llm-send -m echo | llm-msg user b | llm-send"
    shell.run(talk + " > talk.jsonl")
    assert shell.run("llm-parts --all < talk.jsonl").text == "s\na\na\nb\nb\n"
    assert shell.run("llm-parts --role user < talk.jsonl").text == "a\nb\n"
    assert shell.run("llm-parts --role system,user < talk.jsonl").text == "s\na\nb\n"
    assert shell.run("llm-parts --role assistant --last < talk.jsonl").text == "b\n"
    assert shell.run("llm-parts --role tool < talk.jsonl").status == 66
    assert shell.run("llm-parts --role king < talk.jsonl").status == 2


def test_events_are_the_lines_as_they_came(rich: Shell) -> None:
    events = rich.run("llm-parts --events < rich.jsonl").records
    assert events[0]["type"] == "start" and events[-1]["type"] == "end"
    assert "message" not in [event["type"] for event in events]


def test_save_writes_attachments_to_safe_new_names(rich: Shell) -> None:
    done = rich.run("llm-parts --save out < rich.jsonl; llm-parts --save out -t attachment < rich.jsonl")
    assert done.status == 0
    assert sorted(os.listdir(rich.folder / "out")) == ["pic-1.png", "pic.png"]
    assert (rich.folder / "out" / "pic.png").read_bytes() == base64.b64decode(PNG)
    assert done.text == RICH["text"] + "out/pic-1.png\n"
    assert rich.run("touch file; llm-parts --save file/x < rich.jsonl").status == 73


def test_null_ends_each_reply(shell: Shell) -> None:
    assert shell.run("llm-msg user 'a b' | llm-send -m echo | llm-parts -0").out == b"a b\0"


def test_text_is_unchanged_with_one_newline_at_the_end(shell: Shell) -> None:
    for text, out in (("a", "a\n"), ("a\n", "a\n"), ("a\n\n", "a\n\n"), (" \ta \r\n\x1b[2J", " \ta \r\n\x1b[2J\n")):
        (shell.folder / "t").write_text(text, newline="")
        done = shell.run("llm-msg user -f t | llm-send -m echo | llm-parts")
        assert done.out == out.encode()


def test_no_reply_is_66_whatever_older_ones_there_are(shell: Shell) -> None:
    done = shell.run("llm-msg user a | llm-send -m echo | llm-msg user b | llm-parts --json")
    assert (done.status, done.out) == (66, b"")
    assert shell.run("llm-msg user a | llm-parts").status == 66


def test_a_reply_of_several_messages_has_a_newline_between_two(shell: Shell) -> None:
    call = json.dumps({"text": "first", "tool_calls": [{"name": "f", "arguments": {}, "tool_call_id": "c"}]})
    script = f"llm-msg user '{call}' | llm-send -m echo | llm-msg tool second | llm-send"
    for options in ("", "--whole"):
        assert shell.run(f"{script} | llm-parts {options}").text == "first\nsecond\n"
    assert shell.run(f"{script} | llm-parts --last").text == "second\n"
    outputs = shell.run(f"{script} | llm-parts -t tool_result")
    assert outputs.text == "second\n"


def reset_script() -> str:
    text = [{"type": "text", "chunk": word, "part_index": 0} for word in ("wrong ", "right")]
    events = [text[0], {"type": "reset", "reason": "retry"}, {"type": "start", "response_id": "r", "model": "echo"}]
    return json.dumps({"events": [*events, text[1]], "delay": 0.3})


def test_a_reset_after_text_was_shown_is_a_newline_and_a_notice(shell: Shell) -> None:
    done = shell.run(f"llm-msg user '{reset_script()}' | llm-send -m echo | llm-parts")
    assert (done.status, done.text) == (0, "wrong \nright\n")
    assert "void" in done.err
    whole = shell.run(f"llm-msg user '{reset_script()}' | llm-send -m echo | llm-parts --whole")
    assert (whole.status, whole.text, whole.err) == (0, "right\n", "")
    late = shell.run(f"llm-msg user '{reset_script()}' | llm-send -m echo > f; llm-parts < f")
    assert (late.text, late.err) == ("right\n", ""), "in a file nothing was shown yet"


def test_whole_prints_only_complete_messages(shell: Shell) -> None:
    done = shell.run("""llm-msg user '{"text":"a b","cut":true}' | llm-send -m echo | llm-parts --whole""")
    assert (done.status, done.text) == (75, "")


def test_commentary_is_no_part_of_the_answer(shell: Shell) -> None:
    events = [
        {"type": "text", "chunk": "let me see", "part_index": 0, "phase": "commentary"},
        {"type": "text", "chunk": " more", "part_index": 0},
        {"type": "text", "chunk": "42", "part_index": 1, "phase": "answer"},
    ]
    script = json.dumps({"events": events})
    for options in ("", "-t text", "--whole", "--json"):
        done = shell.run(f"llm-msg user '{script}' | llm-send -m echo | llm-parts {options}")
        assert "42" in done.text
        assert ("see" in done.text) == (options == "--json"), options


def on_terminal(shell: Shell, script: str) -> str:
    """Run a script with a terminal for stdout and stderr; return what it shows."""
    primary, secondary = pty.openpty()
    process = shell.start(script, stdout=secondary, stderr=secondary, stdin=subprocess.DEVNULL, env={"TERM": "xterm"})
    os.close(secondary)
    shown = b""
    while True:
        try:
            piece = os.read(primary, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert process.wait(LIMIT) == 0
    os.close(primary)
    return shown.decode()


def test_the_view_for_people(rich: Shell) -> None:
    shown = on_terminal(rich, "llm-parts < rich.jsonl")
    assert "\x1b[2mhm\x1b[0m" in shown
    assert '→ add({"a":1})' in shown
    assert "```py\r\nx = 1" in shown
    plain = on_terminal(rich, "NO_COLOR=1 llm-parts < rich.jsonl")
    assert "\x1b" not in plain and "→ add" in plain
    assert "\x1b" not in on_terminal(rich, "TERM=dumb llm-parts < rich.jsonl")
    assert "\x1b[" in on_terminal(rich, "NO_COLOR=1 llm-parts --color always < rich.jsonl")
    assert "hm so" not in on_terminal(rich, "llm-parts -R < rich.jsonl")
    assert on_terminal(rich, "llm-parts -q < rich.jsonl") == RICH["text"].replace("\n", "\r\n")


def test_control_characters_are_visible_on_a_terminal_and_untouched_in_a_pipe(shell: Shell) -> None:
    evil = "a\x1b]52;c;x\x07\x9b2J\x08\u202eb"
    (shell.folder / "evil").write_text(evil)
    shell.run("llm-msg user -f evil | llm-send -m echo > evil.jsonl")
    assert shell.run("llm-parts < evil.jsonl").text == evil + "\n"
    shown = on_terminal(shell, "llm-parts < evil.jsonl")
    assert shown == "a␛]52;c;x␇<9B>2J␈<U+202E>b\r\n"
    assert on_terminal(shell, "llm-parts -t text < evil.jsonl") == shown
    assert on_terminal(shell, "llm-parts --raw < evil.jsonl") == evil + "\r\n"


def test_an_attachment_is_not_written_to_a_terminal(rich: Shell) -> None:
    primary, secondary = pty.openpty()
    process = rich.start("llm-parts -t attachment < rich.jsonl", stdout=secondary, stdin=subprocess.DEVNULL)
    os.close(secondary)
    _, err = process.communicate(timeout=LIMIT)
    os.close(primary)
    assert process.returncode == 2 and b"--save" in err


def test_a_large_reply_from_a_file_equals_the_pipe(shell: Shell) -> None:
    words = " ".join(f"word{number}" for number in range(20000))
    (shell.folder / "words").write_text(words)
    shell.run("llm-msg user -f words | llm-send -m echo > big.jsonl")
    assert shell.run("llm-parts < big.jsonl").text == words + "\n"
    assert shell.run("cat big.jsonl | llm-parts").text == words + "\n"
    assert shell.run("llm-parts --whole < big.jsonl").text == words + "\n"


def test_saved_path(tmp_path: Path, rich: Shell) -> None:
    done = rich.run("llm-parts --save out -t attachment -0 < rich.jsonl")
    assert done.out.rstrip(b"\0") == b"out/pic.png"


@pytest.mark.parametrize("reply", [[], [{"role": "assistant", "parts": [{"type": "text", "text": "yes"}]}]])
def test_an_error_after_conversation_records_is_reported(shell: Shell, reply: list[dict[str, Any]]) -> None:
    messages = [{"role": "user", "parts": [{"type": "text", "text": "hi"}]}, *reply]
    error = {"type": "error", "code": "unavailable", "message": "no route", "exit_status": 69}
    lines = [{"type": "conversation", "id": "1", "messages": messages}, error]
    (shell.folder / "batch.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = shell.run("cat batch.jsonl | llm-parts")
    assert (done.status, done.text.strip(), done.err) == (69, "yes" if reply else "", "llm-parts: no route\n")
