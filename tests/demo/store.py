"""Where the models lie: an S3-compatible store beside the development cluster, from which the pods fetch them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.store import S3Store

from demo.console import Console
from demo.objects import MODEL
from demo.places import Place
from devcluster import object_store
from devcluster.object_store import BUCKET, REGION, ObjectStore

MODELS = Path(__file__).parents[1] / "model_server" / "models"
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
    put(store, {f"{MODEL}/{each.parent.name}/{each.name}": each.read_bytes() for each in found})
    console.say(
        f"{len(found)} versions of the model are in s3://{BUCKET}/{MODEL}/ at {store.url} (SeaweedFS)"
    )
    return store


def put(store: ObjectStore, objects: Mapping[str, bytes]) -> None:
    """Write objects as the store's owner. Its parts find each other some moments after it answers: until then it is tried again."""
    owner = S3Store(
        BUCKET,
        endpoint=store.url,
        region=REGION,
        access_key_id=store.owner.access,
        secret_access_key=store.owner.secret,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=10)},
        retry_config={"max_retries": 20, "retry_timeout": _PATIENCE},
    )
    for key, content in objects.items():
        obstore.put(owner, key, content)
