"""Conversations in the form in which they are sent: calls that were passed over get a result."""

from __future__ import annotations

from typing import Any

import pytest

from llmtools.exchange.ask import ready_to_send
from llmtools.records.conversation import Conversation


def user(text: str = "hi") -> dict[str, Any]:
    return {"type": "message", "role": "user", "parts": [{"type": "text", "text": text}]}


def calls(*ids: str, **fields: Any) -> dict[str, Any]:
    parts = [{"type": "tool_call", "name": f"f_{name}", "arguments": {}, "tool_call_id": name} for name in ids]
    return {"type": "message", "role": "assistant", "parts": [{**part, **fields} for part in parts]}


def results(*ids: str) -> dict[str, Any]:
    parts = [{"type": "tool_result", "name": f"f_{name}", "output": "42", "tool_call_id": name} for name in ids]
    return {"type": "message", "role": "tool", "parts": parts}


def sent(*messages: dict[str, Any]) -> tuple[str, list[str]]:
    """Return each message as its role and the ids of its calls and results, those of added results with a +;
    and the codes of notices."""
    ready, notices = ready_to_send(Conversation(messages))
    shown = []
    for message in ready.messages:
        parts = [part for part in message["parts"] if "tool_call_id" in part]
        ids = [part["tool_call_id"] + "+" * ("exception" in part) for part in parts]
        shown.append(f"{message['role']} {','.join(ids)}".strip())
    return "; ".join(shown), [notice["code"] for notice in notices]


@pytest.mark.parametrize(
    ("messages", "shown", "added"),
    [
        ([user(), calls("a", "b"), results("a"), user()], "user; assistant a,b; tool a,b+; user", 1),
        ([user(), calls("a"), user()], "user; assistant a; tool a+; user", 1),
        ([user(), calls("a", "b"), user()], "user; assistant a,b; tool a+,b+; user", 2),
        ([user(), calls("a"), calls("b"), results("b")], "user; assistant a; tool a+; assistant b; tool b", 1),
        ([user(), calls("a", "b"), results("b")], "user; assistant a,b; tool b,a+", 1),
        ([user(), calls("a"), results("a"), user()], "user; assistant a; tool a; user", 0),
        ([user(), calls("a", "b"), results("a"), results("b")], "user; assistant a,b; tool a; tool b", 0),
        ([user(), calls("s", server_executed=True), user()], "user; assistant s; user", 0),
    ],
)
def test_each_call_has_a_result(messages: Any, shown: Any, added: int) -> None:
    assert sent(*messages) == (shown, ["missing_result"] * added)


def test_the_conversation_itself_stays_as_it_is() -> None:
    conversation = Conversation([user(), calls("a"), user()])
    ready_to_send(conversation)
    assert len(conversation.messages) == 3
