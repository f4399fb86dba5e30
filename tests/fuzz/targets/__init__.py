"""The targets by name, in the order in which they are run."""

from typing import Final

from fuzz.finding import Target
from fuzz.targets import (
    arithmetic,
    decisions,
    fetching,
    files,
    memory,
    pages,
    pods,
    resource,
    selectors,
    watched,
)

TARGETS: Final[dict[str, Target]] = {
    "spec": resource.spec,
    "runtime": resource.runtime,
    "status": resource.status,
    "anything": resource.anything,
    "watched": watched.seen,
    "decide": decisions.decided,
    "project": decisions.projected,
    "render": pods.rendered,
    "names": arithmetic.named,
    "weights": arithmetic.weighed,
    "times": arithmetic.timed,
    "address": arithmetic.addressed,
    "selector": selectors.parsed,
    "page": pages.page,
    "answer": pages.answer,
    "memory": memory.remembered,
    "line": files.line,
    "settings": files.settings,
    "uri": fetching.uri,
    "report": fetching.report,
}
