"""The options of `modelward backtest` that say where history is, as what they mean."""

import asyncio
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from modelward.clients.prometheus import Prometheus
from modelward.errors import InvalidSettings
from modelward.sampling.queries import LabelNames
from modelward_cli.backtest.history import History, Period
from modelward_cli.backtest.subject import Asked, from_manifest, from_selectors

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_INTERVAL: Final = 300.0


def record(options: dict[str, Any], sink: IO[bytes]) -> None:
    """Write what the options ask for to `sink`. Raises InvalidSettings, MetricsUnknown."""
    asked, period = _asked(options), _period(options, time.time())
    asyncio.run(_recorded(asked, period, options, sink))


async def _recorded(asked: Asked, period: Period, options: dict[str, Any], sink: IO[bytes]) -> None:
    server = _server(options)
    labels = LabelNames(pod=options["pod_label"], namespace=options["namespace_label"])
    try:
        await History(server=server, labels=labels, asked=asked, period=period).record(sink.write)
    finally:
        await server.close()


def _server(options: dict[str, Any]) -> Prometheus:
    try:
        return Prometheus(
            name="--prometheus",
            url=options["prometheus"],
            token_file=options["token_file"],
            ca_file=options["ca_file"],
            timeout=options["timeout_seconds"],
            limit=64 * 1024 * 1024,
        )
    except OSError as error:
        raise InvalidSettings(f"--ca-file {options['ca_file']}: {error}") from error


def _asked(options: dict[str, Any]) -> Asked:
    namespace, model, manifest = options["namespace"], options["model"], options["manifest"]
    if manifest:
        return from_manifest(_text(manifest), namespace, model)
    if not namespace or not model:
        raise InvalidSettings("say which model: --manifest, or --namespace and --model")
    names = {"hits": "errors_hits", "total": "errors_total", "histogram": "latency_histogram"}
    selectors = {name: options[option] for name, option in names.items()}
    return from_selectors(namespace, model, {**selectors, "unit": options["latency_unit"]})


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{file}: {error}") from error


def _period(options: dict[str, Any], now: float) -> Period:
    start, end = moment(options["start"], now), moment(options["end"] or "0s", now)
    if start >= end:
        raise InvalidSettings("--from must be before --to")
    if not 1 <= options["interval"] <= _LONGEST_INTERVAL:
        raise InvalidSettings(f"--interval must be from 1 to {_LONGEST_INTERVAL:g} seconds")
    if options["canary"] and not options["stable"]:
        raise InvalidSettings("--canary needs --stable, too")
    return Period(
        start=start,
        end=end,
        interval=options["interval"],
        stable=options["stable"],
        canary=options["canary"],
        weight_percent=options["weight_percent"],
    )


def moment(text: str, now: float) -> float:
    """Unix seconds of `7d` (so long ago), `2026-11-22T10:00:00Z` or `1763800000`. Raises InvalidSettings."""
    if found := _AGO.fullmatch(text):
        return now - float(found[1]) * _SECONDS[found[2]]
    try:
        return float(text)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidSettings(
            f"{text!r} is no time: 7d, 36h or 90m ago, 2026-11-22T10:00:00Z, or Unix seconds"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
