"""Which proxy a request goes through, by the usual variables. Nothing here opens a connection.

Rules:
* The proxy is that of the scheme (`https_proxy`, `http_proxy`), else of `all_proxy`; a name in lower
  case comes before the one in upper case.
* `no_proxy` lists hosts, domains with all their subdomains, addresses and nets (10.0.0.0/8, fd00::/8),
  each with a port if only that one is meant; `*` is every host.
* A proxy speaks HTTP or SOCKS 5. `socks`, `socks5` and `socks5h` are the same here: the proxy looks
  up the names.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from ..errors import ConfigError

_PORT = re.compile(r"(\[.*\]|[^:]*):(\d+)")
_SCHEMES = {"http": "http", "https": "https", "socks": "socks5", "socks5": "socks5", "socks5h": "socks5"}
"""Schemes of a proxy -> those that the HTTP client knows."""


def proxy_of(url: str) -> str | None:
    """Return the URL of the proxy for a URL, None for a direct connection. Raises ConfigError for a proxy
    that cannot be used."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    proxies = getproxies()
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    if not proxy or is_exempt(parts.hostname or "", port, proxies.get("no", "")):
        return None
    scheme, _, rest = proxy.partition("://") if "://" in proxy else ("http", "", proxy)
    if scheme.lower() not in _SCHEMES:
        raise ConfigError(
            f"a proxy that the environment names cannot be used: {scheme}:// is not one of http, https and socks5"
        )
    return f"{_SCHEMES[scheme.lower()]}://{rest}"


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Return whether a `no_proxy` lists a host, or a net or a domain that it is in."""
    return any(_is_listed(host.lower().rstrip("."), port, entry) for entry in re.split(r"[,\s]+", no_proxy) if entry)


def _is_listed(host: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    match = _PORT.fullmatch(entry)
    if match and int(match[2]) != port:
        return False
    name = (match[1] if match else entry).strip("[]").lower()
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        domain = name.lstrip("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False
