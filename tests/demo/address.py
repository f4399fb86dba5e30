"""The address of the model's Service, for requests from this machine."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator

from demo.console import Console
from demo.errors import DemoError
from demo.objects import MODEL, NAMESPACE
from demo.places import Place

_SERVING = re.compile(r"Starting to serve on ([\d.]+:\d+)")


@contextlib.contextmanager
def service_address(place: Place, console: Console) -> Iterator[str]:
    """Where requests reach the Service: its ClusterIP where this machine has a route to it, else through the API.

    Not `kubectl port-forward`: that holds on to one pod, and a change of the model ends this very pod.
    """
    if place.cluster:
        address = place.kubectl(
            "get", "service", MODEL, f"--namespace={NAMESPACE}", "-o", "jsonpath={.spec.clusterIP}"
        )
        console.say(f"the Service is reached by its ClusterIP, http://{address}")
        yield f"http://{address}"
        return
    with _api_proxy(place) as base:
        console.say("the Service is reached through the API server (kubectl proxy)")
        yield f"{base}/api/v1/namespaces/{NAMESPACE}/services/{MODEL}:http/proxy"


@contextlib.contextmanager
def _api_proxy(place: Place) -> Iterator[str]:
    argv = [str(place.kubectl.program), "proxy", "--port=0"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=place.kubectl.environment(), start_new_session=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = _SERVING.search(line)
            if not found:
                raise DemoError(f"kubectl proxy does not start: {line.strip()}")
            yield f"http://{found.group(1)}"
        finally:
            process.terminate()
