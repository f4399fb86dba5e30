"""The scripts of the stories: what people do, what the cluster and the versions are like. The rest follows."""

from golden.script import Script
from golden.scripts.capacity import CAPACITY
from golden.scripts.evidence import EVIDENCE
from golden.scripts.lifecycle import LIFECYCLE
from golden.scripts.models import MODELS
from golden.scripts.outcomes import OUTCOMES
from golden.scripts.people import PEOPLE
from golden.scripts.pods import PODS
from golden.scripts.refusals import REFUSALS
from golden.scripts.restores import RESTORES
from golden.scripts.room import ROOM
from golden.scripts.routes import ROUTES
from golden.scripts.terminating import TERMINATING

__all__ = ["SCRIPTS", "Script"]

SCRIPTS = (
    *LIFECYCLE,
    *EVIDENCE,
    *PODS,
    *PEOPLE,
    *ROUTES,
    *CAPACITY,
    *REFUSALS,
    *ROOM,
    *TERMINATING,
    *OUTCOMES,
    *RESTORES,
    *MODELS,
)
