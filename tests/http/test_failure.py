"""Errors of providers as exceptions, in all shapes of their bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtools import errors
from llmtools.http.failure import (
    error_message,
    failure_from_body,
    failure_from_response,
    rate_limits,
    request_id,
    retry_after,
    visible_text,
)


def error(status: int, body: Any, **headers: str) -> errors.LlmToolsError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure_from_response(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


MESSAGES: list[tuple[Any, str | None]] = [
    ({"error": {"message": "m", "type": "t", "code": "c"}}, "m"),  # OpenAI, Groq, DeepSeek, Azure, llama.cpp
    ({"error": "m"}, "m"),  # Venice, Ollama
    ({"code": "invalid-argument", "error": "m"}, "m"),  # xAI
    ({"object": "error", "message": "m", "code": "3051"}, "m"),  # Mistral, vLLM
    ({"detail": "m"}, "m"),
    ({"detail": [{"loc": ["body"], "msg": "m"}]}, "m"),
    ({"error": {}, "message": "m"}, "m"),
    ({"error": {"message": ""}, "detail": "m"}, "m"),
    ([{"error": {"message": "m"}}], "m"),
    ({"error": {"code": 429, "message": "m", "metadata": {"raw": "why", "provider_name": "P"}}}, "m: why"),
    ({"error": {"message": "m", "metadata": None}}, "m"),
    ({"error": None}, None),
    ({}, None),
    ([], None),
    ({"error": {"error": {"error": {"message": "m"}}}}, "m"),
    ({"error": {"error": {"error": {"error": {"error": {"error": {"error": {"message": "m"}}}}}}}}, None),
    (None, None),
    (7, None),
]


@pytest.mark.parametrize(("body", "message"), MESSAGES)
def test_the_message(body: Any, message: str | None) -> None:
    assert error_message(body) == message
    assert failure_from_body(body, 500).message == (message or "the provider answered with status 500")


CLASSES: list[tuple[int, Any, type[errors.LlmToolsError], int, bool]] = [
    (400, {"error": {"message": "wrong"}}, errors.RequestError, 65, False),
    (413, {}, errors.RequestError, 65, False),
    (422, {"detail": "wrong"}, errors.RequestError, 65, False),
    (418, {}, errors.RequestError, 65, False),
    (401, {"detail": "Invalid API Key"}, errors.KeyRefusedError, 77, False),
    (403, {}, errors.KeyRefusedError, 77, False),
    (400, {"error": "Incorrect API key provided"}, errors.KeyRefusedError, 77, False),
    (402, {}, errors.QuotaError, 77, False),
    (429, {"error": {"message": "m", "code": "insufficient_quota"}}, errors.QuotaError, 77, False),
    (403, {"error": "Your team doesn't have any credits yet."}, errors.QuotaError, 77, False),
    (404, {"error": {"message": "m", "code": "model_not_found"}}, errors.NoModelError, 78, False),
    (404, {"error": {"message": "m", "code": "DeploymentNotFound"}}, errors.NoModelError, 78, False),
    (404, {"error": "Specified model not found: x"}, errors.NoModelError, 78, False),
    (404, {"error": {"message": "models/x is not found for API version v1"}}, errors.NoModelError, 78, False),
    (400, {"error": {"message": "a/b is not a valid model ID", "code": 400}}, errors.NoModelError, 78, False),
    (404, b"404 page not found", errors.ConfigError, 78, False),
    (400, {"error": {"message": "This model does not support tools"}}, errors.RequestError, 65, False),
    (400, {"error": {"message": "m", "code": "context_length_exceeded"}}, errors.ContextError, 65, False),
    (400, {"error": {"message": "m", "type": "exceed_context_size_error"}}, errors.ContextError, 65, False),
    (400, {"error": {"message": "m", "type": "too_many_prompt_tokens"}}, errors.ContextError, 65, False),
    (400, {"error": {"message": "prompt too long; exceeded max context length"}}, errors.ContextError, 65, False),
    (408, {}, errors.TimedOutError, 75, True),
    (504, {}, errors.TimedOutError, 75, True),
    (409, {}, errors.TryLaterError, 75, True),
    (425, {}, errors.TryLaterError, 75, True),
    (429, {"error": {"message": "slow down", "type": "requests"}}, errors.RateLimitError, 75, True),
    (500, {"error": {"message": "m", "type": "server_error"}}, errors.UnavailableError, 69, True),
    (502, b"<html><body>Bad gateway</body></html>", errors.UnavailableError, 69, True),
    (503, {"error": {"message": "The engine is currently overloaded"}}, errors.OverloadedError, 75, True),
    (529, {}, errors.OverloadedError, 75, True),
    (429, {"error": {"message": "m", "type": "engine_overloaded_error"}}, errors.OverloadedError, 75, True),
    (400, {"error": {"message": "m", "code": "content_filter"}}, errors.FilteredError, 1, False),
]


@pytest.mark.parametrize(("status", "body", "cls", "exit_status", "retryable"), CLASSES)
def test_the_class(status: int, body: Any, cls: type[errors.LlmToolsError], exit_status: int, retryable: bool) -> None:
    failure = error(status, body)
    assert type(failure) is cls
    assert failure.exit_status == exit_status
    assert failure.details["http_status"] == status
    assert failure.details["retryable"] is retryable


IN_STREAM: list[tuple[Any, type[errors.LlmToolsError], int | None]] = [
    ({"error": {"message": "m", "type": "server_error"}}, errors.UnavailableError, None),
    ({"error": {"message": "m", "code": "tool_use_failed", "status_code": 400}}, errors.RequestError, 400),
    ({"error": {"code": 502, "message": "m"}}, errors.UnavailableError, 502),
    ({"object": "error", "message": "m", "code": 500}, errors.UnavailableError, 500),
    ({"error": {"message": "m", "code": "rate_limit_exceeded"}}, errors.RateLimitError, None),
    ({"error": {"message": "m", "type": "overloaded_error"}}, errors.OverloadedError, None),
    ({"error": {"message": "m", "type": "invalid_request_error"}}, errors.RequestError, None),
    ({"error": {"message": "m", "type": "authentication_error"}}, errors.KeyRefusedError, None),
    ({"error": {"message": "m", "type": "timeout"}}, errors.TimedOutError, None),
    ({"error": "boom"}, errors.UnavailableError, None),
    ([{"error": {"message": "m", "code": "503"}}], errors.UnavailableError, 503),
    ([], errors.UnavailableError, None),
]


@pytest.mark.parametrize(("body", "cls", "status"), IN_STREAM)
def test_an_error_in_the_stream(body: Any, cls: type[errors.LlmToolsError], status: int | None) -> None:
    failure = failure_from_body(body)
    assert type(failure) is cls
    assert failure.details.get("http_status") == status


def test_a_redirect_names_where_it_leads_and_no_more() -> None:
    failure = error(307, b"", location="https://evil.example/v1?key=secret#x")
    assert (failure.exit_status, failure.details["http_status"]) == (78, 307)
    assert failure.message == "the server redirects to https://evil.example/v1, which is not followed"
    assert "nowhere" in error(302, b"").message


def test_invalid_json_is_reported_with_its_first_visible_characters() -> None:
    body = b"<html><head><style>p{}</style></head><body>\r\n<h1>502 Bad\x1b[2J Gateway</h1>" + b"<p>x</p>" * 500
    message = error(502, body).message
    assert message.startswith("502 Bad [2J Gateway x x")
    assert len(message) <= 200
    assert error(500, b"").message == "the provider answered with status 500"
    assert error(500, b"\xff\xfe").message
    assert visible_text(b"") == ""


def test_no_half_a_character_gets_out() -> None:
    assert failure_from_body({"error": "a\ud800b"}).message == "a\ufffdb"


def test_request_ids() -> None:
    assert request_id({"x-request-id": "r"}) == "r"
    assert request_id({"apim-request-id": "a", "x-request-id": ""}) == "a"
    assert request_id({}) is None
    assert error(500, {}, mistral_correlation_id="c").details["request_id"] == "c"


def test_the_server_may_forbid_a_retry() -> None:
    assert error(503, {}, x_should_retry="false").details["retryable"] is False


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, 1e9),
        ({"retry-after": "Thu, 29 Feb 2024 00:00:10 GMT", "date": "Thu, 29 Feb 2024 00:00:00 GMT"}, 10),
        ({"retry-after": "Thu, 29 Feb 2024 00:00:00 GMT", "date": "Thu, 29 Feb 2024 00:00:10 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    assert failure_from_response(429, headers, b"{}").details.get("retry_after") == seconds


def test_rate_limits_in_every_way_of_writing() -> None:
    assert rate_limits(
        {
            "x-ratelimit-limit-requests": "100",
            "x-ratelimit-remaining-requests": "99",
            "x-ratelimit-reset-requests": "6m0s",
            "x-ratelimit-reset-tokens": "17.399999999s",
            "x-ratelimit-remaining-req-minute": "3",
            "x-other": "1",
        }
    ) == {
        "requests": {"limit": 100, "remaining": 99, "reset": 360},
        "tokens": {"reset": 17.399999999},
        "req-minute": {"remaining": 3},
    }
    resets = {"4ms": 0.004, "0s": 0, "26ms": 0.026, "59": 59, "1h2m3.5s": 3723.5, "1d": 86400}
    for text, seconds in resets.items():
        assert rate_limits({"x-ratelimit-reset-tokens": text}) == {"tokens": {"reset": pytest.approx(seconds)}}
    # A moment (OpenRouter), or nothing that could be read.
    assert (
        rate_limits({"x-ratelimit-reset": "1741305600000", "ratelimit-limit": "soon", "x-ratelimit-reset-a": ""}) == {}
    )
