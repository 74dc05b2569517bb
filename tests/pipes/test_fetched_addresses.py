"""A URL in a stream: a file is fetched only from the public address that was checked."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import trustme

from llmtools.http.endpoint import is_public_address
from support.harness import Done, Shell
from support.server import Answer, Proxy, Server, tls_context
from support.site import SocksProxy

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 8
RESOLVER = '''
"""Names have the addresses of `names`, one after another; connections to those go to the ports of `ports`."""
import json, os, socket
with open(os.environ["NET"]) as file:
    net = json.load(file)
look_up, connect = socket.getaddrinfo, socket.create_connection

def getaddrinfo(host, *arguments, **options):
    host = host.decode() if isinstance(host, bytes) else host
    if host not in net["names"]:
        return look_up(host, *arguments, **options)
    answers = net["names"][host]
    first = answers.pop(0) if len(answers) > 1 else answers[0]
    return [look_up(each, *arguments, **options)[0] for each in first]

def create_connection(address, *arguments, **options):
    host, port = address
    with open("connected", "a") as file:
        print(host, port, file=file)
    if host in net["ports"]:
        if not net["ports"][host]:
            raise ConnectionRefusedError(111, "Connection refused")
        return connect(("127.0.0.1", net["ports"][host]), *arguments, **options)
    return connect((getaddrinfo(host, port)[0][4][0], port), *arguments, **options)

socket.getaddrinfo, socket.create_connection = getaddrinfo, create_connection
'''


def send(shell: Shell, url: str, names: dict[str, list[list[str]]], ports: dict[str, int], **env: str) -> Done:
    """Send a message with a URL to a model elsewhere that takes no URL."""
    (shell.folder / "sitecustomize.py").write_text(RESOLVER)
    (shell.folder / "net.json").write_text(json.dumps({"names": names, "ports": ports}))
    attachment = {"type": "image/png", "url": url}
    message = {"type": "message", "role": "user", "parts": [{"type": "attachment", "attachment": attachment}]}
    script = "llm-send --base-url https://model.test/ --protocol ollama -m m --timeout 30 --retries 0"
    env = {"NET": "net.json", "PYTHONPATH": str(shell.folder), **env}
    return shell.run(script, stdin=json.dumps(message).encode(), env=env)


def connected(shell: Shell) -> list[str]:
    path = shell.folder / "connected"
    return path.read_text().splitlines() if path.exists() else []


def file_of(data: bytes, status: bytes = b"200 OK", **headers: str) -> Answer:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()).encode()
    return [b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n" % (status, len(data), lines) + data]


MODEL = {"model.test": [["192.0.2.1"]]}


def test_a_name_that_leads_elsewhere_after_the_check_is_not_followed(shell: Shell) -> None:
    with Server(file_of(PNG)) as private:
        names = {**MODEL, "files.test": [["8.8.8.8"], ["127.0.0.1"]]}
        done = send(shell, f"http://files.test:{private.port}/a.png", names, {"8.8.8.8": 0})
        assert private.requests == []
    assert (done.status, connected(shell)) == (69, [f"8.8.8.8 {private.port}"])


def test_each_checked_address_is_tried_with_the_name_for_tls_and_http(shell: Shell) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(shell.folder / "ca.pem"))
    with Server(file_of(PNG), tls=tls_context(authority, "files.test")) as site:
        names = {**MODEL, "files.test": [["2600::1", "8.8.8.8", "9.9.9.9"]]}
        ports = {"2600::1": 0, "8.8.8.8": site.port, "192.0.2.1": 0}
        done = send(shell, "https://files.test/a.png", names, ports, SSL_CERT_FILE="ca.pem")
        assert site.only.headers["host"] == "files.test"
    assert connected(shell)[:2] == ["2600::1 443", "8.8.8.8 443"]
    assert done.status == 69 and "model.test" in done.err, "the file came; the model is not there"


def test_a_certificate_of_another_name_is_refused(shell: Shell) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(shell.folder / "ca.pem"))
    with Server(file_of(PNG), tls=tls_context(authority, "other.test")) as site:
        names = {**MODEL, "files.test": [["8.8.8.8"]]}
        done = send(shell, "https://files.test/a.png", names, {"8.8.8.8": site.port}, SSL_CERT_FILE="ca.pem")
    assert done.status == 69 and "certificate" in done.err.lower()


@pytest.mark.parametrize("target", ["http://inner.test/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/", "//127.1/"])
def test_a_redirect_is_checked_too(target: str, shell: Shell) -> None:
    with Server(file_of(b"", b"302 Found", location=target)) as site:
        names = {**MODEL, "files.test": [["8.8.8.8"]], "inner.test": [["8.8.8.8", "10.0.0.1"]]}
        done = send(shell, "http://files.test/a.png", names, {"8.8.8.8": site.port})
    assert (done.status, "private network" in done.err) == (65, True), done.err
    assert connected(shell) == ["8.8.8.8 80"]


def test_a_relative_redirect_stays_at_the_host(shell: Shell) -> None:
    with Server(file_of(b"", b"302 Found", location="/b.png"), file_of(PNG)) as site:
        names = {**MODEL, "files.test": [["8.8.8.8"]]}
        send(shell, "http://files.test/a.png", names, {"8.8.8.8": site.port, "192.0.2.1": 0})
        assert [(each.path, each.headers["host"]) for each in site.requests] == [
            ("/a.png", "files.test"),
            ("/b.png", "files.test"),
        ]


def test_a_name_that_a_proxy_would_look_up_is_refused(shell: Shell) -> None:
    names = {**MODEL, "files.test": [["8.8.8.8"]]}
    with Server(file_of(PNG)) as site, Proxy({"files.test": site.port}) as proxy:
        done = send(shell, "http://files.test/a.png", names, {}, http_proxy=proxy.url)
        assert proxy.connections == 0
    assert (done.status, "the proxy looks up files.test" in done.err) == (65, True), done.err


def test_a_socks_proxy_gets_the_checked_address(shell: Shell) -> None:
    names = {**MODEL, "files.test": [["8.8.8.8"]]}
    with Server(file_of(PNG)) as site, SocksProxy({"8.8.8.8": site.port}) as proxy:
        socks = proxy.url.replace("http", "socks5h")
        send(shell, "http://files.test/a.png", names, {"192.0.2.1": 0}, http_proxy=socks)
        assert site.only.headers["host"] == "files.test"
    assert proxy.asked == [("8.8.8.8", 80)]


def test_a_compressed_file_is_refused_before_it_grows(shell: Shell) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    with Server(file_of(bomb, content_encoding="gzip")) as site:
        done = shell.run(f"llm-msg user -f {site.origin}/page")
        assert site.only.headers["accept-encoding"] == "identity"
    assert (done.status, "compressed (gzip)" in done.err) == (76, True), done.err


ADDRESSES: dict[bool, list[str]] = {
    True: ["8.8.8.8", "2600::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
    False: [
        *("127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::", "::1", "::7f00:1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1"),
        *("2002:7f00:1::1", "2002:a00:1::1", "2001::1"),
    ],
}


@pytest.mark.parametrize(("address", "is_public"), [(each, key) for key in ADDRESSES for each in ADDRESSES[key]])
def test_which_addresses_are_public(address: str, is_public: Any) -> None:
    assert is_public_address(address) is is_public
