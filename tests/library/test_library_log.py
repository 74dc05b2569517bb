"""`llmtools.Log`: the log of `llm-log`, from Python; each side reads what the other stored."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import llmtools
from llmtools.errors import NoInputError, UsageError
from support.harness import Shell


def upper(text: str) -> str:
    """Convert text to uppercase."""
    return text.upper()


CALLS = '{"tool_calls": [{"name": "upper", "arguments": {"text": "panda"}}]}'


def test_a_response_is_stored_and_continued(tmp_path: Path) -> None:
    echo = llmtools.get_model("echo")
    with llmtools.Log(tmp_path / "log.db") as log:
        ref = log.put(echo.prompt("Tell me of otters", system="Be brief"))
        assert [message["role"] for message in log.get(ref).messages] == ["system", "user", "assistant"]
        reply = echo.prompt("shorter", messages=log.get(ref))
        other = log.put(reply)
        assert log.get().messages == log.get(other[:12]).messages and len(log.get().messages) == 5
        assert log.get("last~2").messages == log.get(ref).messages
        assert log.put(reply) == other, "once is enough"
        assert [row["role"] for row in log.search("otters", role="user")] == ["user"]
        assert log.search("nothing of it") == []
        [row] = log.usage()
        assert (row["model"], row["responses"], row["output"]) == ("echo", 2, 5)


def test_chains_conversations_messages_and_failures(tmp_path: Path) -> None:
    echo = llmtools.get_model("echo")
    with llmtools.Log(tmp_path / "log.db") as log:
        chain = echo.chain(CALLS, tools=[upper])
        chain.text()
        stored = log.get(log.put(chain, name="panda"))
        assert [message["role"] for message in stored.messages] == ["user", "assistant", "tool", "assistant"]
        assert list(stored.tools) == ["upper"]
        talk = echo.conversation()
        talk.prompt("one").text()
        talk.prompt("two").text()
        assert len(log.get(log.put(talk)).messages) == 4
        assert len(log.get(log.put([llmtools.user("hi")])).messages) == 1
        assert len(log.get(log.put(llmtools.Conversation([llmtools.user("a"), llmtools.assistant("b")]))).messages) == 2
        failed = log.get(log.put(echo.prompt('{"text": "half", "error": {"code": "overloaded"}}')))
        assert failed.messages[-1]["response"]["status"] == "error"
        without_reply = log.put(echo.prompt('{"error": {"code": "overloaded"}}'))
        assert [message["role"] for message in log.get(without_reply).messages] == ["user"]
        assert log.get("panda").messages == stored.messages
        with pytest.raises(UsageError, match="nothing to store"):
            log.put([])
        with pytest.raises(UsageError, match="nothing to store"):
            log.put(echo.conversation())
        with pytest.raises(UsageError, match="not a filter"):
            log.search("hi", colour="red")


def test_a_response_of_asyncio_is_awaited_first(tmp_path: Path) -> None:
    async def run(log: llmtools.Log) -> str:
        response = llmtools.get_async_model("echo").prompt("hi")
        with pytest.raises(RuntimeError, match="await it first"):
            log.put(response)
        return log.put(await response)

    with llmtools.Log(tmp_path / "log.db") as log:
        assert len(log.get(asyncio.run(run(log))).messages) == 2


def test_where_nothing_is_stored(tmp_path: Path) -> None:
    with pytest.raises(NoInputError):
        llmtools.Log(tmp_path / "none.db").get()
    assert not (tmp_path / "none.db").exists(), "reading makes no file"


@pytest.mark.process
def test_the_commands_read_the_same_log(shell: Shell) -> None:
    """Also what was stored with a path for an attachment, and calls without ids of the model's."""
    with llmtools.Log(shell.folder / "log.db") as log:
        (shell.folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        file = llmtools.Attachment(path=shell.folder / "a.png")
        chain = llmtools.get_model("echo").chain(CALLS, tools=[upper], attachments=[file])
        assert chain.text() == "PANDA"
        log.put(chain)
    done = shell.run("llm-log -d log.db get last")
    assert done.status == 0 and [record["type"] for record in done.records] == ["tool", *["message"] * 4]
    assert done.records[1]["parts"][1]["attachment"]["content"] == "iVBORw0KGgo="
    shell.run("llm-msg user more < /dev/null | llm-send -m echo | llm-log -d log.db > /dev/null")
    with llmtools.Log(shell.folder / "log.db") as log:
        assert json.dumps(log.get().messages[0]["parts"]) == '[{"type": "text", "text": "more"}]'
