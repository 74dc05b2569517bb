"""The system message: what is asked of a model in words, and system messages that become one.

Rule: an instruction goes to the end of the first system message, which is made if there is none.
"""

from __future__ import annotations

from ..records.jsonl import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..records.types import Message, Part

JSON_INSTRUCTION = "Answer with one JSON object, and with nothing else."


def schema_instruction(schema: dict[str, Any]) -> str:
    """Return the words that ask for an answer that fits a JSON Schema."""
    text = dumps(schema).decode()
    return f"Answer with one JSON value, and with nothing else. It must fit this JSON Schema:\n{text}"


def with_instruction(messages: list[Message], instruction: str) -> list[Message]:
    """Return messages with an instruction."""
    added: Part = {"type": "text", "text": instruction}
    if not messages or messages[0]["role"] != "system":
        return [{"type": "message", "role": "system", "parts": [added]}, *messages]
    return [{**messages[0], "parts": _with_joined_texts([*messages[0]["parts"], added])}, *messages[1:]]


def with_one_system(messages: list[Message]) -> tuple[list[Message], bool]:
    """Return messages in which the system messages are one, the first, and whether one was not at the beginning."""
    system = [message for message in messages if message["role"] == "system"]
    if not system or (len(system) == 1 and messages[0] is system[0]):
        return messages, False
    first: Message = {**system[0], "parts": _with_joined_texts([part for one in system for part in one["parts"]])}
    is_late = any(message["role"] != "system" for message in messages[: len(system)])
    return [first, *(message for message in messages if message["role"] != "system")], is_late


def _with_joined_texts(parts: list[Part]) -> list[Part]:
    """Return parts in which texts that follow each other are one, so that servers get a plain string."""
    joined: list[Part] = []
    for part in parts:
        if (
            joined
            and part["type"] == joined[-1]["type"] == "text"
            and part.keys() == joined[-1].keys() == {"type", "text"}
        ):
            joined[-1] = {**joined[-1], "text": f"{joined[-1]['text']}\n\n{part['text']}"}
        else:
            joined.append(part)
    return joined


def mentions_json(messages: list[Message]) -> bool:
    """Return whether a text that is sent has the word JSON: without it vendors refuse a request for JSON
    (https://platform.openai.com/docs/guides/structured-outputs#json-mode)."""
    texts = (part["text"] for message in messages for part in message["parts"] if part["type"] == "text")
    return any("json" in text.lower() for text in texts)
