"""The source for an address. A library is loaded when its scheme is asked for: the program starts at once."""

from pathlib import Path

from modelward_fetch.credentials import Credentials
from modelward_fetch.limits import Limits
from modelward_fetch.sources.base import Source
from modelward_fetch.uri import Location


class Opening:
    """What sources are made with."""

    def __init__(
        self,
        credentials: Credentials,
        limits: Limits,
        *,
        environment: dict[str, str],
        claim: Path | None = None,
        workload: bool = False,
        plain_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._credentials = credentials
        self._limits = limits
        self._environment = environment
        self._claim = claim
        self._workload = workload
        self._plain_hosts = plain_hosts

    def __call__(self, at: Location) -> Source:
        """The source. Raises FetchFailed for what can be known to be wrong without asking."""
        rest = (self._credentials, self._limits, self._plain_hosts)
        match at.scheme:
            case "s3" | "gs" | "az":
                return self._objects(at)
            case "https":
                from modelward_fetch.sources.https import HttpsSource

                return HttpsSource(at, *rest)
            case "hf":
                from modelward_fetch.sources.hub import HubSource

                return HubSource(at, *rest)
            case "oci":
                from modelward_fetch.sources.oci import RegistrySource

                return RegistrySource(at, *rest)
            case "mlflow":
                from modelward_fetch.sources.mlflow import MlflowSource

                return MlflowSource(at, *rest, elsewhere=self._objects)
            case _:
                from modelward_fetch.sources.claim import ClaimSource

                return ClaimSource(at, self._claim, self._limits)

    def _objects(self, at: Location) -> Source:
        from modelward_fetch.sources.stores import Access, object_source

        return object_source(
            at,
            Access(
                credentials=self._credentials,
                limits=self._limits,
                workload=self._workload,
                plain_hosts=self._plain_hosts,
                environment=self._environment,
            ),
        )
