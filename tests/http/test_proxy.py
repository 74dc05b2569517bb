"""Which proxy a request goes through."""

from __future__ import annotations

import pytest

from llmtools.errors import ConfigError
from llmtools.http.proxy import is_exempt, proxy_of

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://a.test", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.test", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://a.test", None),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "https://a.test", "http://low:1"),
        ({"ALL_PROXY": "p:1"}, "http://a.test", "http://p:1"),
        ({"ALL_PROXY": "http://all:1", "HTTP_PROXY": "http://p:1"}, "http://a.test", "http://p:1"),
        ({"HTTPS_PROXY": ""}, "https://a.test", None),
        ({"ALL_PROXY": "socks://u:p@s:1"}, "https://a.test", "socks5://u:p@s:1"),
        ({"ALL_PROXY": "socks5h://s:1"}, "https://a.test", "socks5://s:1"),
        ({"ALL_PROXY": "SOCKS5://s:1"}, "https://a.test", "socks5://s:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "b.test,a.test"}, "https://a.test/x", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, "https://[fd12::1]/x", None),
    ],
)
def test_the_proxy_of_a_url(
    variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy


def test_a_proxy_of_another_kind_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks4://user:secret@s:1")
    with pytest.raises(ConfigError, match="socks4:// is not one of") as refused:
        proxy_of("https://a.test")
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("host", "no_proxy", "exempt"),
    [
        ("a.test", "", False),
        ("a.test", "*", True),
        ("a.test", " b.test , A.TEST ", True),
        ("a.test", "b.test a.test", True),
        ("x.a.test", "a.test", True),
        ("x.a.test", ".a.test", True),
        ("a.test", ".a.test", True),
        ("x.a.test", "*.a.test", True),
        ("xa.test", "a.test", False),
        ("a.test.", "a.test", True),
        ("a.test", "a.test:443", True),
        ("a.test", "a.test:80", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3", "fd00::/8", False),
        ("::1", "::1", True),
        ("::1", "[::1]", True),
        ("::1", "[::1]:443", True),
        ("::1", "[::1]:80", False),
        ("fd12::1", "fd00::/8", True),
        ("fe80::1%eth0", "fe80::/10", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("127.0.0.1", "localhost", False),
        ("10.1.2.3", "not/a/net", False),
    ],
)
def test_hosts_that_need_no_proxy(host: str, no_proxy: str, exempt: bool) -> None:
    assert is_exempt(host, 443, no_proxy) == exempt
