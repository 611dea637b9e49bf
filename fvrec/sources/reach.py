"""Where a picture's URL may lead: to public addresses, directly or through the proxy that the environment names."""

from __future__ import annotations

import ipaddress
import re
import socket
from types import TracebackType
from typing import Self
from urllib.request import getproxies, proxy_bypass

import httpx

from fvrec.errors import FvrecError

_EMBEDDING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))
"""An IPv4 address stands in the last 32 bits: translated by NAT64 (RFC 6052); compatible (RFC 4291, out of use)."""
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215: within one network, with the IPv4 address wherever that network likes."""


def proxy_for(url: httpx.URL) -> str | None:
    """The environment's proxy for this very URL; None when it is reached directly, as NO_PROXY may ask."""
    proxies = getproxies()
    found = proxies.get(url.scheme) or proxies.get("all")
    if not found or proxy_bypass(url.netloc.decode("ascii")) or proxy_bypass(url.host):
        return None
    return found if "://" in found else f"http://{found}"


def without_password(text: str) -> str:
    """The text with who logs in struck from every address in it, for messages and logs.

    >>> without_password("http://me:secret@proxy:3128 refused")
    'http://***@proxy:3128 refused'
    """
    return re.sub(r"(?<=//)[^/\s]*@", "***@", text)


def public(address: str) -> bool:
    """Whether an IP address, and any IPv4 address that it wraps, is open to everybody.

    >>> public("93.184.215.14"), public("127.0.0.1"), public("2002:7f00:1::"), public("64:ff9b::7f00:1")
    (True, False, False, False)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_global and not found.is_multicast
    if found.ipv4_mapped is not None:
        return public(str(found.ipv4_mapped))
    if not found.is_global or found.is_multicast or found.is_site_local or found in _LOCAL_NAT64:
        return False
    return all(public(str(inner)) for inner in _wrapped(found))


def is_literal(host: str) -> bool:
    """Whether a host is an address that is written out."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. OSError or UnicodeError when it is not known."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Routed(httpx.BaseTransport):
    """Sends each request, redirected ones too, the way that ``proxy_for`` says.

    httpx reads NO_PROXY by rules of its own; the guard must not think of a proxy where httpx goes directly.
    """

    def __init__(self, limits: httpx.Limits) -> None:
        self._limits, self._verify = limits, httpx.create_ssl_context()
        named = {proxy if "://" in proxy else f"http://{proxy}" for proxy in self._named()}
        self._ways = {proxy: self._way(proxy) for proxy in (None, *sorted(named))}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._ways[proxy_for(request.url)].handle_request(request)

    def __enter__(self) -> Self:
        for way in self._ways.values():
            way.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        for way in self._ways.values():
            way.__exit__(kind, error, trace)

    @staticmethod
    def _named() -> list[str]:
        proxies = getproxies()
        return [found for scheme in ("http", "https", "all") if (found := proxies.get(scheme))]

    def _way(self, proxy: str | None) -> httpx.HTTPTransport:
        try:
            return httpx.HTTPTransport(verify=self._verify, limits=self._limits, proxy=proxy)
        except (ValueError, httpx.InvalidURL, ImportError) as error:
            where = None if proxy is None else without_password(proxy)
            raise FvrecError(
                "the environment's proxy cannot be used", where=where, found=without_password(str(error))
            ) from error


def _wrapped(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    found = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _EMBEDDING):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]
