"""What is shown, in order: install, serve, ask, change under load, describe."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import httpx

from demo import consent, objects, recording, store, traffic
from demo.address import service_address
from demo.change import bad_change, good_change
from demo.console import Console
from demo.errors import DemoError, NotPossibleError, RefusedError
from demo.images import Images, chosen, provide
from demo.kubectl import Manifest
from demo.objects import MODEL, NAMESPACE, Action
from demo.places import Place, reach
from demo.traffic import Answer
from demo.waiting import condition, is_ready, wait_model, wait_operator

FIRST, SECOND = "1", "2"
SCORES_SHOWN = 8
EVENTS_SHOWN = 6
TOLERANCE = 1e-4
"""The model card rounds to six decimals, the model computes in single precision."""


def show(console: Console) -> None:
    """The whole demonstration. Raises DemoError."""
    place, version = _prepare(console)
    with service_address(place, console) as url:
        console.title("5. Requests")
        _show_answer(url, version, console)
        other = _other(version)
        console.title(f"6. Version {other} goes out while requests flow, and is good")
        failed = good_change(place, url, other, console)
        console.title("7. A bad one goes out, and is rolled back automatically")
        bad_change(place, url, other, console)
    console.title("8. What Kubernetes says")
    _describe(place, console)
    _next(place, console)
    if failed:
        raise DemoError(f"{failed} requests failed during the change; none should")


def record(console: Console, file: Path) -> None:
    """Prepare all, and record a rollout that is rolled back. Raises DemoError."""
    place, version = _prepare(console)
    with service_address(place, console) as url:
        recording.record(place, url, _other(version), file, console)


def _prepare(console: Console) -> tuple[Place, str]:
    """A cluster with the operator and a model that serves; and the model's version."""
    console.title("1. Kubernetes")
    place = reach(console)
    _refuse_foreign_namespace(place)
    if not place.own:
        _ask(place, console)
    console.title("2. Images, and models in a store")
    images = provide(place, console)
    place = dataclasses.replace(place, store=store.provide(place, console))
    console.title("3. The operator")
    _install(place, images, console)
    console.title("4. A model")
    return place, _serve(place, images, console)


def _other(version: str) -> str:
    return SECOND if version == FIRST else FIRST


def _refuse_foreign_namespace(place: Place) -> None:
    found = objects.live(place.kubectl, objects.namespace())
    if found and not objects.is_marked(found):
        raise RefusedError(f"there is a namespace {NAMESPACE} that the demonstration has not made")
    if found and found["metadata"].get("deletionTimestamp"):
        raise NotPossibleError(f"the namespace {NAMESPACE} is just being deleted; try again in a minute")


def _ask(place: Place, console: Console) -> None:
    """Say what will be made, and have it accepted, before anything is made."""
    images = Images(operator="", server="") if place.cluster else chosen()
    manifests = [
        *objects.crds(),
        *objects.operator(place.kubectl, images),
        objects.namespace(),
        objects.runtime(images, namespaced=True),
        objects.model(FIRST, None),
    ]
    consent.ask(place, objects.planned(place.kubectl, manifests), images, console)


# --- install and serve --------------------------------------------------------------------------------------


def _install(place: Place, images: Images, console: Console) -> None:
    kubectl = place.kubectl
    crds = objects.crds()
    _apply(place, crds)
    names = [f"crd/{each['metadata']['name']}" for each in crds]
    kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")
    console.say(f"{len(crds)} CRDs are established (crds/)")
    _apply(place, objects.operator(kubectl, images, place.store))
    wait_operator(kubectl)
    console.say("the operator runs in the cluster (manifests/base)")
    pods = kubectl(
        "get", "pods", f"--namespace={objects.OPERATOR_NAMESPACE}", "--field-selector=status.phase=Running"
    )
    console.show(pods.splitlines())


def _serve(place: Place, images: Images, console: Console) -> str:
    """The version that serves once the sample model is Ready."""
    kubectl = place.kubectl
    _apply(place, [objects.namespace()])
    _apply(place, [objects.runtime(images, namespaced=not place.own)])
    if place.store:
        _apply(place, [objects.secret(place.store)])
    before = _left_by_an_earlier_run(place, console)
    version = _version(before) if before else FIRST
    started = time.monotonic()
    _apply(place, [objects.model(version, place.store)])
    console.say(
        f"ModelDeployment {NAMESPACE}/{MODEL} is {'there already' if before else 'applied'}, version {version}"
    )
    if not before:
        sample = objects.STORED if place.store else objects.SAMPLES / "model.yaml"
        console.show(sample.read_text().rpartition("---\n")[2].splitlines())
    model = wait_model(kubectl, console)
    waited = "" if before else f", {time.monotonic() - started:.1f} s after it was applied"
    console.say(f"Ready: {condition(model, 'Ready')['message']}".rstrip(".") + waited)
    return version


def _left_by_an_earlier_run(place: Place, console: Console) -> Manifest | None:
    """The model as an earlier run left it; one that was left in the middle of a change is made anew."""
    before = place.kubectl.get("modeldeployment", MODEL, NAMESPACE)
    if before is None or (is_ready(before) and not before["status"].get("rollout")):
        return before
    console.say(f"ModelDeployment {NAMESPACE}/{MODEL} was left in the middle of a change: it is made anew")
    place.kubectl(*("delete", "modeldeployment", MODEL, f"--namespace={NAMESPACE}", "--cascade=foreground"))
    return None


def _version(model: Manifest) -> str:
    version = model["spec"]["model"].get("version", FIRST)
    return str(version) if version in (FIRST, SECOND) else FIRST


def _apply(place: Place, manifests: list[Manifest]) -> None:
    """Apply what is not somebody else's."""
    plan = objects.planned(place.kubectl, manifests)
    place.kubectl.apply(*(each.manifest for each in plan if each.action is not Action.KEEP))


# --- ask ----------------------------------------------------------------------------------------------------


def _show_answer(url: str, version: str, console: Console) -> None:
    """One request, its answer beside what the model card promises."""
    answer = _answer_once_routed(url)
    console.say(f"POST /v2/models/{MODEL}/infer, {len(answer.scores)} rows of 30 numbers")
    console.show(_comparison(answer, version))


def _answer_once_routed(url: str) -> Answer:
    """The first answer, or what to check when there is none."""
    try:
        return traffic.first_answer(url, MODEL)
    except httpx.HTTPError as error:
        raise DemoError(
            f"the model is Ready, but {url} does not answer ({type(error).__name__}). Is something else in the way?"
            f" `kubectl get endpointslices -n {NAMESPACE}` shows where the Service leads; `make demo-down` and"
            " `make demo` begin anew."
        ) from error


def _comparison(answer: Answer, version: str) -> list[str]:
    expected = traffic.expected_scores(version)
    worst = max(abs(one - other) for one, other in zip(answer.scores, expected, strict=True))
    if answer.version != version or worst > TOLERANCE:
        raise DemoError(
            f"version {answer.version} answered, off by {worst:.6f} from what the card of version {version} says"
        )
    rest = len(expected) - SCORES_SHOWN
    return [
        f"{'answer':14}{_scores(answer.scores)}   and {rest} more",
        f"{'model card':14}{_scores(expected)}   largest difference of all: {worst:.0e}",
        f"{'model_version':14}{answer.version}, from pod {answer.pod}, in {answer.seconds * 1000:.1f} ms",
    ]


def _scores(scores: tuple[float, ...]) -> str:
    return "  ".join(f"{score:.3f}" for score in scores[:SCORES_SHOWN])


# --- reconcile ---------------------------------------------------------------------------------------------------


def _describe(place: Place, console: Console) -> None:
    where = f"--namespace={NAMESPACE}"
    console.say(f"kubectl get modeldeployments -n {NAMESPACE}")
    console.show(place.kubectl("get", "modeldeployments", where).splitlines())
    console.plain()
    console.say(
        f"its events, oldest first (kubectl describe modeldeployment {MODEL} -n {NAMESPACE} has them, too)"
    )
    events = place.kubectl(
        *(
            "get",
            "events",
            where,
            f"--field-selector=involvedObject.kind=ModelDeployment,involvedObject.name={MODEL}",
            "--sort-by=.eventTime",
        ),
        *("-o", "custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message"),
    )
    heading, *lines = events.splitlines()
    console.show([heading, *lines[-EVENTS_SHOWN:]])


def _next(place: Place, console: Console) -> None:
    console.title("What to try next")
    if place.own:
        console.plain(f"export KUBECONFIG={place.kubectl.kubeconfig}")
        console.plain(f"export PATH={place.kubectl.program.parent}:$PATH")
        console.plain()
    for command, why in _SUGGESTIONS:
        console.plain(f"{command:74}  # {why}")
    console.plain()
    console.plain(f"{'make demo-down':74}  # leaves nothing behind")


_SUGGESTIONS = (
    (f"kubectl get mwd -n {NAMESPACE} --watch", "leave it running beside the rest"),
    (f"kubectl scale mwd/{MODEL} -n {NAMESPACE} --replicas=3", "more pods, no new revision"),
    (f"kubectl apply -n {NAMESPACE} -f manifests/samples/autoscaling.yaml", "with an autoscaler"),
    (f"kubectl apply -n {NAMESPACE} -f manifests/samples/bad-image.yaml", "what a mistake looks like"),
    (f"kubectl describe mwd -n {NAMESPACE}", "what the operator did, and why"),
    ("kubectl logs -n modelward-system deployment/modelward", "its log"),
)
