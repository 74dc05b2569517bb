"""-f URL and -a URL: pages as text, charsets, types, and the way there: proxies and certificates."""

from __future__ import annotations

import pytest
import trustme

import llmtools
from support.harness import Done, Shell, texts
from support.server import Proxy, Server, ask, closed_port, reply, tls_context
from support.site import Page, SocksProxy, serving

HTML = "<html><head><title>T</title><style>p {}</style></head><body><h1>Grüße</h1><p>One <b>two</b></p></body></html>"
PAGES: dict[str, Page] = {
    "/page": (200, {"Content-Type": "text/html; charset=utf-8"}, HTML.encode()),
    "/latin": (200, {"Content-Type": "text/html; charset=ISO-8859-1"}, HTML.encode("latin-1")),
    "/meta": (200, {"Content-Type": "text/html"}, b'<meta charset="koi8-r"><p>' + "мир".encode("koi8-r")),
    "/none": (200, {"Content-Type": "text/html"}, "<p>Grüße".encode("cp1252")),
    "/bare": (200, {}, HTML.encode()),
    "/text": (200, {"Content-Type": "text/plain; charset=windows-1251"}, "мир".encode("cp1251")),
    "/json": (200, {"Content-Type": "application/json"}, b'{"html": "<p>"}'),
    "/binary": (200, {"Content-Type": "text/plain; charset=utf-8"}, b"\x00\xff\xfe\x01"),
    "/csv": (200, {"Content-Type": "text/csv; charset=latin-1"}, "a;é".encode("latin-1")),
    "/voice": (200, {"Content-Type": "audio/x-wav"}, b"\x00\x01\x02\xff"),
    "/picture": (200, {"Content-Type": "text/plain"}, b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
    "/away": (302, {"Location": "/page"}, b""),
    "/loop": (302, {"Location": "/loop"}, b""),
    "/odd": (302, {"Location": "gopher://x/"}, b""),
}


def text_of(done: Done) -> str:
    assert done.status == 0, done.err
    [(_, text)] = texts(done.records)
    return text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/page", "Grüße\n\nOne two\n"),
        ("/away", "Grüße\n\nOne two\n"),
        ("/latin", "Grüße\n\nOne two\n"),
        ("/bare", "Grüße\n\nOne two\n"),
        ("/meta", "мир\n"),
        ("/none", "Grüße\n"),
        ("/text", "мир"),
        ("/json", '{"html": "<p>"}'),
    ],
)
def test_a_page_as_text(path: str, text: str, shell: Shell) -> None:
    with serving(PAGES) as site:
        done = shell.run(f"llm-msg user -f {site.url}{path}")
    assert (text_of(done), done.err) == (text, "")
    assert site.agents[0] == f"llmtools/{llmtools.__version__}"


def test_a_page_as_it_is(shell: Shell) -> None:
    (shell.folder / "inscriptis.py").write_text("raise ImportError")
    without = {"PYTHONPATH": str(shell.folder)}
    with serving(PAGES) as site:
        assert text_of(shell.run(f"llm-msg user --raw -f {site.url}/latin")) == HTML
        done = shell.run(f"llm-msg user -f {site.url}/page", env=without)
        assert text_of(done) == HTML
        assert "pip install 'llm-pipes[html]'" in done.err and done.err.count("\n") == 1
        for quiet in ("-q", "--raw"):
            done = shell.run(f"llm-msg user {quiet} -f {site.url}/page", env=without)
            assert (text_of(done), done.err) == (HTML, "")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/csv", "text/csv"), ("/voice", "audio/wav"), ("/picture", "image/png"), ("/page", "text/html")],
)
def test_the_type_of_an_attachment(path: str, kind: str, shell: Shell) -> None:
    with serving(PAGES) as site:
        done = shell.run(f"llm-msg user -a {site.url}{path}")
    assert done.records[0]["parts"][0]["attachment"] == {"type": kind, "url": f"{site.url}{path}"}


def test_a_text_that_is_fetched_for_the_vendor_is_utf8(shell: Shell) -> None:
    with serving(PAGES) as site, Server(reply("a")) as server:
        done = shell.run(f"llm-msg user -a {site.url}/csv | llm-send --base-url {server.url} -m m")
    assert done.status == 0, done.err
    assert "a;é" in server.only.body.decode()


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/gone", 69, "HTTP 404 Not Found"),
        ("/loop", 69, "more than 20 redirects"),
        ("/odd", 69, "gopher"),
        ("/binary", 65, "not UTF-8 text"),
    ],
)
def test_a_failure_names_the_url_and_not_its_password(path: str, status: int, says: str, shell: Shell) -> None:
    with serving(PAGES) as site:
        url = f"{site.url}{path}"
        done = shell.run(f"llm-msg user -f {url.replace('//', '//user:canary@')}")
    assert (done.status, done.records[-1]["exit_status"]) == (status, status)
    assert url in done.err and says in done.err and done.err.count("\n") == 1
    assert url in done.records[-1]["message"] and "canary" not in done.err + done.text
    for address in (f"http://127.0.0.1:{closed_port()}/x", "http://nowhere.invalid/x"):
        done = shell.run(f"llm-msg user -f {address}")
        assert (done.status, address in done.err, done.records[-1]["exit_status"]) == (69, True, 69)


# The way


@pytest.mark.parametrize("scheme", ["socks", "socks5", "socks5h"])
def test_a_socks_proxy(scheme: str, shell: Shell) -> None:
    with serving(PAGES) as site, SocksProxy({"site.test": site.port}) as proxy:
        env = {"ALL_PROXY": proxy.url.replace("http", scheme)}
        assert text_of(shell.run("llm-msg user -f http://site.test/text", env=env)) == "мир"
    assert proxy.asked == [("site.test", 80)]


def test_a_socks_proxy_with_a_password_and_tls(shell: Shell) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(shell.folder / "ca.pem"))
    with (
        Server(reply("a"), tls=tls_context(authority, "model.test")) as server,
        SocksProxy({"model.test": server.port}, ("user", "canary")) as proxy,
    ):
        env = {"HTTPS_PROXY": proxy.url.replace("http://", "socks5h://user:canary@"), "SSL_CERT_FILE": "ca.pem"}
        done = shell.run(ask("https://model.test/v1"), env=env)
        stranger = proxy.url.replace("http://", "socks5://")
        wrong = shell.run(ask("https://model.test/v1", "--retries 0"), env={**env, "HTTPS_PROXY": stranger})
    assert (done.status, texts(done.records)[-1]) == (0, ("assistant", "a")), done.err
    assert proxy.asked == [("model.test", 443)]
    assert wrong.status == 69


def test_a_socks_proxy_without_its_package(shell: Shell) -> None:
    (shell.folder / "socksio.py").write_text("raise ImportError")
    env = {"PYTHONPATH": str(shell.folder), "ALL_PROXY": "socks5://127.0.0.1:9"}
    for command in ("llm-msg user -f http://site.test/x", ask("http://site.test/v1")):
        done = shell.run(command, env=env)
        assert (done.status, "pip install 'llm-pipes[socks]'" in done.err) == (78, True)


def test_a_page_through_a_proxy_and_round_it(shell: Shell) -> None:
    with serving(PAGES) as site, Proxy({"site.test": site.port, "127.0.0.1": site.port}) as proxy:
        env = {"HTTP_PROXY": proxy.url}
        assert text_of(shell.run("llm-msg user -f http://site.test/text", env=env)) == "мир"
        assert proxy.connections == 1
        direct = {**env, "NO_PROXY": "example.com, 127.0.0.0/8"}
        assert text_of(shell.run(f"llm-msg user -f {site.url}/text", env=direct)) == "мир"
        assert proxy.connections == 1


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"])
def test_the_certificates_to_trust(variable: str, shell: Shell) -> None:
    authority = trustme.CA()
    pem = shell.folder / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    value = "ca.pem"
    if variable == "SSL_CERT_DIR":
        shell.run("mkdir cas && cp ca.pem cas/$(openssl x509 -hash -noout -in ca.pem).0")
        value = "cas"
    with Server(reply("a"), reply("b"), tls=tls_context(authority, "127.0.0.1")) as server:
        url = server.url.replace("http:", "https:")
        assert shell.run(ask(url), env={variable: value}).status == 0
        assert shell.run(ask(url, "--retries 0")).status == 69
        fetched = shell.run(f"llm-msg user -f {url}", env={variable: value})
        assert "CERTIFICATE" not in fetched.err


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there(variable: str, shell: Shell) -> None:
    for command in ("llm-msg user -f https://127.0.0.1:1/x", ask("https://127.0.0.1:1/v1")):
        done = shell.run(command, env={variable: "/nonexistent"})
        assert (done.status, f"{variable}=/nonexistent cannot be loaded" in done.err) == (78, True)
