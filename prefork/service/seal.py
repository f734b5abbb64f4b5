"""Tells whether a file is as it was written: its first line carries a checksum of all that follows. Pure.

So a file that somebody has changed is neither overwritten nor removed, and one of an older version is.
"""

import hashlib
import re
from typing import Final

_MARK: Final = "# Written by prefork service; change it by systemctl edit. sha256:"
_SEALED: Final = re.compile(rf"{re.escape(_MARK)}([0-9a-f]{{64}})\n(.*)", re.DOTALL)


def sealed(text: str) -> str:
    """Return the text as it is written to a file."""
    return f"{_MARK}{_checksum(text)}\n{text}"


def is_sealed(content: str) -> bool:
    """Tell whether the content of a file is what was written once."""
    found = _SEALED.fullmatch(content)
    return found is not None and found[1] == _checksum(found[2])


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()  # as files are read and written
