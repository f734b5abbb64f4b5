"""Which addresses are believed what they say about others: those of the proxies in front."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final


def trusting(networks: Iterable[str]) -> Callable[[bytes], bool]:
    """Return what tells whether an address is in one of these networks; `unix:` means all unix sockets, `*` all.

    Raises:
        ValueError: One of them is no network.
    """
    named = tuple(networks)
    known = [ip_network(each) for each in named if each not in {"unix:", "*"}]

    @lru_cache(maxsize=1024)
    def is_trusted(address: bytes) -> bool:
        if "*" in named or address == b"unix:":
            return "*" in named or "unix:" in named
        try:
            found = ip_address(address.decode("ascii"))
        except ValueError:
            return False
        return any(found in network for network in known)

    return is_trusted


NOBODY: Final = trusting(())
