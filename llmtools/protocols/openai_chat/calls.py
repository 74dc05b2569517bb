"""OpenAI Chat Completions, the tool calls of a reply.

Rules:
* The index is the key; another id at the same index is another call, and so is an id or a
  name where no index comes at all; no id is none, and "null" is no id.
* A name counts once, however often it comes. No arguments are ""; an object is its text.
* Two calls never have one id: the second gets the one that its place makes.
* The free text of a custom tool is streamed as `{"input": TEXT}`; the deprecated
  function_call is a call like any other.
* A tool that the server ran (Groq's executed_tools) is a call and its result, both marked.

Facts: wire-protocols.md sections 0.7 and 1.
"""

from __future__ import annotations

from ...records.jsonl import dumps
from ..reply_writer import objects_in, said_in, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..reply_writer import Draft

_OF_EXECUTED = frozenset(("index", "type", "arguments", "output"))


class _Call:
    """A call as it comes: its place, and what of it was said."""

    __slots__ = ("id", "index", "is_custom", "is_named")

    def __init__(self, index: int, call_id: str) -> None:
        self.index = index
        self.id = call_id
        self.is_named = False
        self.is_custom = False


class Calls:
    """Writes the calls of one reply into its draft."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._all: list[_Call] = []
        self._at: dict[Any, _Call] = {}
        self._executed: dict[Any, int] = {}
        self._answered: set[int] = set()

    def __len__(self) -> int:
        return len(self._all)

    def take(self, delta: dict[str, Any], is_whole: bool) -> None:
        """Take the calls of a delta, or of a whole message."""
        for place, item in enumerate(objects_in(delta.get("tool_calls"))):
            index = item.get("index")
            self._take(item, place if is_whole else index if isinstance(index, int) else None)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict) and (legacy.get("name") or legacy.get("arguments")):
            self._take({"function": legacy}, "function_call")

    def end(self) -> None:
        """Close what is still open."""
        for call in self._all:
            if call.is_custom:
                self._say_arguments(call, '"}')

    def _take(self, item: dict[str, Any], key: Any) -> None:
        is_custom = item.get("type") == "custom" or ("custom" in item and "function" not in item)
        said = item.get("custom" if is_custom else "function")
        said = said if isinstance(said, dict) else {}
        name, call_id = text_in(said.get("name")), text_in(item.get("id"))
        call = self._call(key, "" if call_id == "null" else call_id, name)
        extra = {"extra_content": item["extra_content"]} if item.get("extra_content") else {}
        if extra or (name and not call.is_named):
            kind = {"type": "custom"} if is_custom and not call.is_named else {}
            chunk = "" if call.is_named else name
            call.is_named = call.is_named or bool(name)
            self._draft.say("tool_call_name", chunk, call.index, {**kind, **extra}, tool_call_id=call.id)
        if is_custom:
            self._say_input(call, text_in(said.get("input")))
        else:
            arguments = said.get("arguments")
            self._say_arguments(call, dumps(arguments).decode() if isinstance(arguments, dict) else text_in(arguments))

    def _call(self, key: Any, call_id: str, name: str) -> _Call:
        """Return the call that a delta goes on with, or a new one."""
        call = self._at.get(key)
        is_new = call is None or (call_id and call.id not in (call_id, f"~{call.index}"))
        if call is None or is_new or (key is None and not call_id and name):
            index = self._draft.next()
            call = self._at[key] = _Call(index, f"~{index}")
            self._all.append(call)
        if call_id and all(other.id != call_id for other in self._all):
            call.id = call_id
        return call

    def _say_input(self, call: _Call, text: str) -> None:
        escaped = dumps(text).decode()[1:-1]
        self._say_arguments(call, escaped if call.is_custom else '{"input":"' + escaped)
        call.is_custom = True

    def _say_arguments(self, call: _Call, text: str) -> None:
        if text:
            self._draft.say("tool_call_args", text, call.index, tool_call_id=call.id)

    def take_executed(self, tool: dict[str, Any]) -> None:
        """Take a tool that the server ran: first without its output, then with it."""
        name = text_in(tool.get("type")) or "tool"
        index = tool.get("index")
        key = (index if isinstance(index, int) else None, name)
        if key not in self._executed:
            call = self._executed[key] = self._draft.next()
            self._draft.say("tool_call_name", name, call, tool_call_id=f"~{call}", server_executed=True)
            self._draft.say("tool_call_args", text_in(tool.get("arguments")), call, tool_call_id=f"~{call}")
        call = self._executed[key]
        output = text_in(tool.get("output"))
        if output and call not in self._answered:
            self._answered.add(call)
            same = {"tool_call_id": f"~{call}", "tool_name": name, "server_executed": True}
            self._draft.say("tool_result", output, self._draft.next(), said_in(tool, _OF_EXECUTED), **same)
