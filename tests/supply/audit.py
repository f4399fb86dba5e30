"""`make audit`: what is asked of the source, the Dockerfiles, the workflows and everything that is pinned."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from supply import licences, locks, vulnerabilities

BIN = Path(sys.executable).parent
PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one question came to: nothing said against us is good only if all was checked."""

    question: str
    looked_at: str
    problems: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()


def offline(root: Path = locks.ROOT) -> list[Answer]:
    """The questions that need no network; seconds."""
    return [source(root), dockerfiles(root), workflows(root), digests(), licences_of_image()]


def online() -> list[Answer]:
    """The questions to a vulnerability service."""
    return [known_vulnerabilities(lock) for lock in locks.LOCKS]


def source(root: Path) -> Answer:
    """Ruff's security rules, which are those of bandit."""
    problems = _problems(
        [str(BIN / "ruff"), "check", "--select=S", "--output-format=concise", "--quiet", str(root)]
    )
    return Answer(question="ruff, rules S", looked_at="all Python source", problems=problems)


def dockerfiles(root: Path) -> Answer:
    """Hadolint on every Dockerfile that is committed."""
    found = [root / name for name in _committed(root, "*Dockerfile")]
    command = [str(BIN / "hadolint"), "--no-color", f"--config={root / '.hadolint.yaml'}"]
    problems = _problems([*command, *map(str, found)], len(found))
    return Answer(question="hadolint", looked_at=f"{len(found)} Dockerfiles", problems=problems)


def workflows(root: Path) -> Answer:
    """Zizmor on the workflows: among others that actions are pinned by commit and tokens have no right too many."""
    folder = root / ".github"
    found = sorted(folder.rglob("*.y*ml"))
    command = [
        str(BIN / "zizmor"),
        "--offline",
        "--no-progress",
        "--persona=pedantic",
        "--format=plain",
        "--color=never",
    ]
    problems = _problems([*command, str(folder)], len(found))
    return Answer(question="zizmor", looked_at=f"{len(found)} files in .github", problems=problems)


def digests() -> Answer:
    """That pip accepts nothing but what is pinned by digest."""
    try:
        counts = [f"{len(locks.read(lock))} in {lock.name}" for lock in locks.LOCKS]
    except ValueError as error:
        return Answer(question="digests", looked_at="lock files", problems=(str(error),))
    return Answer(question="digests", looked_at=", ".join(counts))


def licences_of_image() -> Answer:
    """That no package of the images has an unknown licence, or one that binds us further than we want."""
    pins = list(dict.fromkeys([*locks.of_image(), *locks.of_image(locks.FETCH)]))
    return Answer(
        question="licences",
        looked_at=f"{len(pins)} packages of the images",
        problems=tuple(licences.not_allowed(pins)),
    )


def known_vulnerabilities(
    lock: Path, look_up: Callable[[Path], vulnerabilities.Findings] | None = None
) -> Answer:
    """What a vulnerability service has against the packages of a lock file."""
    findings = (look_up or vulnerabilities.look_up)(lock)
    return Answer(
        question="pip-audit",
        looked_at=f"{findings.checked} packages of {lock.name}",
        problems=findings.found,
        not_checked=findings.not_checked,
    )


def exit_code(answers: list[Answer]) -> int:
    """1 if there is a problem, else 3 if something could not be checked, else 0."""
    if any(answer.problems for answer in answers):
        return 1
    return 3 if any(answer.not_checked for answer in answers) else 0


def report(answers: list[Answer]) -> str:
    """A line for each question; below it what is wrong, and what nobody has checked."""
    lines = []
    for answer in answers:
        state = "PROBLEMS" if answer.problems else "NOT CHECKED" if answer.not_checked else "good"
        lines.append(f"{answer.question:<14} {state:<12} {answer.looked_at}")
        lines += [f"    {problem}" for problem in answer.problems[:PROBLEMS_SHOWN]]
        if answer.not_checked:
            first, more = answer.not_checked[:5], len(answer.not_checked) - 5
            lines.append(f"    not checked: {', '.join(first)}{f' and {more} more' if more > 0 else ''}")
    return "\n".join(lines)


def _problems(command: list[str], inputs: int = 1) -> tuple[str, ...]:
    """Lines that a linter prints when it is not content. One that has nothing to check is not content either."""
    if not inputs:
        return (f"{Path(command[0]).name} has nothing to check",)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.returncode:
        return ()
    lines = (done.stdout or done.stderr).splitlines()
    return tuple(line for line in lines if line.strip()) or (f"exit code {done.returncode}",)


def _committed(root: Path, pattern: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", pattern], cwd=root, capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines()
