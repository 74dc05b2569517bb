"""OpenAI Chat Completions, the tool calls of a reply.

Rules:
* The index is the key of a call. Another id at the same index is another call. Without an
  index, a new id or a name is another call. "null" and "" are not ids.
* A name counts once, however often it comes. Arguments that are missing are ""; arguments that
  are an object become its JSON text.
* Two calls never have the same id: the second gets one made from its place.
* The free text of a custom tool becomes the arguments `{"input": TEXT}`. The deprecated
  function_call is a call like any other.
* A tool that the server ran (Groq's executed_tools) is a call and its result, both marked.
"""

from __future__ import annotations

from ...records.jsonl import dumps
from ..json_fields import objects_of, string_or_empty, unhandled_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..json_fields import JsonObject
    from ..reply_writer import ReplyWriter

_EXECUTED_FIELDS = frozenset(("index", "type", "arguments", "output"))


class _Call:
    """A call that is coming in: its part_index, its id, and whether its name and free text have begun."""

    __slots__ = ("id", "index", "is_custom", "is_named")

    def __init__(self, index: int, call_id: str) -> None:
        self.index = index
        self.id = call_id
        self.is_named = False
        self.is_custom = False


class ToolCalls:
    """Writes the calls of one reply. Its length is the number of calls that the server did not run."""

    def __init__(self, writer: ReplyWriter) -> None:
        self._writer = writer
        self._calls: list[_Call] = []
        self._by_key: dict[Any, _Call] = {}
        self._executed: dict[Any, int] = {}
        self._executed_with_output: set[int] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, delta: JsonObject, is_whole: bool) -> None:
        """Take the calls of a delta, or of a whole message."""
        for place, item in enumerate(objects_of(delta.get("tool_calls"))):
            index = item.get("index")
            self._take_call(item, place if is_whole else index if isinstance(index, int) else None)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict) and (legacy.get("name") or legacy.get("arguments")):
            self._take_call({"function": legacy}, "function_call")

    def end(self) -> None:
        """Close the free texts, which are JSON strings."""
        for call in self._calls:
            if call.is_custom:
                self._add_arguments(call, '"}')

    def _take_call(self, item: JsonObject, key: Any) -> None:
        is_custom = item.get("type") == "custom" or ("custom" in item and "function" not in item)
        content = item.get("custom" if is_custom else "function")
        content = content if isinstance(content, dict) else {}
        name, call_id = string_or_empty(content.get("name")), string_or_empty(item.get("id"))
        call = self._call(key, "" if call_id == "null" else call_id, name)
        extra = {"extra_content": item["extra_content"]} if item.get("extra_content") else {}
        if extra or (name and not call.is_named):
            kind = {"type": "custom"} if is_custom and not call.is_named else {}
            chunk = "" if call.is_named else name
            call.is_named = call.is_named or bool(name)
            self._writer.add_chunk("tool_call_name", chunk, call.index, {**kind, **extra}, tool_call_id=call.id)
        if is_custom:
            self._add_free_text(call, string_or_empty(content.get("input")))
        else:
            arguments = content.get("arguments")
            is_object = isinstance(arguments, dict)
            self._add_arguments(call, dumps(arguments).decode() if is_object else string_or_empty(arguments))

    def _call(self, key: Any, call_id: str, name: str) -> _Call:
        """Return the call that a delta continues, or a new one."""
        call = self._by_key.get(key)
        is_new = call is None or (call_id and call.id not in (call_id, f"~{call.index}"))
        if call is None or is_new or (key is None and not call_id and name):
            index = self._writer.new_index()
            call = self._by_key[key] = _Call(index, f"~{index}")
            self._calls.append(call)
        if call_id and all(other.id != call_id for other in self._calls):
            call.id = call_id
        return call

    def _add_free_text(self, call: _Call, text: str) -> None:
        escaped = dumps(text).decode()[1:-1]
        self._add_arguments(call, escaped if call.is_custom else '{"input":"' + escaped)
        call.is_custom = True

    def _add_arguments(self, call: _Call, text: str) -> None:
        if text:
            self._writer.add_chunk("tool_call_args", text, call.index, tool_call_id=call.id)

    def take_executed(self, tool: JsonObject) -> None:
        """Take a tool that the server ran. It comes first without its output, then with it."""
        writer = self._writer
        name = string_or_empty(tool.get("type")) or "tool"
        index = tool.get("index")
        key = (index if isinstance(index, int) else None, name)
        if key not in self._executed:
            call = self._executed[key] = writer.new_index()
            writer.add_chunk("tool_call_name", name, call, tool_call_id=f"~{call}", server_executed=True)
            writer.add_chunk("tool_call_args", string_or_empty(tool.get("arguments")), call, tool_call_id=f"~{call}")
        call = self._executed[key]
        output = string_or_empty(tool.get("output"))
        if output and call not in self._executed_with_output:
            self._executed_with_output.add(call)
            fields = {"tool_call_id": f"~{call}", "tool_name": name, "server_executed": True}
            metadata = unhandled_fields(tool, _EXECUTED_FIELDS)
            writer.add_chunk("tool_result", output, writer.new_index(), metadata, **fields)
