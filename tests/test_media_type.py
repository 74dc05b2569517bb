"""The MIME type of bytes: by their text, by their signature, by their name."""

from __future__ import annotations

import pytest

from llmtools.errors import InputError
from llmtools.media_type import media_type, text_of_bytes, type_of_name

ZEROS = bytes(64)
OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        # text that begins as a signature does
        (b"BMW makes cars.\n", "cars.txt", "text/plain"),
        (b"BM", "", "text/plain"),
        (b"ID3 tags hold the title.\n", "tags.md", "text/markdown"),
        (b"GIF89a is a format.\n", "", "text/plain"),
        (b"II*", "", "text/plain"),
        (b"OggS is a magic word\n", "ogg.rst", "text/plain"),
        (b"PK\nis a word", "", "text/plain"),
        (b"fLaC", "notes.csv", "text/csv"),
        # text by its content
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "icon", "image/svg+xml"),
        (b"<?xml version='1.0'?>\n<!-- c -->\n<svg width='1'>", "icon.svg", "image/svg+xml"),
        (b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC 'x'><svg>", "", "image/svg+xml"),
        (b"<svgs>", "", "text/plain"),
        (b"<!DOCTYPE html><p>svg <svg>", "", "text/html"),
        (b"<html lang='de'>", "page", "text/html"),
        (b"{}", "a.json", "application/json"),
        (b"export const a = 1;\n", "main.ts", "text/plain"),
        (b"a: 1", "a.yml", "application/yaml"),
        (b"%PDF-1.4 only text so far", "x.txt", "application/pdf"),
        # encodings of text
        ("\ufeffhé".encode(), "", "text/plain"),
        ("hé".encode("utf-16"), "a.csv", "text/csv"),
        ("hé".encode("utf-16-be"), "a.bin", "application/octet-stream"),
        (b"\xfe\xff\x00h", "", "text/plain"),
        ("ü".encode() * 40000, "", "text/plain"),
        (b"x" * 65535 + "ü".encode(), "", "text/plain"),
        ("Grüße aus Köln".encode("latin-1"), "brief.txt", ""),
        ("Grüße aus Köln".encode("cp1252"), "brief.html", ""),
        ("Grüße aus Köln".encode("latin-1"), "brief", "application/octet-stream"),
        (b"a\0b", "a.txt", ""),
        # containers, where the name chooses
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + ZEROS, "voice.m4a", "audio/mp4"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + ZEROS, "film.mp4", "video/mp4"),
        (b"\0\0\0\x18ftypiso5\0\0\0\0iso5dash" + ZEROS, "", "video/mp4"),
        (b"\0\0\0\x1cftypM4A \0\0\0\0M4A mp42" + ZEROS, "", "audio/mp4"),
        (b"PK\x03\x04\x14\0\0\0" + ZEROS, "letter.docx", OFFICE),
        (b"PK\x03\x04\x14\0\0\0" + ZEROS, "letter.txt", "application/zip"),
        # pictures of the ISO container
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + ZEROS, "photo.heic", "image/heic"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + ZEROS, "photo.jpg", "image/heic"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + ZEROS, "", "image/avif"),
        # sound with and without a checksum
        (b"\xff\xfb\x90\x64" + ZEROS, "", "audio/mpeg"),
        (b"\xff\xfa\x90\x64" + ZEROS, "crc.mp3", "audio/mpeg"),
        (b"\xff\xf1\x50\x80" + ZEROS, "", "audio/aac"),
        (b"RIFF\0\0\0\0WAVEfmt " + ZEROS, "", "audio/wav"),
        (b"fLaC\0\0\0\x22" + ZEROS, "", "audio/flac"),
        # others
        (b"\x89PNG\r\n\x1a\n" + ZEROS, "lies.txt", "image/png"),
        (b"\xff\xd8\xff\xe0" + ZEROS, "", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBP" + ZEROS, "", "image/webp"),
        (b"BM\x36\0\0\0" + ZEROS, "", "image/bmp"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01" + ZEROS, "", "video/webm"),
        (b"\0\1\2", "", "application/octet-stream"),
        (b"\0\1\2", "a.opus", "audio/opus"),
        (b"", "", "text/plain"),
    ],
)
def test_the_type_of_bytes(data: bytes, name: str, kind: str) -> None:
    assert media_type(data, name) == kind


def test_the_ending_of_a_url_and_of_a_path() -> None:
    assert type_of_name("https://127.0.0.1/a.b/c.PNG") == "image/png"
    assert type_of_name("dir.png/readme") == type_of_name("") == ""


def test_text_in_utf8_and_utf16() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert text_of_bytes("hé\n".encode(encoding), "x") == "hé\n"
    with pytest.raises(InputError, match="x: not UTF-8 text at byte 1"):
        text_of_bytes(b"h\xe9", "x")
    with pytest.raises(InputError, match="x: not UTF-16 text"):
        text_of_bytes(b"\xff\xfeh", "x")


def test_comments_before_an_element_take_no_time() -> None:
    """With one comment taken for several, this would take 2 ** 9000 steps."""
    comments = b"<!---->" * 9000
    assert media_type(comments + b"<svg>") == "image/svg+xml"
    assert media_type(comments + b"<p>") == "text/plain"
