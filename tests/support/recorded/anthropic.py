"""Anthropic Messages, as recorded."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from support.decoding import machines
from support.recordings import ISSUER, Object, fed, names, requests, whole

Decoder = machines("anthropic")

STREAMS = names("anthropic/*.sse", "anthropic/*.jsonl", "synthetic/anthropic__*")
BODIES = names("anthropic/unary/*.json")
REQUESTS = requests("anthropic")


def decode(*pieces: bytes) -> list[Object]:
    return fed(Decoder(ISSUER), *pieces)


def events_of(data: bytes) -> list[Object]:
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    payloads = [line[5:].strip() for line in lines if line.startswith(b"data:")]
    return [json.loads(payload) for payload in payloads if payload != b"[DONE]"]


def _add_delta(block: Object, delta: Object) -> None:
    kind = delta["type"]
    if kind == "text_delta":
        block["text"] += delta["text"]
    elif kind == "thinking_delta":
        block["thinking"] += delta["thinking"]
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]
    elif kind == "input_json_delta":
        block["json"] = block.get("json", "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    else:
        block.update({name: value for name, value in delta.items() if name != "type"})


def final_blocks(data: bytes) -> list[Object]:
    """The content that a stream's events make."""
    blocks: list[Object] = []
    at: dict[int, Object] = {}
    for event in events_of(data):
        if event["type"] == "content_block_start":
            at[event["index"]] = copy.deepcopy(event["content_block"])
            blocks.append(at[event["index"]])
        elif event["type"] == "content_block_delta":
            _add_delta(at[event["index"]], event["delta"])
    for block in blocks:
        text = block.pop("json", "")
        try:
            block["input"] = json.loads(text) if text else block.get("input")
        except ValueError:
            block["input"] = {"INVALID_JSON": text}  # no request takes a broken one
    return blocks


def less_output_only(blocks: list[Object]) -> list[Object]:
    """Blocks as they may be sent back: without empty texts, which the vendor refuses, empty
    citations, which say nothing, and thinking that was cut off before its signature."""
    kept = []
    for block in blocks:
        said = {name: value for name, value in block.items() if value is not None or name == "content"}
        if not said.get("citations"):
            said.pop("citations", None)
        is_empty = said["type"] == "text" and not said["text"]
        if not is_empty and not (said["type"] == "thinking" and not said.get("signature")):
            kept.append(said)
    return kept


# Whole requests, taken apart into our records.


def _own(**fields: Any) -> Object:
    return {"provider_metadata": {ISSUER: fields}} if fields else {}


def rest(block: Object, *known: str) -> Object:
    return {name: value for name, value in block.items() if name not in known}


def _attachment(block: Object) -> Object:
    source = block["source"]
    more = rest(block, "type", "source")
    if source["type"] == "url":
        kind = {"type": "application/pdf"} if block["type"] == "document" else {}
        return {"type": "attachment", "attachment": {**kind, "url": source["url"]}, **_own(**more)}
    if source["type"] == "base64":
        attachment = {"type": source["media_type"], "content": source["data"]}
        return {"type": "attachment", "attachment": attachment, **_own(**more)}
    if source["type"] == "text":
        content = base64.b64encode(source["data"].encode()).decode()
        return {"type": "attachment", "attachment": {"type": source["media_type"], "content": content}, **_own(**more)}
    return {"type": "attachment", "attachment": {"type": "application/pdf"}, **_own(**more, source=source)}


def _result(block: Object) -> Object:
    content = block.get("content", "")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    files = [_attachment(item)["attachment"] for item in blocks if item["type"] in ("image", "document")]
    text = "".join(item["text"] for item in blocks if item["type"] == "text")
    part = {"type": "tool_result", "name": "f", "output": text, "tool_call_id": block["tool_use_id"]}
    if len(blocks) > 1 or any(item["type"] not in ("text", "image", "document") for item in blocks):
        part |= _own(content=content)
    return part | ({"attachments": files} if files else {}) | ({"exception": text} if block.get("is_error") else {})


def _message(said: Object) -> Object:
    blocks = [{"type": "text", "text": said["content"]}] if isinstance(said["content"], str) else said["content"]
    if said["role"] == "assistant":
        body = {"id": "r", "type": "message", "content": blocks}
        return whole(Decoder(ISSUER).body(json.dumps(body).encode()))
    parts = []
    for block in blocks:
        if block["type"] == "text":
            parts.append({"type": "text", "text": block["text"], **_own(**rest(block, "type", "text"))})
        elif block["type"] in ("image", "document"):
            parts.append(_attachment(block))
        elif block["type"] == "tool_result":
            parts.append(_result(block))
        else:
            parts.append({"type": block["type"], **_own(**block)})
    role = "tool" if any(part["type"] == "tool_result" for part in parts) else said["role"]
    return {"type": "message", "role": role, "parts": parts}


def _tool(tool: Object) -> Object:
    names = ("name", "description", "input_schema")
    said = {name: tool[name] for name in names if name in tool}
    return {"type": "tool", "name": tool.get("name", "?"), **said, **_own(**rest(tool, *names))}


def records_of(request: Object) -> list[Object]:
    system = request.get("system") or []
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    first = [_message({"role": "system", "content": blocks})] if blocks else []
    return [*first, *map(_tool, request.get("tools") or ()), *map(_message, request["messages"])]
