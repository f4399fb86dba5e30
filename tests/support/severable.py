"""A way to the API server that can be cut: bytes stop, connections stay, as behind a firewall that drops packets."""

import contextlib
import selectors
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import yaml

_CHUNK: Final = 65536
_TICK_SECONDS: Final = 0.05


class Severable:
    """A TCP proxy on the loopback. TLS goes through it as it is. Use as a context manager."""

    def __init__(self, server: str) -> None:
        """`server` is the URL of what is behind it."""
        address = urlsplit(server)
        self._behind = (address.hostname or "", address.port or 443)
        self._cut = threading.Event()
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._listening.getsockname()[1]}"

    def cut(self) -> None:
        """Let nothing through any more. Nobody is reported."""
        self._cut.set()

    def reconnect(self) -> None:
        """Let through again, also what was sent meanwhile."""
        self._cut.clear()

    def kubeconfig(self, original: Path, to: Path) -> Path:
        """A copy of a kubeconfig that goes this way."""
        config = yaml.safe_load(original.read_text(encoding="utf-8"))
        config["clusters"][0]["cluster"]["server"] = self.url
        to.write_text(yaml.safe_dump(config), encoding="utf-8")
        to.chmod(0o600)
        return to

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        self._listening.settimeout(_TICK_SECONDS)
        while not self._ended.is_set():
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, client: socket.socket) -> None:
        """Both directions of one connection, until an end closes it."""
        with client, contextlib.suppress(OSError):
            while self._cut.is_set():
                if self._ended.wait(_TICK_SECONDS):
                    return
            with socket.create_connection(self._behind) as server, selectors.DefaultSelector() as ends:
                ends.register(client, selectors.EVENT_READ, server)
                ends.register(server, selectors.EVENT_READ, client)
                while not self._ended.is_set():
                    if self._cut.is_set():
                        self._ended.wait(_TICK_SECONDS)
                        continue
                    for key, _ in ends.select(_TICK_SECONDS):
                        source, target = key.fileobj, key.data
                        assert isinstance(source, socket.socket)
                        if not (received := source.recv(_CHUNK)):
                            return
                        target.sendall(received)
