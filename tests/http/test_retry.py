"""Whether to ask again, and after how long."""

from __future__ import annotations

import random as chance
from typing import Any

import pytest

from llmtools.http.retry import BUDGET, RETRIES, delay

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


def wait(
    attempt: int = 1, status: int | None = 503, elapsed: float = 0, random: float = 0.5, **more: Any
) -> float | None:
    headers = {name.replace("_", "-"): str(value) for name, value in more.pop("headers", {}).items()}
    return delay(attempt, status, headers, elapsed=elapsed, random=random, **more)


@pytest.mark.parametrize("status", [None, 408, 409, 425, 429, 500, 502, 503, 504, 529, 599])
def test_what_may_pass(status: int | None) -> None:
    assert wait(status=status)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 402, 403, 404, 405, 410, 413, 422, 451])
def test_what_will_not(status: int) -> None:
    assert wait(status=status) is None


def test_two_retries_by_default() -> None:
    assert RETRIES == 2
    assert [wait(attempt) is not None for attempt in (1, 2, 3)] == [True, True, False]
    assert wait(1, retries=0) is None
    assert wait(9, retries=9)


def test_the_server_may_say_whether() -> None:
    assert wait(status=400, headers={"x-should-retry": "true"})
    assert wait(status=503, headers={"x-should-retry": "false"}) is None
    assert wait(status=503, headers={"x-should-retry": "perhaps"})
    assert wait(3, status=400, headers={"x-should-retry": "true"}) is None


def test_the_delay_doubles_up_to_a_most() -> None:
    longest = [wait(attempt, random=1.0, retries=99) for attempt in range(1, 9)]
    assert longest == [0.5, 1, 2, 4, 8, 8, 8, 8]
    shortest = [wait(attempt, random=0.0, retries=99) for attempt in range(1, 6)]
    assert shortest == [0.125, 0.25, 0.5, 1, 2]


def test_clients_do_not_come_back_together() -> None:
    source = chance.Random(1)
    delays = sorted(wait(random=source.random()) or 0 for _ in range(10))
    assert delays[-1] - delays[0] >= 0.25 * 0.5
    told = sorted(wait(random=source.random(), headers={"retry-after": 2}) or 0 for _ in range(10))
    assert told[0] >= 2
    assert told[-1] - told[0] >= 0.25 * 0.5


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1),  # as Azure sent it
        ({"retry-after-ms": "nonsense", "retry-after": "1"}, 1),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:42 GMT"}, 5),
    ],
)
def test_the_server_may_say_how_long(headers: dict[str, str], least: float) -> None:
    assert wait(headers=headers, random=0.0, now=NOW) == least
    longest = wait(headers=headers, random=1.0, now=NOW)
    assert longest is not None
    assert least < longest <= least * 1.25


@pytest.mark.parametrize(
    "value", ["-5", "nan", "inf", "-inf", "soon", "", "0", "Sun, 06 Nov 1994 08:49:30 GMT", "Foo, 99"]
)
def test_what_says_nothing_sensible_is_passed_over(value: str) -> None:
    assert wait(headers={"retry-after": value}, random=1.0, now=NOW) == 0.5
    assert wait(headers={"retry-after-ms": value}, random=1.0, now=NOW) == 0.5


@pytest.mark.parametrize("value", ["121", "1e9", "Mon, 07 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_delay_that_is_too_long_is_not_waited_for(value: str) -> None:
    assert wait(headers={"retry-after": value}, now=NOW) is None


def test_the_budget() -> None:
    assert BUDGET == 120
    assert wait(elapsed=119.9) is None
    assert wait(elapsed=50, headers={"retry-after": 80}) is None
    assert wait(elapsed=50, headers={"retry-after": 60})
    assert wait(elapsed=200, budget=300)


def test_a_date_without_our_clock_counts_from_the_servers() -> None:
    headers = {"retry-after": "Sun, 06 Nov 1994 08:49:42 GMT", "date": "Sun, 06 Nov 1994 08:49:40 GMT"}
    assert wait(headers=headers, random=0.0) == 2
    assert wait(headers={"retry-after": headers["retry-after"]}, random=1.0) == 0.5
