"""The test model server keeps the protocol, counts what it does, and fails as reported."""

import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from model_server.tests.serving import METADATA, NAME, REQUEST, Served, scores, serving, start, until

TENSOR = REQUEST["inputs"][0]


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    """One server for all tests of this module that leave it healthy."""
    with serving(MODEL_VERSION="1", MODEL_REVISION="abc", POD_NAME="pod-1") as served:
        yield served


@pytest.fixture
def served(running: Served) -> Iterator[Served]:
    """The shared server, recovered afterwards."""
    yield running
    assert running.put_faults().status_code == 200
    until(running.is_ready)


def body(**changes: Any) -> dict[str, Any]:
    """The sample request with a changed tensor."""
    return {"inputs": [{**TENSOR, **changes}]}


@pytest.mark.parametrize("version", ["1", "2"])
def test_answers_the_scores_of_training(version: str) -> None:
    """Each version answers the sample request as scikit-learn did when it was trained."""
    with serving(MODEL_VERSION=version) as served:
        response = served.infer()
        assert scores(response) == pytest.approx(METADATA["versions"][version]["sampleScores"], abs=1e-5)
        assert response.json()["model_name"] == NAME
        assert response.json()["model_version"] == version


def test_answers_say_who_answered(served: Served) -> None:
    """Pod, revision and the request's id come back with an answer."""
    response = served.infer()
    assert response.headers["X-Pod-Name"] == "pod-1"
    assert response.headers["X-Model-Revision"] == "abc"
    assert response.json()["id"] == REQUEST["id"]


def test_serves_the_highest_version_if_none_is_asked_for() -> None:
    """Without MODEL_VERSION a folder of versions is served at its newest."""
    with serving() as served:
        assert served.infer().json()["model_version"] == "2"


def test_describes_server_and_model(served: Served) -> None:
    """Metadata name what a client must send."""
    assert served.http.get("/v2").json()["name"]
    about = served.http.get(f"/v2/models/{NAME}").json()
    assert about["versions"] == ["1"]
    assert about["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 30]}]
    assert [output["name"] for output in about["outputs"]] == ["label", "probabilities"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param([], "inputs", id="not an object"),
        pytest.param({}, "inputs", id="no inputs"),
        pytest.param({"inputs": []}, "['X']", id="no tensor"),
        pytest.param(body(name="Y"), "['X']", id="unknown tensor"),
        pytest.param(body(datatype="FP64"), "FP32", id="other datatype"),
        pytest.param(body(shape=[16, 29]), "[-1, 30]", id="other shape"),
        pytest.param(body(shape="16,30"), "list", id="shape is not a list"),
        pytest.param(body(data=[1, 2]), "[16, 30]", id="too little data"),
        pytest.param(body(data=["a"] * 480), "data", id="data are not numbers"),
    ],
)
def test_bad_request_is_refused(served: Served, wrong: Any, says: str) -> None:
    """A client's mistake is answered 400 with a sentence, and is not the server's error."""
    errors = served.sample("model_request_errors_total")
    response = served.infer(wrong)
    assert response.status_code == 400
    assert says in response.json()["error"]
    assert served.sample("model_request_errors_total") == errors


def test_body_that_is_not_json_is_refused(served: Served) -> None:
    """Bytes that are not JSON are a client's mistake, too."""
    response = served.http.post(f"/v2/models/{NAME}/infer", content=b"{")
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other/ready",
        f"/v2/models/{NAME}/versions/9",
        f"/v2/models/{NAME}/versions/9/ready",
        "/nothing",
    ],
)
def test_what_is_not_there_is_404(served: Served, path: str) -> None:
    """Unknown models, versions and routes are distinguished from failures."""
    response = served.http.get(path)
    assert response.status_code == 404
    assert response.json()["error"]


def test_all_series_exist_before_the_first_request() -> None:
    """The first error is a step from 0 to 1, which the difference of a counter can see."""
    with serving(MODEL_VERSION="1") as served:
        for series in (
            "model_requests_total",
            "model_request_errors_total",
            "model_request_duration_seconds_count",
        ):
            assert served.sample(series + '{model_version="1"}') == 0
        assert served.sample('model_prediction_score_bucket{le="1.0"}') == 0


def test_requests_errors_latency_and_scores_are_counted(served: Served) -> None:
    """One good and one failed request move each series by what happened."""
    names = ("model_requests_total", "model_request_errors_total", "model_request_duration_seconds_count")
    series = (*names, "model_prediction_score_count")
    before = [served.sample(name) for name in series]
    served.infer()
    served.put_faults(error_rate=1)
    served.infer()
    after = [served.sample(name) for name in series]
    assert [new - old for old, new in zip(before, after, strict=True)] == [2, 1, 2, TENSOR["shape"][0]]


def test_metrics_may_share_the_port() -> None:
    """With both ports the same there is one listener for both."""
    with httpx.Client() as client, serving() as first:
        port = first.http.base_url.port
        first.process.send_signal(signal.SIGTERM)
        assert first.exit_code() == 0
        process = start(HTTP_PORT=str(port), METRICS_PORT=str(port))
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _is_up(client, url))
            assert "model_requests_total" in client.get(f"{url}/metrics").text
        finally:
            process.kill()
            process.communicate()


def _is_up(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/v2/health/live").status_code == 200
    except httpx.TransportError:
        return False


class TestFaults:
    """Each fault does what it says, set by environment or at run time, and `{}` recovers."""

    def test_by_environment(self) -> None:
        """Faults of the environment are in force from the first request and shown."""
        with serving(FAULT_ERROR_RATE="1", FAULT_SCORE_SHIFT="-0.5") as served:
            assert served.infer().status_code == 500
            shown = served.http.get("/faults").json()
            assert (shown["error_rate"], shown["score_shift"]) == (1, -0.5)
            served.put_faults()
            assert served.infer().status_code == 200

    def test_errors(self, served: Served) -> None:
        """An error rate of 1 fails every request, of 0.5 some."""
        served.put_faults(error_rate=0.5)
        assert {served.infer().status_code for _ in range(60)} == {200, 500}

    def test_latency(self, served: Served) -> None:
        """Added latency is seen by clients and by the histogram; a share of 0 spares every request."""
        at_most_50_ms = 'model_request_duration_seconds_bucket{le="0.05"}'
        served.put_faults(added_latency_seconds=0.1)
        before = served.sample(at_most_50_ms)
        assert served.infer().elapsed.total_seconds() >= 0.1
        assert served.sample(at_most_50_ms) == before
        served.put_faults(added_latency_seconds=60, latency_share=0)
        assert served.infer().status_code == 200

    def test_scattered_latency(self, served: Served) -> None:
        """With a sigma some requests wait for less than the median, and some for more."""
        served.put_faults(added_latency_seconds=0.02, latency_sigma=1)
        seconds = [served.infer().elapsed.total_seconds() for _ in range(40)]
        assert min(seconds) < 0.02 < max(seconds)

    def test_metrics_that_are_no_numbers(self, served: Served) -> None:
        """Every value of the model's series is NaN; other series stay."""
        served.put_faults(metrics_page="nan")
        text = served.metrics.get("/metrics").text
        values = {line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith("model_")}
        assert values == {"NaN"}

    def test_metrics_that_fall(self, served: Served) -> None:
        """There are ever fewer of a million good requests."""
        served.put_faults(metrics_page="falling")
        first, errors = served.sample("model_requests_total"), served.sample("model_request_errors_total")
        assert first > 500_000
        assert served.sample("model_requests_total") < first
        assert errors < 1_000

    def test_metrics_that_hang(self, served: Served) -> None:
        """No answer comes while requests are served."""
        served.put_faults(metrics_page="hanging")
        with pytest.raises(httpx.ReadTimeout):
            served.metrics.get("/metrics", timeout=0.3)
        assert served.infer().status_code == 200

    def test_metrics_that_flood(self, served: Served) -> None:
        """The page is longer than anybody wants to read."""
        served.put_faults(metrics_page="flooding")
        with served.metrics.stream("GET", "/metrics") as response:
            read = 0
            for chunk in response.iter_bytes():
                read += len(chunk)
                if read > 4 * 2**20:
                    break
        assert read > 4 * 2**20

    def test_scores(self, served: Served) -> None:
        """Shifted scores stay within 0-1, and probabilities still add up to 1."""
        served.put_faults(score_shift=0.25)
        response = served.infer()
        expected = [min(1, score + 0.25) for score in METADATA["versions"]["1"]["sampleScores"]]
        assert scores(response) == pytest.approx(expected, abs=1e-5)
        pairs = response.json()["outputs"][1]["data"]
        assert [sum(pair) for pair in zip(pairs[::2], pairs[1::2], strict=True)] == pytest.approx(
            [1] * len(expected)
        )

    def test_slow_load(self) -> None:
        """While the model loads the server is live, not ready, and answers 503."""
        with serving(ready=False, FAULT_LOAD_SECONDS="600") as served:
            assert served.http.get("/v2/health/live").status_code == 200
            assert served.http.get("/v2/health/ready").status_code == 503
            assert not served.is_ready()
            assert served.infer().status_code == 503
            served.put_faults()
            until(served.is_ready)

    def test_slow_load_at_run_time(self, served: Served) -> None:
        """A model loaded anew takes readiness away meanwhile."""
        served.put_faults(load_seconds=600)
        assert not served.is_ready()
        assert served.http.get("/v2/health/live").status_code == 200

    def test_corrupt_model_ends_the_process(self) -> None:
        """A damaged file that ends the server: exit code 1 and the reason in the log."""
        process = start(FAULT_CORRUPT_MODEL="exit")
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "cannot be loaded" in output

    def test_corrupt_model_never_ready(self, served: Served) -> None:
        """A damaged file that leaves the server up: live, never ready, and the probe says why."""
        served.put_faults(corrupt_model="unready")
        until(lambda: "cannot be loaded" in served.http.get("/v2/health/ready").text)
        assert served.http.get("/v2/health/live").status_code == 200
        assert not served.is_ready()

    def test_corrupt_model_at_run_time(self) -> None:
        """A running server asked to load a damaged file ends."""
        with serving() as served:
            served.put_faults(corrupt_model="exit")
            assert served.exit_code() == 1

    @pytest.mark.parametrize("by", ["environment", "request"])
    def test_crash_after_requests(self, by: str) -> None:
        """So many answers, then the connection breaks and the process is gone."""
        with serving(FAULT_CRASH_AFTER_REQUESTS="2" if by == "environment" else "0") as served:
            if by == "request":
                served.put_faults(crash_after_requests=2)
            assert [served.infer().status_code for _ in range(2)] == [200, 200]
            with pytest.raises(httpx.TransportError):
                served.infer()
            assert served.exit_code() == 1

    def test_crash_on_start(self, served: Served) -> None:
        """The process ends at once; a running server cannot be known so."""
        process = start(FAULT_CRASH_ON_START="true")
        process.communicate(timeout=20)
        assert process.returncode == 1
        assert served.put_faults(crash_on_start=True).status_code == 400

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            pytest.param({"error_rate": 2}, "error_rate must be a number from 0 to 1", id="out of range"),
            pytest.param({"error_rate": True}, "error_rate must be", id="a boolean is no number"),
            pytest.param({"crash_after_requests": 1.5}, "whole number", id="half a request"),
            pytest.param({"corrupt_model": "maybe"}, "'unready'", id="unknown mode"),
            pytest.param({"crash_on_start": 1}, "true or false", id="a number is no boolean"),
            pytest.param({"speed": 1}, "unknown fault speed", id="unknown fault"),
            pytest.param([], "JSON object", id="not an object"),
        ],
    )
    def test_bad_faults_are_refused(self, served: Served, wrong: Any, says: str) -> None:
        """A bad set changes nothing and is answered with a sentence."""
        response = served.http.put("/faults", json=wrong)
        assert response.status_code == 400
        assert says in response.json()["error"]
        assert served.infer().status_code == 200


@pytest.mark.parametrize(
    ("env", "says"),
    [
        pytest.param({"HTTP_PORT": "http"}, "HTTP_PORT must be a port", id="port is a word"),
        pytest.param({"METRICS_PORT": "70000"}, "METRICS_PORT must be a port", id="port out of range"),
        pytest.param({"DRAIN_SECONDS": "-1"}, "DRAIN_SECONDS must be seconds", id="negative time"),
        pytest.param({"FAULT_ERROR_RATE": "high"}, "FAULT_ERROR_RATE must be a number", id="fault is a word"),
        pytest.param(
            {"FAULT_ERROR_RATE": "7"}, "error_rate must be a number from 0 to 1", id="fault out of range"
        ),
        pytest.param({"FAULT_SPEED": "1"}, "FAULT_SPEED is unknown", id="unknown fault"),
    ],
)
def test_bad_settings_end_the_process(env: dict[str, str], says: str) -> None:
    """One line names the variable; the exit code is 2."""
    process = start(**env)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert says in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("env", [{"MODEL_VERSION": "3"}, {"MODEL_PATH": "/nowhere"}], ids=["version", "path"])
def test_missing_model_ends_the_process(env: dict[str, str]) -> None:
    """No other version is served in place of the one asked for."""
    process = start(**env)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "no model.onnx" in output


def test_sigterm_drains() -> None:
    """After SIGTERM: not ready, still serving, requests in flight are finished, exit code 0."""
    answers: list[int] = []
    with serving(DRAIN_SECONDS="0.3", FAULT_ADDED_LATENCY_SECONDS="1") as served:
        in_flight = threading.Thread(target=lambda: answers.append(served.infer().status_code))
        in_flight.start()
        served.process.send_signal(signal.SIGTERM)
        until(lambda: not served.is_ready())
        late = served.infer()  # sent while draining, answered after the listener closed
        in_flight.join()
        assert answers == [200]
        assert late.status_code == 200
        assert late.headers["Connection"] == "close"
        assert served.exit_code() == 0
