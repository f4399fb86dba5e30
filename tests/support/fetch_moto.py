"""moto's S3 and IAM as a process: with users, keys, policies and versions, in an environment of its own.

Of its own because botocore wants another python-dateutil than the operator's Kubernetes client.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.store import S3Store

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "tests" / "fetch" / "moto.lock"
BUCKET, VERSIONED = "models", "versioned"
SETUP_REQUESTS = 6
"""Requests of `_PREPARE` that need no right yet."""

_PREPARE = """
import boto3, json, sys
from botocore.config import Config
# Each attempt uses up one of the requests that need no right: none is repeated, however busy the machine is.
config = Config(retries={"total_max_attempts": 1}, connect_timeout=300, read_timeout=300)
to = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y", config=config)
iam = boto3.client("iam", **to)
said = {}
for name, action in (("reader", "s3:*"), ("stranger", "ec2:*")):
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="it", PolicyDocument=json.dumps(policy))
    said[name] = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
to |= dict(aws_access_key_id=said["reader"]["AWS_ACCESS_KEY_ID"], aws_secret_access_key=said["reader"]["AWS_SECRET_ACCESS_KEY"])
s3 = boto3.client("s3", **to)
s3.create_bucket(Bucket="models")
s3.create_bucket(Bucket="versioned")
s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Moto:
    """A running server, with a user who may read and one who may not."""

    url: str
    reader: dict[str, str]
    stranger: dict[str, str]

    def put(self, key: str, content: bytes, bucket: str = BUCKET) -> None:
        """An object."""
        store = S3Store(
            bucket,
            endpoint=self.url,
            region="us-east-1",
            access_key_id=self.reader["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.reader["AWS_SECRET_ACCESS_KEY"],
            client_options={"allow_http": True, "timeout": timedelta(seconds=60)},
        )
        obstore.put(store, key, content, use_multipart=False)


@contextlib.contextmanager
def running(host: str = "127.0.0.1") -> Iterator[Moto]:
    """The server at this address of the machine, until the block ends."""
    python = _environment() / "bin" / "python"
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    code = f"from moto.server import main; main(['-H', '{host}', '-p', '{port}'])"
    env = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(SETUP_REQUESTS), "PYTHONPATH": ""}
    with subprocess.Popen(
        [python, "-c", code], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            url = f"http://{host}:{port}"
            _await(url, process)
            said = subprocess.run(
                [python, "-c", _PREPARE, url], env=env, capture_output=True, text=True, check=True
            ).stdout
            users = json.loads(said)
            place = {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1"}
            yield Moto(url, {**users["reader"], **place}, {**users["stranger"], **place})
        finally:
            process.terminate()


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close()  # noqa: S310 - loopback
            return
        time.sleep(0.05)
    raise TimeoutError("moto does not answer")


def _environment() -> Path:
    """Made once for each lock, in the cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("MODELWARD_CACHE") or Path(base, "modelward"))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}".encode()
    key = hashlib.sha256(LOCK.read_bytes() + version).hexdigest()[:12]
    folder = cache / "moto" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = str(Path(sys.prefix, "bin", "uv"))
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
            install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
            into = ["--python", str(folder / "bin" / "python"), str(LOCK)]
            subprocess.run([*install, *into], check=True, env=_index())
            (folder / "complete").touch()
    return folder


def _index() -> dict[str, str]:
    """What pip is configured with, for uv, as in tests/setup.sh."""
    env = dict(os.environ)
    pip = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    found = (
        env.get("PIP_INDEX_URL")
        or subprocess.run(pip, capture_output=True, text=True, check=False).stdout.strip()
    )
    if found:
        env.setdefault("UV_DEFAULT_INDEX", found)
    if "PIP_CERT" in env:
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
    return env
