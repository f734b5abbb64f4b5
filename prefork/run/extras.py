"""What only some services have, imported where they do: TLS, and the molds of workers."""

import os
from collections.abc import Sequence

from prefork.config.schema import Config
from prefork.master.errors import StartError
from prefork.run.expiry import Certificate
from prefork.worker.opening import Opener


def prepared_for_molds(config: Config) -> bool:
    """Tell whether there are to be molds, and be given the workers that these fork; raises StartError."""
    if config.preload != "mold":
        return False
    try:
        from prefork.master import prctl  # noqa: PLC0415 - ctypes makes a process larger

        prctl.become_subreaper()
    except (ImportError, MemoryError, OSError) as error:  # libffi may need memory that can be written and executed
        raise StartError(os.EX_OSERR, f"preload: workers of a mold can't become the master's: {error}") from None
    return True


def secured(config: Config) -> tuple[Opener | None, Sequence[Certificate]]:
    """Return the step before HTTP in which TLS begins, and its certificates, where there are any; raises StartError."""
    if not config.tls_cert and not config.tls_key:
        return None, ()
    try:
        from prefork.run import certificates  # noqa: PLC0415 - it makes a process larger by 16 MB
        from prefork.worker import tls  # noqa: PLC0415
    except ImportError as error:  # Python was built without it; or no descriptor was left to load a library
        raise StartError(os.EX_OSERR, f"tls_cert: TLS can't be loaded: {error}") from None
    known = certificates.certificates(config.tls_cert, config.tls_key)
    return tls.opener(certificates.context(known, config.tls_min)), known
