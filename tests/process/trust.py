"""Certificates for a test, and clients that trust them."""

import socket
import ssl
from pathlib import Path
from typing import Final

import trustme

from tests.process.clients import Client
from tests.process.hello import Hello
from tests.process.waiting import LIMIT

NAMES: Final = ("a.example", "127.0.0.1")


class Trust:
    """A certificate authority, what it has issued into the folder of the service, and clients that trust it."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.folder = folder
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, name: str, *names: str, **options: object) -> None:
        """Write NAME.pem and NAME.key."""
        issued = self._authority.issue_cert(*names, **options)  # type: ignore[arg-type]
        (self.folder / f"{name}.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        key = self.folder / f"{name}.key"
        key.touch(0o600)
        key.write_bytes(issued.private_key_pem.bytes())

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.file)
        context.check_hostname = False
        return context

    def connect(
        self, hello: Hello, name: str | None = None, *, context: ssl.SSLContext | None = None, port: int = 0
    ) -> Client:
        """Return a client that has shaken hands, asking for a name."""
        plain = socket.create_connection(("127.0.0.1", port or hello.ports[0]), timeout=LIMIT)
        return Client((context or self.context()).wrap_socket(plain, server_hostname=name))
