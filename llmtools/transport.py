"""The only file that imports the HTTP client."""

from __future__ import annotations

from .errors import InputError, UnavailableError

FETCH_LIMIT = 256 << 20
"""The most that is fetched from a URL, in bytes."""


def fetch(url: str, timeout: float = 60) -> bytes:
    """Return what a URL holds. Redirects are followed, as for any download without a key.

    Raises UnavailableError where it cannot be had, InputError where it is too large.
    """
    import httpx

    data = bytearray()
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as response:
            if response.status_code != 200:
                raise UnavailableError(f"{url}: HTTP {response.status_code} {response.reason_phrase}")
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > FETCH_LIMIT:
                    raise InputError(f"{url}: larger than {FETCH_LIMIT >> 20} MiB")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{url}: {str(error) or type(error).__name__}") from None
    return bytes(data)
