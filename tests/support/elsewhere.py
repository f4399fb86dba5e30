"""The operator as on another machine, and under observation: `python -m support.elsewhere run ...`.

Processes of one machine can show that a holder of the Lease is dead, and do not wait then. A test of how several
machines behave must take that knowledge away. And the audit log knows when a request arrived, not when it was sent:
each request that changes something is noted, with the time, in the moment in which its bytes are written.
"""

import os
import secrets
import time
from typing import Any, Final

import aiohttp

from modelward.leader import identity
from modelward_cli import main

ELSEWHERE: Final = ("-m", "support.elsewhere")
"""The `program` of an OperatorProcess."""
SENT_FILE: Final = "MODELWARD_TEST_SENT"
"""Environment variable: where to note what is sent, a line each: seconds since the epoch, method, path."""

_write_bytes: Final = aiohttp.ClientRequest.write_bytes


async def _noted(request: aiohttp.ClientRequest, *arguments: Any) -> None:
    if request.method != "GET":
        os.write(_sent, f"{time.time():.6f} {request.method} {request.url.path}\n".encode())
    await _write_bytes(request, *arguments)


if __name__ == "__main__":
    machine = secrets.token_hex(6)
    identity._machine = lambda: machine
    _sent = os.open(os.environ[SENT_FILE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    aiohttp.ClientRequest.write_bytes = _noted  # type: ignore[assignment]  # the gate is in a class below this one
    main()
