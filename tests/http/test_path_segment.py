"""Names in a path: a model, a deployment, the id of a reply."""

from __future__ import annotations

import pytest

from llmtools.errors import UsageError
from llmtools.exchange.background import reply_request
from llmtools.http.request import path_segment
from llmtools.protocols import load
from llmtools.providers.address import base_url_of
from llmtools.providers.catalogue import PROVIDERS

SEGMENTS = [("gpt-5.5", "gpt-5.5"), ("a/../b", "a%2F..%2Fb"), ("a?b#c", "a%3Fb%23c"), ("%2e%2e", "%252e%252e")]
REFUSED = ["..", ".", "a\nb", "a\0", "\x7f"]


@pytest.mark.parametrize(("name", "segment"), SEGMENTS)
def test_a_name_is_one_segment(name: str, segment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://a.test")
    monkeypatch.setenv("OPENAI_API_VERSION", "2026-01-01")
    assert path_segment(name) == segment
    assert base_url_of("azure", PROVIDERS["azure"], {}, name)[0] == f"https://a.test/openai/deployments/{segment}"
    assert reply_request(load("openai-responses").SPEC, name).path == f"/responses/{segment}"


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_no_segment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://a.test")
    monkeypatch.setenv("OPENAI_API_VERSION", "2026-01-01")
    for build in (
        lambda: path_segment(name),
        lambda: base_url_of("azure", PROVIDERS["azure"], {}, name),
        lambda: reply_request(load("openai-responses").SPEC, name),
    ):
        with pytest.raises(UsageError, match="cannot be a name in a URL"):
            build()
