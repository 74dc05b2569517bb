"""The types of attachments: what each vendor takes as an image, what goes as text, and what is refused here."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from llmtools.errors import InputError
from llmtools.media_type import is_text_type
from llmtools.protocols import PROTOCOLS, load
from llmtools.protocols.media_types import usual_type
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import loads
from support.harness import Shell
from support.protocol_replies import answer, send
from support.server import Server

Object = dict[str, Any]
CHAT, RESPONSES, ANTHROPIC, GEMINI, OLLAMA = "openai-chat", "openai-responses", "anthropic", "gemini", "ollama"
INTERACTIONS = "gemini-interactions"

IMAGES: dict[str, tuple[str, ...]] = {
    # type: who takes it; the lists of the vendors' guides on images
    "image/png": (CHAT, RESPONSES, ANTHROPIC, GEMINI, INTERACTIONS, OLLAMA),
    "image/jpeg": (CHAT, RESPONSES, ANTHROPIC, GEMINI, INTERACTIONS, OLLAMA),
    "image/jpg": (CHAT, RESPONSES, ANTHROPIC, GEMINI, INTERACTIONS, OLLAMA),
    "image/webp": (CHAT, RESPONSES, ANTHROPIC, GEMINI, INTERACTIONS, OLLAMA),
    "image/gif": (CHAT, RESPONSES, ANTHROPIC, GEMINI, INTERACTIONS),
    "image/heic": (GEMINI, INTERACTIONS),
    "image/heif": (GEMINI, INTERACTIONS),
    "image/avif": (GEMINI,),
    "image/bmp": (CHAT, INTERACTIONS),
    "image/tiff": (CHAT, INTERACTIONS),
    "image/vnd.adobe.photoshop": (),
    "image/x-icon": (),
}
TEXTS = [
    "image/svg+xml",
    "text/plain",
    "text/plain; charset=utf-8",
    "text/markdown",
    "text/x-python",
    "application/json",
    "application/ld+json",
    "application/javascript",
    "application/typescript",
    "application/xhtml+xml",
    "application/yaml",
    "application/toml",
    "application/sql",
]


def user(attachment: Object) -> Object:
    parts = [{"type": "text", "text": "look"}, {"type": "attachment", "attachment": attachment}]
    return {"type": "message", "role": "user", "parts": parts}


def attached(data: bytes, kind: str, name: str = "") -> Object:
    return {"type": kind, "content": b64encode(data).decode(), **({"name": name} if name else {})}


def sent(protocol: str, attachment: Object, **fields: Any) -> tuple[Object, list[str]]:
    """Return the body of a request with an attachment, and the codes of the notices."""
    http, notices = load(protocol).encode(Conversation([user(attachment)]), Request("m", **fields))
    return loads(http.body), [notice["code"] for notice in notices]


def block_of(protocol: str, body: Object) -> Any:
    """Return the attachment in a body."""
    if protocol == GEMINI:
        return body["contents"][0]["parts"][1]["inlineData"]
    if protocol == OLLAMA:
        message = body["messages"][0]
        return message["images"][0] if "images" in message else message["content"]
    return body["input" if protocol in (RESPONSES, INTERACTIONS) else "messages"][0]["content"][1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_goes_to_who_takes_it(protocol: str, kind: str) -> None:
    image = attached(b"data", kind, "picture.x")
    if protocol not in IMAGES[kind]:
        with pytest.raises(InputError) as refused:
            sent(protocol, image)
        assert refused.value.exit_status == 65
        message = refused.value.message
        assert message.startswith("message 1 (user), part 2: an attachment cannot be sent: picture.x: ")
        assert f"does not take {kind}, but image/png, image/jpeg" in message
        assert sent(protocol, image, drop_unsupported=True)[1] == ["dropped_attachment"]
        return
    body, notices = sent(protocol, image)
    usual = "image/jpeg" if kind == "image/jpg" else kind
    data = image["content"]
    expected = {
        CHAT: {"type": "image_url", "image_url": {"url": f"data:{usual};base64,{data}"}},
        RESPONSES: {"type": "input_image", "detail": "auto", "image_url": f"data:{usual};base64,{data}"},
        ANTHROPIC: {"type": "image", "source": {"type": "base64", "media_type": usual, "data": data}},
        GEMINI: {"mimeType": usual, "data": data},
        INTERACTIONS: {"type": "image", "mime_type": usual, "data": data},
        OLLAMA: data,
    }
    assert (block_of(protocol, body), notices) == (expected[protocol], [])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_goes_as_text_to_everyone(protocol: str, kind: str) -> None:
    data = b"<svg>\xc3\xa9</svg>"
    body, notices = sent(protocol, attached(data, kind, "icon.svg"))
    expected = {
        CHAT: {"type": "text", "text": f"icon.svg:\n{data.decode()}"},
        RESPONSES: {"type": "input_text", "text": f"icon.svg:\n{data.decode()}"},
        ANTHROPIC: {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": data.decode()},
            "title": "icon.svg",
        },
        INTERACTIONS: {"type": "text", "text": f"icon.svg:\n{data.decode()}"},
        GEMINI: {"mimeType": "text/plain", "data": b64encode(data).decode()},
        OLLAMA: f"look\n\nicon.svg:\n{data.decode()}",
    }
    assert (block_of(protocol, body), notices) == (expected[protocol], [])


@pytest.mark.parametrize("protocol", [CHAT, RESPONSES, OLLAMA])
def test_a_text_without_a_name_is_only_the_text(protocol: str) -> None:
    assert "hello" in json.dumps(sent(protocol, attached(b"hello", "text/plain"))[0])
    assert ":\\n" not in json.dumps(sent(protocol, attached(b"hello", "text/plain"))[0])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "kind", ["application/zip", "application/octet-stream", "application/x-msdownload", "font/woff"]
)
def test_what_is_no_document_is_refused(protocol: str, kind: str) -> None:
    if protocol == RESPONSES:  # which reads office files, archives of code and others
        return
    with pytest.raises(InputError, match=f"a.bin: this protocol does not take {kind} "):
        sent(protocol, attached(b"\0", kind, "a.bin"))


def test_a_sound_keeps_the_parameters_of_its_type() -> None:
    sound = attached(b"\0", "audio/L16;codec=pcm;rate=24000")
    assert block_of(GEMINI, sent(GEMINI, sound)[0])["mimeType"] == "audio/L16;codec=pcm;rate=24000"


@pytest.mark.parametrize("protocol", [CHAT, RESPONSES, ANTHROPIC, GEMINI])
def test_an_image_by_url_is_refused_by_its_type(protocol: str) -> None:
    with pytest.raises(InputError, match="does not take image/x-icon by URL, but image/png"):
        sent(protocol, {"type": "image/x-icon", "url": "https://a.example/i"})
    assert "https://a.example/i" in json.dumps(sent(protocol, {"url": "https://a.example/i"})[0])


@pytest.mark.parametrize(
    ("kind", "usual", "is_text"),
    [
        ("Image/JPG", "image/jpeg", False),
        ("text/plain;charset=UTF-8", "text/plain", True),
        ("image/svg+xml", "image/svg+xml", True),
        ("application/pdf", "application/pdf", False),
        ("application/vnd.api+json", "application/vnd.api+json", True),
        ("", "", False),
    ],
)
def test_types(kind: str, usual: str, is_text: bool) -> None:
    assert usual_type(kind) == usual
    assert is_text_type(usual) is is_text


SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
HEIC = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(32)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_fields_of_an_unknown_part_are_no_attachments(protocol: str) -> None:
    message = user(attached(b"data", "image/x-icon", "a.ico"))
    message["parts"].insert(0, {"type": "future", "attachment": None, "attachments": None})
    with pytest.raises(InputError, match="part 3: an attachment cannot be sent"):
        load(protocol).encode(Conversation([message]), Request("m"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_svg_by_url_is_fetched_and_sent_as_text(protocol: str, shell: Shell) -> None:
    with (
        Server([b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(SVG) + SVG]) as files,
        Server(answer(protocol)) as server,
    ):
        url = f"{files.origin}/icon.svg"
        done = shell.run(f"llm-msg user look -a {url} | {send(server, protocol)}")
        assert done.status == 0, done.err
        body = json.dumps(server.only.json)
    assert url not in body
    assert SVG.decode() in body or b64encode(SVG).decode() in body


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_files_on_the_command_line(protocol: str, shell: Shell) -> None:
    for name, data in {"icon.svg": SVG, "photo.heic": HEIC, "main.ts": b"let a = 1\n", "a.py": b"a = 1\n"}.items():
        (shell.folder / name).write_bytes(data)
    sending = f"llm-send --base-url http://127.0.0.1:9 --protocol {protocol} -m m --dry-run"
    for name in ("icon.svg", "main.ts", "a.py"):
        done = shell.run(f"llm-msg user look -a {name} | {sending}")
        assert (done.status, done.err) == (0, ""), name
        assert "image/" not in done.text and "x-python" not in done.text
    done = shell.run(f"llm-msg user look -a photo.heic | {sending}")
    if protocol in (GEMINI, INTERACTIONS):
        assert (done.status, "image/heic" in done.text) == (0, True)
        return
    assert done.status == 65
    assert "photo.heic: this protocol does not take image/heic, but image/png" in done.err
