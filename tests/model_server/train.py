"""Trains the two versions of the test model and writes them as ONNX with a sample request and its answers.

    pip install --require-hashes -r train-requirements.lock && python train.py

Version 1 is a logistic regression, version 2 a small neural network: more accurate on held-out rows, another
kind of model inside, and (what a canary of a good model needs) nearly the same distribution of scores.
The score is the probability that a tumour is benign (class 1). Same input, same bytes: nothing is random.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODELS = Path(__file__).parent / "models"
SEED = 0
SAMPLE_ROWS = 16
BINS = 10
CLASSIFIERS: dict[str, Any] = {
    "1": LogisticRegression(),
    "2": MLPClassifier(hidden_layer_sizes=(8,), alpha=1.0, max_iter=2000, random_state=SEED),
}


def train() -> None:
    """Writes models/1/model.onnx, models/2/model.onnx, models/request.json and models/metadata.json."""
    features, labels = load_breast_cancer(return_X_y=True)
    split = train_test_split(
        features.astype(np.float32), labels, test_size=0.3, random_state=SEED, stratify=labels
    )
    sample = split[1][:SAMPLE_ROWS]
    versions = {}
    histograms = {}
    for version, classifier in CLASSIFIERS.items():
        pipeline = make_pipeline(StandardScaler(), classifier).fit(split[0], split[2])
        held_out = pipeline.predict_proba(split[1])
        histograms[version] = np.cumsum(np.histogram(held_out[:, 1], BINS, (0, 1))[0]) / len(held_out)
        versions[version] = {
            "model": type(classifier).__name__,
            "heldOutRows": len(held_out),
            "accuracy": round(pipeline.score(split[1], split[3]), 4),
            "logLoss": round(log_loss(split[3], held_out), 4),
            "sampleScores": [round(float(score), 6) for score in pipeline.predict_proba(sample)[:, 1]],
        }
        _export(pipeline, sample, MODELS / version / "model.onnx")
    (MODELS / "request.json").write_text(json.dumps(_request(sample)) + "\n")
    distance = float(np.abs(histograms["1"] - histograms["2"]).max())
    (MODELS / "metadata.json").write_text(json.dumps(_metadata(versions, distance), indent=2) + "\n")


def _export(pipeline: Any, sample: np.ndarray[Any, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    options = {"zipmap": False}  # probabilities as a tensor, not a list of maps
    model = to_onnx(pipeline, sample[:1], options=options, name="breast-cancer", target_opset=18)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _request(sample: np.ndarray[Any, Any]) -> dict[str, Any]:
    """A body for `POST /v2/models/breast-cancer/infer`; one row of 30 numbers per tumour."""
    data = [round(float(value), 6) for value in sample.ravel()]
    return {
        "id": "sample",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": list(sample.shape), "data": data}],
    }


def _metadata(versions: dict[str, Any], distance: float) -> dict[str, Any]:
    return {
        "name": "breast-cancer",
        "dataset": "Breast Cancer Wisconsin (Diagnostic), as scikit-learn ships it: 569 rows, 30 features",
        "score": "probability of class 1, a benign tumour",
        "scoreDistance": round(distance, 4),
        "scoreDistanceMeans": f"largest difference of the two cumulative score histograms ({BINS} bins)",
        "versions": versions,
    }


if __name__ == "__main__":
    train()
