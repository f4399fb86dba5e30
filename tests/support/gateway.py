"""Requests through the cluster's Gateway, and who answered them."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from demo.traffic import ask
from support.kubectl import Kubectl
from support.waiting import until

ROUTES = "httproutes.gateway.networking.k8s.io"
"""Name of the CRD."""
CONNECTIONS = 4
"""Kept alive, as clients' connection pools keep them."""


def remove_kind(admin: Kubectl) -> None:
    """Delete the kind HTTPRoute, and no other one of the Gateway API.

    F26: a CRD whose objects nobody has read yet may hang in its deletion (InstanceDeletionFailed: storage is
    (re)initializing), so they are read first.
    """
    if admin.get("crd", ROUTES) is None:
        return
    until(lambda: admin.run("get", ROUTES, "--all-namespaces").returncode == 0, "the kind is served")
    admin("delete", "crd", ROUTES, "--wait", "--timeout=60s")


def client(host: str) -> httpx.Client:
    """A client that asks for a host name of a route."""
    return httpx.Client(headers={"Host": host}, trust_env=False, timeout=60)  # a busy machine takes its time


def wait_served(url: str, host: str, model: str) -> None:
    """Wait until the gateway has a route for the host name: some time after it has reported that it accepts it."""
    with client(host) as caller:
        until(lambda: caller.get(f"{url}/v2/models/{model}/ready").is_success, f"{host} is served")


def answers(url: str, host: str, model: str, requests: int) -> Counter[str]:
    """How often each version of the model answers so many requests. Raises httpx.HTTPError for one that fails."""
    left = itertools.count()
    lock = threading.Lock()

    def send() -> Counter[str]:
        found: Counter[str] = Counter()
        with client(host) as caller:
            while True:
                with lock:
                    if next(left) >= requests:
                        return found
                found[ask(caller, url, model).version] += 1

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return sum((each.result() for each in [pool.submit(send) for _ in range(CONNECTIONS)]), Counter())


def percent(found: Counter[str], version: str) -> float:
    """Share of a version in percent."""
    return 100 * found[version] / found.total()
