"""llm-msg: every option of it, through the executable."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator

import pytest

from support.harness import LIMIT, Shell, texts

PNG = b"\x89PNG\r\n\x1a\nnot much of a picture"


def test_roles(shell: Shell) -> None:
    for role in ("user", "system", "assistant"):
        assert texts(shell.run(f"llm-msg {role} hi").records) == [(role, "hi")]
    assert shell.run("llm-msg king hi").status == 2


def test_an_empty_message_is_a_usage_error(shell: Shell) -> None:
    (shell.folder / "empty").write_text("")
    for arguments in ("user", "user ''", "user -f empty", "user -"):
        done = shell.run(f"llm-msg {arguments}")
        assert done.status == 2 and "empty" in done.err, arguments


def test_a_text_that_looks_like_an_option_is_refused_with_advice(shell: Shell) -> None:
    done = shell.run("llm-msg user --verbosity")
    assert done.status == 2 and "--" in done.err and "after --" in done.err
    assert texts(shell.run("llm-msg user -- --verbosity").records) == [("user", "--verbosity")]


def test_stdin_as_text(shell: Shell) -> None:
    assert texts(shell.run("llm-msg user -", stdin=b"a\nb\n").records) == [("user", "a\nb\n")]
    assert texts(shell.run("llm-msg user -f - then", stdin=b"a").records) == [("user", "a\n\nthen")]
    assert shell.run("llm-msg user -f - -", stdin=b"a").status == 2
    assert shell.run("llm-msg user -", stdin=b"\xff\xfa").status == 65


def test_fragments_come_before_the_text(shell: Shell) -> None:
    (shell.folder / "one").write_text("1\n")
    (shell.folder / "two").write_text("2")
    assert texts(shell.run("llm-msg user -f one -f two three").records) == [("user", "1\n\n2\n\nthree")]
    missing = shell.run("llm-msg user -f none")
    assert missing.status == 66 and "none: No such file" in missing.err


def test_a_fragment_loader_is_an_executable_on_path(shell: Shell) -> None:
    (shell.folder / "llm-fragment-up").write_text('#!/bin/sh\nprintf %s "$1" | tr a-z A-Z\n')
    (shell.folder / "llm-fragment-rec").write_text('#!/bin/sh\nllm-msg -n user "rec $1" -a pic\n')
    (shell.folder / "llm-fragment-bad").write_text("#!/bin/sh\nexit 3\n")
    (shell.folder / "pic").write_bytes(PNG)
    for name in ("up", "rec", "bad"):
        os.chmod(shell.folder / f"llm-fragment-{name}", 0o755)
    path = {"PATH": f"{shell.folder}:{shell.environment['PATH']}"}
    assert texts(shell.run("llm-msg user -f up:abc", env=path).records) == [("user", "ABC")]
    record = shell.run("llm-msg user -f rec:x more", env=path).records[0]
    assert [part["type"] for part in record["parts"]] == ["text", "text", "attachment"]
    bad = shell.run("llm-msg user -f bad:x", env=path)
    assert bad.status == 1 and "status 3" in bad.err
    absent = shell.run("llm-msg user -f nope:x", env=path)
    assert absent.status == 66 and "llm-fragment-nope" in absent.err


@pytest.mark.parametrize(
    ("data", "name", "mime"),
    [
        (PNG, "a.png", "image/png"),
        (PNG, "lies.txt", "image/png"),
        (b"%PDF-1.7 x", "x", "application/pdf"),
        (b"\xff\xd8\xff\xe0x", "x", "image/jpeg"),
        (b"RIFF\0\0\0\0WAVEfmt ", "x", "audio/wav"),
        (b"plain", "x", "text/plain"),
        (b"a,b\n1,2\n", "x.csv", "text/csv"),
        (b"not a picture", "x.png", "text/plain"),
        ("ü".encode() * 40000, "x", "text/plain"),
        (b"\0\1\2", "x", "application/octet-stream"),
    ],
)
def test_the_type_of_an_attachment_is_found_from_its_bytes(shell: Shell, data: bytes, name: str, mime: str) -> None:
    (shell.folder / name).write_bytes(data)
    attachment = shell.run(f"llm-msg user -a {name}").records[0]["parts"][0]["attachment"]
    assert attachment["type"] == mime
    assert base64.b64decode(attachment["content"]) == data
    assert attachment["name"] == name


def test_text_in_another_encoding(shell: Shell) -> None:
    for name, encoding in (("utf16.txt", "utf-16"), ("latin1.txt", "latin-1")):
        (shell.folder / name).write_bytes("Köln".encode(encoding))
    assert texts(shell.run("llm-msg user -f utf16.txt").records) == [("user", "Köln")]
    [part] = shell.run("llm-msg user -a utf16.txt").records[0]["parts"]
    assert base64.b64decode(part["attachment"]["content"]).decode() == "Köln"
    refused = shell.run("llm-msg user -a latin1.txt")
    assert refused.status == 65 and "--mime" in refused.err
    assert shell.run("llm-msg user -a latin1.txt --mime text/plain").status == 0


def test_mime_and_stdin_attachments(shell: Shell) -> None:
    part = shell.run("llm-msg user what -a - --mime x/y", stdin=PNG).records[0]["parts"]
    assert [item["type"] for item in part] == ["text", "attachment"]
    assert part[1]["attachment"] == {"type": "x/y", "content": base64.b64encode(PNG).decode()}


def test_a_reference_is_a_path_and_a_sha256(shell: Shell) -> None:
    (shell.folder / "pic").write_bytes(PNG)
    done = shell.run("llm-msg user look -a pic --ref | tee ref.jsonl")
    attachment = done.records[0]["parts"][1]["attachment"]
    assert attachment["path"] == str(shell.folder / "pic")
    assert attachment["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert "content" not in attachment
    assert shell.run("llm-send -m echo < ref.jsonl | llm-parts").status == 0
    asked = shell.run("llm-send --base-url http://127.0.0.1:1/v1 -m m --dry-run < ref.jsonl").text
    assert base64.b64encode(PNG).decode() in asked and str(shell.folder) not in asked
    (shell.folder / "pic").write_bytes(b"changed")
    changed = shell.run("llm-send -m echo < ref.jsonl | llm-parts")
    assert changed.status == 65 and "sha256 differs" in changed.err
    os.unlink(shell.folder / "pic")
    assert shell.run("llm-send -m echo < ref.jsonl").status == 66


def test_a_path_without_its_sha256_is_refused(shell: Shell) -> None:
    (shell.folder / "secret").write_text("x")
    record = {"role": "user", "parts": [{"type": "attachment", "attachment": {"path": str(shell.folder / "secret")}}]}
    done = shell.run("llm-send -m echo", stdin=json.dumps(record).encode())
    assert done.status == 65 and "has no sha256" in done.err


@pytest.fixture
def site() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = {"/text": b"from the web", "/picture": PNG}.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(LIMIT)
    server.server_close()
    assert not thread.is_alive()


def test_urls(shell: Shell, site: str) -> None:
    assert texts(shell.run(f"llm-msg user -f {site}/text").records) == [("user", "from the web")]
    attachment = shell.run(f"llm-msg user -a {site}/picture").records[0]["parts"][0]["attachment"]
    assert attachment == {"type": "image/png", "url": f"{site}/picture"}
    named = shell.run("llm-msg user -a http://127.0.0.1:1/x.jpg").records[0]["parts"][0]["attachment"]
    assert named == {"type": "image/jpeg", "url": "http://127.0.0.1:1/x.jpg"}
    gone = shell.run(f"llm-msg user -f {site}/none")
    assert gone.status == 69 and "404" in gone.err
    assert shell.run("llm-msg user -f http://127.0.0.1:1/x").status == 69


def calls(*ids: str) -> str:
    return json.dumps({"tool_calls": [{"name": f"f{i}", "arguments": {}, "tool_call_id": i} for i in ids]})


def test_a_pending_call_is_answered_by_hand(shell: Shell) -> None:
    shell.run(f"llm-msg user '{calls('a')}' | llm-send -m echo > one.jsonl")
    shell.run(f"llm-msg user '{calls('a', 'b')}' | llm-send -m echo > two.jsonl")
    part = {"type": "tool_result", "name": "fa", "output": "42", "tool_call_id": "a"}
    assert shell.run("llm-msg tool 42 < one.jsonl").records[-1]["parts"] == [part]
    both = shell.run("llm-msg tool 42 < two.jsonl")
    assert both.status == 2 and "a (fa), b (fb)" in both.err
    assert shell.run("llm-msg tool 42 --call a < two.jsonl").records[-1]["parts"] == [part]
    rest = shell.run("llm-msg tool 42 --call a < two.jsonl | llm-msg tool 43 | llm-send | llm-parts")
    assert rest.text == "43\n"
    assert shell.run("llm-msg tool 42 --call z < two.jsonl").status == 65
    assert shell.run("llm-msg user x | llm-msg tool 42").status == 65
    assert shell.run("llm-msg user x --call a").status == 2


def test_a_call_is_answered_with_attachments(shell: Shell) -> None:
    (shell.folder / "a.png").write_bytes(PNG)
    shell.run(f"llm-msg user '{calls('a')}' | llm-send -m echo > one.jsonl")
    [part] = shell.run("llm-msg tool 42 -a a.png < one.jsonl").records[-1]["parts"]
    assert part["output"] == "42" and [each["type"] for each in part["attachments"]] == ["image/png"]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"https_proxy": "foo://127.0.0.1:1"}, "a proxy that the environment names cannot be used"),
        ({"SSL_CERT_FILE": "/nonexistent"}, "the CAs of SSL_CERT_FILE=/nonexistent cannot be loaded"),
    ],
)
def test_a_download_with_a_wrong_environment(shell: Shell, variables: dict[str, str], says: str) -> None:
    done = shell.run("llm-msg user -f https://127.0.0.1:1/x", env=variables)
    assert (done.status, done.records[-1]["code"]) == (78, "config")
    assert done.err.startswith(f"llm-msg: {says}")


def test_the_editor_writes_the_message_on_the_terminal(shell: Shell) -> None:
    (shell.folder / "editor").write_text('#!/bin/sh\ntest -t 0 && echo edited >> "$1"\n')
    os.chmod(shell.folder / "editor", 0o755)
    script = "cat talk.jsonl | EDITOR=./editor llm-msg user -e draft > out.jsonl; echo rc $?"
    shell.run("llm-msg system s > talk.jsonl")
    done = shell.run(f"script -qec '{script}' /dev/null")
    assert "rc 0" in done.text, done.text
    assert texts(shell.run("cat out.jsonl").records) == [("system", "s"), ("user", "draftedited")]
    without = shell.run("setsid -w llm-msg user -e")
    assert without.status == 2 and "terminal" in without.err
    failing = shell.run("script -qec 'EDITOR=false llm-msg -n user -e; echo rc $?' /dev/null")
    assert "rc 1" in failing.text
