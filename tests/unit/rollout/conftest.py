"""A judge that says what a test wants it to say: what follows from a verdict is decided here, not the verdict."""

from collections.abc import Callable

import pytest

from modelward.analysis import judge
from modelward.analysis.verdict import Assessment, Verdict

Says = Callable[..., None]


@pytest.fixture
def judge_says(monkeypatch: pytest.MonkeyPatch) -> Says:
    """Let the judge give this verdict from now on."""

    def says(verdict: Verdict, **facts: object) -> None:
        message = f"The judge says {verdict}."
        answer = Assessment(**{"verdict": verdict, "odds": 1.0, "message": message, **facts})  # type: ignore[arg-type]
        monkeypatch.setattr(judge, "assess", lambda *_: answer)

    return says
