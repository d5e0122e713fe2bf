"""When log, graph and segments are compared without being asked for, and who is told of it."""

import asyncio
from contextlib import aclosing

import structlog
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, Clock, iso
from eil_mesh.errors import EilError

from eil_atlas.consistency import Finding, Part, Scope, Summary, Validator

log = structlog.get_logger("eil.atlas")


async def verify_for_ever(validator: Validator, clock: Clock, every_s: float, since_s: float, *, repair: bool) -> None:
    """Verify every tenant's hours of the time since, again and again; say what is found in the log and the metrics."""
    while every_s:
        await asyncio.sleep(every_s)
        since_us = max(1, clock.now_us() - round(since_s * MICROSECONDS))
        try:
            summary = await verify_once(validator, Scope(since_us=since_us, repair=repair, take_away=False))
        except EilError as error:
            log.warning("log, graph and segments were not compared", reason=error.reason, cause=error.message)
            continue
        if summary.findings == summary.repaired:
            metrics.CONSISTENCY_CLEAN.set(clock.now_us() / MICROSECONDS)


async def verify_once(validator: Validator, scope: Scope) -> Summary:
    """Verify a scope, and tell of it. Raises as `Validator.run`."""
    summary = Summary()
    async with aclosing(validator.run(scope)) as parts:
        async for part in parts:
            note(part)
            summary = part if isinstance(part, Summary) else summary
    return summary


def note(part: Part) -> None:
    """Say it in the log and the metrics."""
    if isinstance(part, Finding):
        metrics.CONSISTENCY_FINDINGS.labels(part.kind.name.lower()).inc()
        hour, repaired = part.hour, part.repaired
        about = {"tenant": hour.tenant, "source": hour.source, "hour": iso(hour.begin_us), "repaired": repaired}
        log.error("not what the log says", kind=part.kind.name, what=part.message, **about)
    elif isinstance(part, Summary):
        metrics.CONSISTENCY_HOURS.inc(part.hours)
