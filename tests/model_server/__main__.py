"""Entry point: `python -m model_server`, configured by environment variables (see settings.py)."""

import asyncio
import logging
import os
import sys

from model_server.server import serve
from model_server.settings import SettingsError, read_settings

BAD_SETTINGS = 2


def main() -> int:
    """Exit code: 0 asked to stop, 1 the model failed or a fault ended the process, 2 bad settings."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"model_server: {error}", file=sys.stderr)
        return BAD_SETTINGS
    if settings.faults.crash_on_start:
        print("model_server: crash_on_start: ending as asked", file=sys.stderr)
        return 1
    return asyncio.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
