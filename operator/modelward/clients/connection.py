"""Credentials: the pod's own service account, or a kubeconfig."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio import client, config

from modelward.clients.write_gate import guarded
from modelward.errors import InvalidSettings

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_USUAL_NAMESPACE = "modelward-system"


def runs_in_cluster(kubeconfig: Path | None) -> bool:
    """Whether the pod's service account is to be used: no kubeconfig was named, and we are in a pod."""
    return kubeconfig is None and "KUBECONFIG" not in os.environ and _IN_CLUSTER in os.environ


def own_namespace(kubeconfig: Path | None) -> str:
    """The namespace of our pod; outside of a cluster the one where `manifests/base` puts the operator."""
    if not runs_in_cluster(kubeconfig):
        return _USUAL_NAMESPACE
    try:
        return _OWN_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(f"which namespace is this? {_OWN_NAMESPACE}: {error.strerror}") from error


async def connect(kubeconfig: Path | None = None, *, may_write: Callable[[], None] | None = None) -> Any:
    """An API client (`kubernetes.aio`) with TLS and credentials set. Raises InvalidSettings if there are none.

    `may_write` is asked just before each request that changes something is written, and raises to forbid it.
    """
    configuration = client.Configuration()
    try:
        if runs_in_cluster(kubeconfig):
            config.load_incluster_config(client_configuration=configuration)
        else:
            path = str(kubeconfig) if kubeconfig else None
            await config.load_kube_config(config_file=path, client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise InvalidSettings(
            f"no way to reach a cluster: {error}. Set KUBECONFIG or pass --kubeconfig; in a pod the service"
            " account's token must be mounted."
        ) from error
    except (yaml.YAMLError, TypeError, AttributeError, KeyError, ValueError) as error:
        # What is wrong is not said: such errors quote the file, and there are tokens in it.
        raise InvalidSettings(f"{kubeconfig or 'the kubeconfig'} is none that can be read") from error
    # Certificates are verified as Go's clients do it, and not more: from 3.13 on Python also wants key identifiers
    # in them by default, which the CAs of many clusters do not have.
    configuration.disable_strict_ssl_verification = True
    # Retries are ours: a request that may have been carried out is never repeated without a new observation.
    configuration.retries = None
    # Each watch keeps a connection, and there are seven for each named namespace: none may wait for another.
    configuration.connection_pool_maxsize = 0
    # The environment names the proxy, but is not asked anew: aiohttp would also read ~/.netrc, in a thread, for
    # every single request.
    configuration.proxy = configuration.proxy or _proxy(configuration.host)
    gate = {"request_class": guarded(may_write)} if may_write else {}
    configuration.client_session_kwargs = {"trust_env": False, **gate}
    return client.ApiClient(configuration=configuration)


def _proxy(server: str) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY) names for a server."""
    address = urlsplit(server)
    return None if proxy_bypass(address.netloc) else getproxies().get(address.scheme)
