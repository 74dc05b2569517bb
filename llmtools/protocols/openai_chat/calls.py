"""OpenAI Chat Completions, the tool calls of a reply.

Rules:
* The index is the key of a call. An id that came with a call leads to that call, also without an
  index. A piece with neither continues the last call, or the call at its place in the delta.
* A new id at the index of a call is another call if a name comes with it. Without a name it
  continues the call, because some servers make a new id for each piece. "null" and "" are not ids.
* Another name begins another call. The same name again does not, and without an index it does,
  unless the arguments of the call before it are open.
* A name counts once, however often it comes. Arguments that are missing are ""; arguments that
  are not a string become their JSON text.
* Two calls never have the same id: the second gets one made from its place.
* The free text of a custom tool becomes the arguments `{"input": TEXT}`. The deprecated
  function_call is a call like any other.
* A tool that the server ran (Groq's executed_tools) is a call and its result, both marked.
"""

from __future__ import annotations

from ..json_fields import (
    count_or_none,
    inside_of_string,
    is_open_object,
    list_of,
    string_of,
    string_or_empty,
    unhandled_fields,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..json_fields import JsonObject
    from ..reply_writer import ReplyWriter

_EXECUTED_FIELDS = frozenset(("index", "type", "arguments", "output"))
_LEGACY = "function_call"
_REPLAYED_FIELDS = ("extra_content", "provider_specific_fields")
"""Fields of a call, Google's and LiteLLM's, that go back with it: the signatures of thoughts are there."""


class _Call:
    """A call that is coming in: its part_index, id, name, metadata and the chunks of its arguments."""

    __slots__ = ("chunks", "id", "index", "is_custom", "is_torn", "key", "metadata", "name", "wire_ids")

    def __init__(self, index: int, key: Any) -> None:
        self.index = index
        self.key = key
        self.id = f"~{index}"
        self.wire_ids: set[str] = set()
        self.name = ""
        self.metadata: JsonObject = {}
        self.chunks: list[str] = []
        self.is_custom = False
        self.is_torn = False  # a piece that is not a string came in the middle of a string

    def is_continued_by(self, text: str) -> bool:
        """Return whether the arguments have begun, are open, and `text` does not begin others."""
        return not text.lstrip().startswith("{") and is_open_object("".join(self.chunks))


class ToolCalls:
    """Writes the calls of one reply. Its length is the number of calls that the server did not run."""

    def __init__(self, writer: ReplyWriter) -> None:
        self._writer = writer
        self._calls: list[_Call] = []
        self._by_key: dict[Any, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._executed: dict[Any, int] = {}
        self._executed_with_output: set[int] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, delta: JsonObject, is_whole: bool) -> None:
        """Take the calls of a delta, or of a whole message."""
        items = list_of(delta.get("tool_calls"))
        for place, item in enumerate(items):
            if not isinstance(item, dict):
                if item is not None:
                    self._writer.refuse("a call that is not an object", item)
                continue
            key = place if is_whole else count_or_none(item.get("index"))
            self._take_call(item, key, place if len(items) > 1 else -1)
        legacy = delta.get(_LEGACY)
        if isinstance(legacy, dict) and (legacy.get("name") or legacy.get("arguments")):
            self._take_call({"function": legacy}, _LEGACY, -1)

    def end(self, is_cut: bool) -> None:
        """Close the free texts, which are JSON strings, and mend arguments of an odd form.

        is_cut: the reply did not come to its end, so that arguments may be cut off.
        """
        for call in self._calls:
            if call.is_custom:
                self._add_arguments(call, '"}')
            elif call.is_torn:
                self._writer.refuse_call(call.chunks, call.index, call.name, call.metadata, tool_call_id=call.id)
            elif not is_cut:
                self._writer.end_call(call.chunks, call.index, call.name, call.metadata, tool_call_id=call.id)

    def _take_call(self, item: JsonObject, key: Any, place: int) -> None:
        is_custom = item.get("type") == "custom" or ("custom" in item and "function" not in item)
        content = item.get("custom" if is_custom else "function")
        if content and not isinstance(content, dict):
            self._writer.refuse("a call whose function is not an object", item)
        content = content if isinstance(content, dict) else item
        name, call_id = string_or_empty(content.get("name")), string_of(item.get("id"))
        call_id = "" if call_id == "null" else call_id
        value = content.get("input" if is_custom else "arguments")
        text = string_of(value)
        extra = {name: item[name] for name in _REPLAYED_FIELDS if item.get(name)}
        function = item.get("function")
        if isinstance(function, dict) and function.get("provider_specific_fields"):
            extra["function"] = {"provider_specific_fields": function["provider_specific_fields"]}
        if not (name or call_id or text or extra):
            return
        before = len(self._calls)
        call = self._call(key, call_id, name, text, place)
        is_new = len(self._calls) > before
        if not isinstance(value, str) and text and is_open_object("".join(call.chunks)):
            call.is_torn = True
        if extra or (name and not call.name) or (is_new and not text):
            metadata = {**({"type": "custom"} if is_custom and not call.name else {}), **extra}
            chunk = "" if call.name else name
            call.name = call.name or name
            call.metadata.update(metadata)
            self._writer.add_chunk("tool_call_name", chunk, call.index, metadata, tool_call_id=call.id)
        if is_custom:
            self._add_free_text(call, text)
        else:
            self._add_arguments(call, text)

    def _call(self, key: Any, call_id: str, name: str, text: str, place: int) -> _Call:
        """Return the call that a piece continues, or a new one."""
        call = self._call_to_continue(key, call_id, name, text, place)
        if call is None or (name and call.name not in ("", name)):
            call = _Call(self._writer.new_index(), key)
            self._calls.append(call)
        if key is not None:
            self._by_key[key] = call
        if call_id:
            if not call.wire_ids and all(other.id != call_id for other in self._calls):
                call.id = call_id
            call.wire_ids.add(call_id)
            self._by_id[call_id] = call
        return call

    def _call_to_continue(self, key: Any, call_id: str, name: str, text: str, place: int) -> _Call | None:
        """Return the call that a piece continues, None if it begins another one."""
        same_id = self._by_id.get(call_id)
        at_key = self._by_key.get(key) if key is not None else None
        if at_key is None:
            return self._call_without_key(key, call_id, name, text, place)
        if not call_id or call_id in at_key.wire_ids or not at_key.wire_ids:
            return at_key
        if same_id is not None and (same_id.key == key or not name):
            return same_id
        return at_key if not name or (name == at_key.name and at_key.is_continued_by(text)) else None

    def _call_without_key(self, key: Any, call_id: str, name: str, text: str, place: int) -> _Call | None:
        """Return the call that a piece without an index, or with a new one, continues."""
        same_id = self._by_id.get(call_id)
        if same_id is not None and (key is None or same_id.key is None or not name):
            return same_id
        last = self._calls[-1] if self._calls else None
        if last is None or key == _LEGACY:
            return None
        if name:
            return last if key is None and name == last.name and last.is_continued_by(text) else None
        if key is not None:
            is_open = not last.chunks or last.is_continued_by(text)
            return last if not call_id and is_open else None
        return self._calls[place] if not call_id and 0 <= place < len(self._calls) else last

    def _add_free_text(self, call: _Call, text: str) -> None:
        escaped = inside_of_string(text)
        self._add_arguments(call, escaped if call.is_custom else '{"input":"' + escaped)
        call.is_custom = True

    def _add_arguments(self, call: _Call, text: str) -> None:
        if text:
            call.chunks.append(text)
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
            writer.add_chunk("tool_call_args", string_of(tool.get("arguments")), call, tool_call_id=f"~{call}")
        call = self._executed[key]
        output = string_of(tool.get("output"))
        if output and call not in self._executed_with_output:
            self._executed_with_output.add(call)
            fields = {"tool_call_id": f"~{call}", "tool_name": name, "server_executed": True}
            metadata = unhandled_fields(tool, _EXECUTED_FIELDS)
            writer.add_chunk("tool_result", output, writer.new_index(), metadata, **fields)
