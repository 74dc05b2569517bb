"""Chat Completions, as recorded."""

from __future__ import annotations

import copy
import json
from typing import Any

from support.decoding import Machine, machines
from support.recordings import ISSUER, Object, fed, names

Decoder = machines("openai-chat")

NO_FINISH = ("snowflake",)
"""Servers that send no finish_reason."""
STREAMS = names("chat/*.sse", "chat/*.jsonl", "synthetic/chat__*")
BODIES = names("chat/unary/*.json")


def decoder(name: str) -> Machine:
    return Decoder(ISSUER, frozenset({"no_finish"}) if any(word in name for word in NO_FINISH) else frozenset())


def decode(name: str, *pieces: bytes) -> list[Object]:
    return fed(decoder(name), *pieces)


_OUTPUT_ONLY = (
    "annotations",
    "provider_metadata",
    "channel",
    "token_id",
    "name",
    "executed_tools",
    "thought_signature",
)


def _merged_details(items: list[Object]) -> list[Object]:
    merged: list[Object] = []
    for item in items:
        last = merged[-1] if merged else {}
        if (last.get("type"), last.get("index")) == (item["type"], item.get("index")) and "data" not in item:
            for name, value in item.items():
                last[name] = last.get(name, "") + value if name in ("text", "summary") else value
        else:
            merged.append(dict(item))
    return merged


def _merged_calls(deltas: list[Object]) -> list[Object]:
    calls: list[Object] = []
    for delta in deltas:
        last = next((call for call in reversed(calls) if call["index"] == delta.get("index")), None)
        if last is None or (delta.get("id") and delta["id"] != last["id"]):
            function = {"name": "", "arguments": ""}
            last = {"index": delta.get("index"), "id": delta.get("id"), "type": "function", "function": function}
            calls.append(last)
        said = delta.get("function", {})
        last["function"]["name"] = last["function"]["name"] or said.get("name")
        last["function"]["arguments"] += said.get("arguments") or ""
    return calls


def _merged_content(deltas: list[Any]) -> Any:
    blocks = [block for content in deltas if isinstance(content, list) for block in content]
    if not blocks:
        return "".join([content for content in deltas if content])
    merged: list[Object] = []
    for block in copy.deepcopy(blocks):
        last = merged[-1] if merged else {}
        if last.get("type") != block["type"]:
            merged.append(block)
        elif block["type"] == "text":
            last["text"] += block["text"]
        else:
            last["thinking"][0]["text"] += block["thinking"][0]["text"]
    return merged


def final_message(data: bytes) -> Object:
    """The message that a stream's deltas make."""
    payloads = [line[5:].strip() for line in data.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data:")]
    chunks = [json.loads(payload) for payload in payloads if payload != b"[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk.get("choices") or () if choice["index"] == 0]
    deltas = [choice["delta"] for choice in choices]
    message: Object = {"role": "assistant", "content": _merged_content([delta.get("content") for delta in deltas])}
    for field in ("reasoning", "reasoning_content", "refusal"):
        message[field] = "".join([delta.get(field) or "" for delta in deltas])
    message["tool_calls"] = _merged_calls([call for delta in deltas for call in delta.get("tool_calls") or ()])
    message["reasoning_details"] = _merged_details(
        [item for delta in deltas for item in delta.get("reasoning_details") or ()]
    )
    message["images"] = [image for delta in deltas for image in delta.get("images") or ()]
    audio = [delta["audio"]["id"] for delta in deltas if delta.get("audio", {}).get("id")]
    message["audio"] = {"id": audio[0]} if audio else None
    return message


def less_output_only(message: Object) -> Object:
    """A message as it may be sent back: without what no request has, and without empty fields."""
    kept = {name: value for name, value in message.items() if name not in _OUTPUT_ONLY}
    if kept.get("reasoning_details") or kept.get("reasoning_content"):
        kept.pop("reasoning", None)  # both carry the same text, one is enough
    if kept.get("reasoning_details"):
        kept.pop("reasoning_content", None)
    calls = [_less_output_only_call(call) for call in kept.get("tool_calls") or ()]
    legacy = kept.pop("function_call", None)
    if legacy and legacy.get("name"):  # `function_call` is deprecated
        calls.append(_less_output_only_call({"function": legacy}))
    kept["tool_calls"] = calls
    if isinstance(kept.get("audio"), dict):
        kept["audio"] = {"id": kept["audio"]["id"]} if kept["audio"].get("id") else None
    content = kept.get("content")
    if isinstance(content, list) and all(block.keys() == {"type", "text"} for block in content):
        kept["content"] = "".join([block["text"] for block in content])
    return {name: value for name, value in kept.items() if value}


def _less_output_only_call(call: Object) -> Object:
    kept = {name: value for name, value in call.items() if name != "index"}
    kept.setdefault("type", "function")
    if "function" in kept:
        kept.pop("custom", None)  # Snowflake: an empty object
        arguments = kept["function"].get("arguments")
        # Empty or null arguments are {} (llm-stream(5), "Tool calls").
        kept["function"] = {**kept["function"], "arguments": "{}" if arguments in ("", "null", None) else arguments}
    if not kept.get("id") or kept["id"].startswith("call000"):
        kept.pop("id", None)  # ours: the vendor gave none
    return kept
