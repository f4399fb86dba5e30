"""Pages in the manner of nine model servers, and what to ask of each: names and labels as theirs, numbers as a test wants.

Facts about their names, not copies of their pages. What differs between servers is what goes wrong with them: success and
failure apart (Triton, MLServer), failures inside of the successes (vLLM), a status as a word, a number or a class, and
requests of probes in the same counter.
"""

from collections.abc import Callable
from dataclasses import dataclass

Page = Callable[[int, int], str]


@dataclass(frozen=True, slots=True)
class Server:
    """A model server."""

    name: str
    page: Page
    """Its page after so many answers, of which so many failed."""
    hits: str
    total: str
    label: str = ""
    """The label by which a failure is known; empty: it has a counter of its own."""
    histogram: str = ""


def _counter(name: str, series: dict[str, int], family: str = "") -> str:
    """A counter; a series that has not counted is not born."""
    lines = [f"{name}{{{labels}}} {value}" for labels, value in series.items() if value]
    return "\n".join([f"# HELP {family or name} Requests.", f"# TYPE {family or name} counter", *lines, ""])


def _histogram(name: str, labels: str, count: int, bounds: tuple[str, ...] = ("0.005", "0.05", "0.5")) -> str:
    if not count:
        return f"# TYPE {name} histogram\n"
    cases = [count * (2 * number + 1) // 8 for number in range(len(bounds))]
    buckets = [f'{name}_bucket{{{labels},le="{b}"}} {n}' for b, n in zip(bounds, cases, strict=True)]
    last = [f'{name}_bucket{{{labels},le="+Inf"}} {count}', f"{name}_count{{{labels}}} {count}"]
    return "\n".join([f"# TYPE {name} histogram", *buckets, *last, ""])


_PROCESS = "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.7e+09\n"


def _mlserver(total: int, failed: int) -> str:
    of = 'model="fraud",version="None"'
    return (
        _counter("model_infer_request_success_total", {of: total - failed})
        + _counter("model_infer_request_failure_total", {of: failed})
        + _histogram("rest_server_request_duration_seconds", 'path="/v2/models/{model_name}/infer"', total)
        + _PROCESS
    )


def _triton(total: int, failed: int) -> str:
    of = 'model="fraud",version="1"'
    return (
        _counter("nv_inference_request_success", {of: total - failed})
        + _counter("nv_inference_request_failure", {f'{of},reason="BACKEND"': failed})
        + _counter("nv_inference_request_duration_us", {of: 900 * total})
    )


def _tensorflow(total: int, failed: int) -> str:
    return _counter(
        ":tensorflow:serving:request_count",
        {'model_name="fraud",status="OK"': total - failed, 'model_name="fraud",status="INTERNAL"': failed},
    ) + _histogram(
        ":tensorflow:serving:request_latency",
        'model_name="fraud",API="predict",entrypoint="REST"',
        total - failed,
        ("10", "18", "32.4"),
    )


def _vllm(total: int, failed: int) -> str:
    of = 'model_name="fraud",engine="0"'
    return (
        _counter(
            "vllm:request_success_total",
            {f'{of},finished_reason="stop"': total - failed, f'{of},finished_reason="abort"': failed},
            "vllm:request_success",
        )
        + _counter(
            "http_requests_total",
            {
                'handler="/v1/completions",method="POST",status="2xx"': total - failed,
                'handler="/v1/completions",method="POST",status="5xx"': failed,
            },
        )
        + _histogram("vllm:e2e_request_latency_seconds", of, total)
        + _PROCESS
    )


def _torchserve(total: int, failed: int) -> str:
    of = 'model_name="fraud",model_version="default",hostname="p"'
    return (
        _counter("ts_inference_requests_total", {of: total - failed})
        + _counter("Requests5XX", {'Level="Host",Hostname="p"': failed})
        + _counter("ts_inference_latency_microseconds", {of: 800 * total})
    )


def _kserve(total: int, failed: int) -> str:
    return (
        _counter(
            "http_requests_total",
            {'handler="infer",status="200"': total - failed, 'handler="infer",status="500"': failed},
        )
        + _histogram("request_predict_seconds", 'model_name="fraud"', total)
        + _PROCESS
    )


def _bentoml(total: int, failed: int) -> str:
    of = 'endpoint="/predict",service_name="fraud",service_version="v1",runner_name=""'
    return _counter(
        "bentoml_service_request_total",
        {f'{of},http_response_code="200"': total - failed, f'{of},http_response_code="500"': failed},
    ) + _histogram(
        "bentoml_service_request_duration_seconds", 'endpoint="/predict",http_response_code="200"', total
    )


def _ray(total: int, failed: int) -> str:
    of = 'deployment="fraud",application="default",replica="a"'
    return (
        _counter("ray_serve_deployment_request_counter_total", {of: total - failed})
        + _counter("ray_serve_deployment_error_counter_total", {of: failed})
        + _histogram("ray_serve_deployment_processing_latency_ms", of, total, ("5", "50", "500"))
    )


def _openvino(total: int, failed: int) -> str:
    of = 'api="KServe",interface="REST",method="ModelInfer",name="fraud"'
    return (
        _counter("ovms_requests_success", {of: total - failed})
        + _counter("ovms_requests_fail", {of: failed})
        + _histogram("ovms_request_time_us", 'interface="REST",name="fraud"', total, ("10", "18", "32"))
    )


def _apart(success: str, failure: str, labels: str) -> tuple[str, str]:
    return f"{failure}{{{labels}}}", f"{success}{{{labels}}} + {failure}{{{labels}}}"


SERVERS = (
    Server(
        "MLServer",
        _mlserver,
        *_apart(
            "model_infer_request_success_total", "model_infer_request_failure_total", 'model="$(MODEL_NAME)"'
        ),
        histogram='rest_server_request_duration_seconds{path="/v2/models/{model_name}/infer"}',
    ),
    Server(
        "Triton",
        _triton,
        *_apart("nv_inference_request_success", "nv_inference_request_failure", 'model="$(MODEL_NAME)"'),
    ),
    Server(
        "TensorFlow Serving",
        _tensorflow,
        ':tensorflow:serving:request_count{model_name="fraud",status!="OK"}',
        ':tensorflow:serving:request_count{model_name="fraud"}',
        "status",
    ),
    Server(
        "vLLM",
        _vllm,
        'http_requests_total{handler=~"/v1/.*",status="5xx"}',
        'http_requests_total{handler=~"/v1/.*"}',
        "status",
        "vllm:e2e_request_latency_seconds",
    ),
    Server(
        "TorchServe",
        _torchserve,
        'Requests5XX{Level="Host"}',
        'ts_inference_requests_total{model_name="$(MODEL_NAME)"} + Requests5XX{Level="Host"}',
    ),
    Server(
        "KServe",
        _kserve,
        'http_requests_total{handler="infer",status=~"5.."}',
        'http_requests_total{handler="infer"}',
        "status",
        'request_predict_seconds{model_name="$(MODEL_NAME)"}',
    ),
    Server(
        "BentoML",
        _bentoml,
        'bentoml_service_request_total{endpoint="/predict",http_response_code=~"5.."}',
        'bentoml_service_request_total{endpoint="/predict"}',
        "http_response_code",
        'bentoml_service_request_duration_seconds{endpoint="/predict"}',
    ),
    Server(
        "Ray Serve",
        _ray,
        'ray_serve_deployment_error_counter_total{deployment="fraud"}',
        'ray_serve_deployment_request_counter_total{deployment="fraud"}'
        ' + ray_serve_deployment_error_counter_total{deployment="fraud"}',
    ),
    Server(
        "OpenVINO", _openvino, *_apart("ovms_requests_success", "ovms_requests_fail", 'name="$(MODEL_NAME)"')
    ),
)
