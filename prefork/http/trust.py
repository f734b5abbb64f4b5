"""Which addresses are believed what they say about others: those of the proxies in front."""

from collections.abc import Callable, Collection
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final


def trusting(networks: Collection[str]) -> Callable[[bytes], bool]:
    """Return what tells whether an address is in one of these networks; `unix:` means all unix sockets, `*` all.

    Raises:
        ValueError: One of them is no network.
    """
    known = [ip_network(each) for each in networks if each not in {"unix:", "*"}]

    @lru_cache(maxsize=1024)
    def is_trusted(address: bytes) -> bool:
        if "*" in networks or address == b"unix:":
            return "*" in networks or "unix:" in networks
        try:
            found = ip_address(address.decode("ascii"))
        except ValueError:
            return False
        return any(found in network for network in known)

    return is_trusted


NOBODY: Final = trusting(())
