"""Where the models lie: an S3-compatible store beside the development cluster, from which the pods fetch them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import obstore
from obstore.store import S3Store

from demo.console import Console
from demo.places import Place
from devcluster import object_store
from devcluster.object_store import BUCKET, ObjectStore

MODELS = Path(__file__).parents[1] / "model_server" / "models"
REGION = "us-east-1"
_PATIENCE = timedelta(seconds=60)


def provide(place: Place, console: Console) -> ObjectStore | None:
    """The store with both versions of the model; None in a cluster that is not the demonstration's own.

    Raises DevclusterError.
    """
    if not place.own or place.cluster is None:
        console.say(
            "the server's image carries the models: pods elsewhere do not reach a store on this machine"
        )
        return None
    with console.taking_over():
        store = object_store.start(place.cluster.directory, place.cluster.host_address, console.say)
    found = sorted(MODELS.glob("*/model.onnx"))
    for model in found:
        obstore.put(_as_owner(store), f"breast-cancer/{model.parent.name}/{model.name}", model.read_bytes())
    console.say(
        f"{len(found)} versions of the model are in s3://{BUCKET}/breast-cancer/ at {store.url} (SeaweedFS)"
    )
    return store


def _as_owner(store: ObjectStore) -> S3Store:
    """Its parts find each other some moments after it answers: what fails until then is tried again."""
    return S3Store(
        BUCKET,
        endpoint=store.url,
        region=REGION,
        access_key_id=store.owner.access,
        secret_access_key=store.owner.secret,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=10)},
        retry_config={"max_retries": 20, "retry_timeout": _PATIENCE},
    )
