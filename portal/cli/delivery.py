"""`flask delivery`: how delivery is doing, and what to do about mail that was set aside or restored from a back-up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click
from flask.cli import AppGroup
from sqlalchemy.exc import SQLAlchemyError

from portal import job_queue, redis_client
from portal.cli.table import show_table
from portal.models import utcnow
from portal.models.driver import DriverState
from portal.services.delivery import after_restore, set_aside
from portal.services.operations import delivery_status, health_checks, heartbeat
from portal.services.operations.delivery_status import LaneView, Overview

_MOST_ROWS = 40

group = AppGroup("delivery", help="How delivery is doing.")


@group.command("status")
@click.option("--all", "everything", is_flag=True, help="Every route and lane, not only those with something to say.")
def status(everything: bool) -> None:
    """Show what waits, lanes, stopped and paused drivers, and processes. Exit code 1: something needs attention."""
    try:
        view: Overview | None = delivery_status.read()
    except SQLAlchemyError:
        view = None
    if view is not None:
        _show_waiting(view)
        _show_lanes(view, everything)
        _show_drivers(view)
        _show_set_aside(view)
    _show_processes(view is not None)
    sentences = health_checks.sentences(view)
    for sentence in sentences:
        click.echo(f"! {sentence}")
    if sentences:
        sys.exit(1)
    click.echo("All is well.")


def _show_waiting(view: Overview) -> None:
    rows = [
        (route, w.queued, w.deferred, w.held, w.sending, w.due, _seconds(w.oldest_due) if w.due else "-")
        for route, w in view.waiting.items()
    ]
    show_table(("route", "queued", "deferred", "held", "sending", "due", "oldest due"), rows, "No message waits.")


def _show_lanes(view: Overview, everything: bool) -> None:
    shown = [lane for lane in view.lanes if everything or lane.state != "free" or lane.failures]
    rows = [
        (lane.id, f"{lane.route}/{lane.number}", lane.state, _until(lane), lane.reason or "-", lane.failures)
        for lane in shown
    ]
    show_table(
        ("lane", "route", "state", "for", "reason", "failures"),
        rows if everything else rows[:_MOST_ROWS],
        f"All {len(view.lanes)} lanes are free.",
        left_out=0 if everything else max(0, len(rows) - _MOST_ROWS),
    )


def _show_drivers(view: Overview) -> None:
    still = [driver for driver in view.drivers if driver.state != DriverState.ACTIVE]
    rows = [(d.id, d.tenant_id, d.provider, d.state, d.reason or "-") for d in still]
    show_table(
        ("driver", "tenant", "provider", "state", "reason"), rows[:_MOST_ROWS],
        f"None of {len(view.drivers)} drivers is stopped or paused.", left_out=max(0, len(rows) - _MOST_ROWS),
    )  # fmt: skip


def _show_set_aside(view: Overview) -> None:
    rows = [
        (row.public_id, row.tenant_id, row.kind, row.route, row.releases, f"{row.since:%Y-%m-%d %H:%M}")
        for row in set_aside.listed(_MOST_ROWS)
    ]
    show_table(
        ("message", "tenant", "kind", "route", "deaths", "set aside"), rows, "No message is set aside.",
        left_out=max(0, view.set_aside - len(rows)),
    )  # fmt: skip


def _show_processes(database: bool) -> None:
    redis = redis_client.is_alive()
    age = heartbeat.clock_age()
    rows: list[tuple[object, ...]] = [
        ("database", "answers" if database else "does not answer"),
        ("redis", "answers" if redis else "does not answer"),
        ("clock", f"ticked {_seconds(age)} ago" if age is not None else "unknown"),
    ]
    for name in job_queue.QUEUES:
        workers, jobs = heartbeat.workers(name), heartbeat.jobs(name)
        told = f"{workers} alive, {jobs} jobs wait" if workers is not None else "unknown"
        rows.append((f"workers {name}", told))
    show_table(("process", "state"), rows)


def _until(lane: LaneView) -> str:
    if lane.seconds is None:
        return "-"
    return _seconds(lane.seconds) if lane.seconds >= 0 else f"{_seconds(-lane.seconds)} over"


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


@group.command("release")
@click.argument("message_ids", nargs=-1, required=True)
def release(message_ids: tuple[str, ...]) -> None:
    """Send messages again that were set aside, once the cause is fixed; `flask delivery status` lists them."""
    _decide(message_ids, set_aside.release, "Released")


@group.command("end")
@click.argument("message_ids", nargs=-1, required=True)
def end(message_ids: tuple[str, ...]) -> None:
    """End messages that were set aside: cancelled, or unconfirmed where an earlier copy may have arrived."""
    _decide(message_ids, set_aside.end, "Ended")


def _decide(message_ids: tuple[str, ...], act: Callable[[Sequence[str]], list[str]], done: str) -> None:
    """Exit code 1: some were not set aside."""
    acted = act(message_ids)
    click.echo(f"{done} {len(acted)} of {len(message_ids)} messages.")
    others = [message_id for message_id in message_ids if message_id not in acted]
    if others:
        raise click.ClickException(f"Not set aside: {', '.join(others)}")


@group.command("restored")
@click.option(
    "--before", type=click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]),
    help="Only messages accepted before this time (UTC); now if not given.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Don't ask.")
def end_unconfirmed(before: datetime | None, yes: bool) -> None:
    """After an older back-up was restored, before clock and workers start: end what was on its way as unconfirmed.

    It may have been sent since the back-up was made. Nothing of it is sent a second time unless somebody asks for it.
    """
    until = before.replace(tzinfo=UTC) if before else utcnow()
    count = after_restore.count(until)
    if not count:
        click.echo("No message accepted before then is on its way.")
        return
    if not yes:
        click.confirm(f"End {count} messages as unconfirmed? This can't be undone.", abort=True)
    try:
        click.echo(f"Ended {after_restore.end_unconfirmed(until)} messages as unconfirmed.")
    except after_restore.StillWorking:
        raise click.ClickException(
            "A lane is leased: stop clock and workers first, or wait three minutes after restoring."
        ) from None
