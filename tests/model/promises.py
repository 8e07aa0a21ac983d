"""What must hold: after each commit, at each final dot, and once everything has come to rest (docs/reliability.md)."""

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from portal.models.message import ENDED, WAITING
from tests.model.connection import Kind

if TYPE_CHECKING:
    from tests.model.world import Actor, World

_LAST_WORD = {
    "sent": {"sent"}, "failed": {"failed"}, "unconfirmed": {"unconfirmed"}, "cancelled": {"cancelled"},
    "held": {"held"}, "deferred": {"deferred"}, "queued": {"queued", "released", "ambiguous", "resumed"},
}  # fmt: skip
_MESSAGES = "SELECT id, to_address, state, attempt, lane_id, dot_at IS NOT NULL, reason FROM message"
_LANES = "SELECT id, lease_token, leased_until FROM lane"
_DUE = """
SELECT route, tenant_id, min(due_at) FROM message WHERE state IN ('queued', 'deferred') GROUP BY route, tenant_id
"""
_BUSY = "SELECT route, lease_token, leased_until, not_before FROM lane"
_REFUSED = "SELECT route, tenant_id, not_before FROM refusal WHERE not_before IS NOT NULL"


class Row(NamedTuple):
    id: int
    recipient: str
    state: str
    attempt: int
    lane_id: int | None
    dot: int
    reason: str | None


class Holder(NamedTuple):
    token: str | None
    until: str | None


class Promises:
    def __init__(self, world: "World") -> None:
        self.world = world
        self.broken: list[str] = []
        self.commits = 0
        self._rows: dict[int, Row] = {}
        self._lanes: dict[int, Holder] = {}
        self._claimed: dict[int, Actor] = {}  # who has claimed a message last

    def look(self) -> None:
        database = self.world.laboratory.database
        self._rows = {row[0]: Row._make(row) for row in database.execute(_MESSAGES)}
        self._lanes = {row[0]: Holder(row[1], row[2]) for row in database.execute(_LANES)}

    def moments(self) -> list[int]:
        """When the database has something to be done next; what is past waits for a clock."""
        database, until = self.world.laboratory.database, self.world.time.until
        waits = {(route, tenant): until(at) for route, tenant, at in database.execute(_REFUSED)}
        due: dict[str, int] = {}
        for route, tenant, at in database.execute(_DUE):
            due[route] = min(due.get(route, sys.maxsize), max(until(at), waits.get((route, tenant), 0)))
        found, free = [], dict.fromkeys(due, sys.maxsize)
        for route, token, leased_until, not_before in database.execute(_BUSY):
            leased = until(leased_until) if token else 0
            found += [leased] if token else []
            if route in free:
                free[route] = min(free[route], max(leased, until(not_before) if not_before else 0))
        return found + [max(due[route], free[route]) for route in due]

    def all_sent(self) -> bool:
        return all(row.state == "sent" for row in self._rows.values())

    # While it runs

    def writes(self, actor: "Actor", before: list[Kind], kind: Kind) -> None:
        """Every transaction takes its lane before its messages, and many lanes before its own."""
        if kind.table != "lane":
            return
        has_lane = any(one.table == "lane" for one in before)
        if any(one.table == "message" for one in before) and not (has_lane and kind.one):
            self.world.break_off(f"{actor.name} wrote to a message before its lane")
        if not kind.one and any(one.table == "lane" and one.one for one in before):
            self.world.break_off(f"{actor.name} wrote to its own lane before all of its route")

    def committed(self, actor: "Actor") -> None:
        rows, lanes = self._rows, self._lanes
        self.commits += 1
        self.look()
        for lane_id, now in self._lanes.items():
            self._lane(actor, lane_id, lanes.get(lane_id, Holder(None, None)), now)
        for row in self._rows.values():
            if row != rows.get(row.id):
                self._message(actor, rows.get(row.id), row, lanes)
        for gone in rows.keys() - self._rows.keys():
            self.world.break_off(f"{rows[gone].recipient} is gone")
        dots = Counter(row.lane_id for row in self._rows.values() if row.state == "sending" and row.dot)
        if dots and max(dots.values()) > 1:
            self.world.break_off("a lane has two mails at their dot")

    def _lane(self, actor: "Actor", lane_id: int, before: Holder, now: Holder) -> None:
        if before.token == now.token:
            return
        if before.token is None:
            if actor.lane_id == lane_id:
                actor.token = now.token
            self.world.say(f"takes lane {lane_id}")
        elif actor.token != before.token and self._is_valid(before):
            self.world.break_off(f"{actor.name} ended a lease of lane {lane_id} that had not run out")
        else:
            self.world.say(f"lane {lane_id} is free")

    def _message(self, actor: "Actor", before: Row | None, now: Row, lanes: dict[int, Holder]) -> None:
        said = f"{now.recipient} {now.state}{' (dot)' if now.dot and now.state == 'sending' else ''}"
        self.world.say(f"{said} {now.reason or ''}")
        if before is None:
            return
        if before.state in ENDED:
            self.world.break_off(f"{actor.name} changed {now.recipient}, which had ended as {before.state}")
        if actor.lane_id is not None and before.state == "sending":
            held = lanes.get(before.lane_id or 0, Holder(None, None))
            mine = before.lane_id == actor.lane_id and held.token is not None and held.token == actor.token
            if not mine or not self._is_valid(held):
                self.world.break_off(f"{actor.name} wrote to {now.recipient}, which was not its own any more")
        if now.state == "sending" and before.state != "sending":
            self._claimed[now.id] = actor
            held = self._lanes.get(now.lane_id or 0, Holder(None, None))
            if now.lane_id != actor.lane_id or held.token != actor.token or now.attempt != before.attempt + 1:
                self.world.break_off(f"{actor.name} claimed {now.recipient} without a lease")
        if now.state == "sent" and now.recipient not in {kept.recipient for kept in self.world.server.kept}:
            self.world.break_off(f"{now.recipient} is sent, and the server hasn't taken it")

    def at_the_dot(self, actor: "Actor", recipient: str) -> None:
        """The mail's last bytes are leaving: it must be the actor's, at its dot, under a lease that lasts."""
        self.look()
        row = next((row for row in self._rows.values() if row.recipient == recipient), None)
        lane = self._lanes.get(actor.lane_id or 0, Holder(None, None))
        if row is None or row.state != "sending" or not row.dot or self._claimed.get(row.id) is not actor:
            self.world.break_off(f"{actor.name} sent {recipient}, which was not its own any more")
        elif lane.token != actor.token or not self._is_valid(lane):
            self.world.break_off(f"{actor.name} sent {recipient} after its lease had ended")

    def lease_left(self, actor: "Actor") -> int:
        """Milliseconds that the lease of a drain lasts; 0 where it has none."""
        lane = self._lanes.get(actor.lane_id or 0, Holder(None, None))
        if lane.token is None or lane.token != actor.token or lane.until is None:
            return 0
        return max(0, self.world.time.until(lane.until) - self.world.time.ms)

    def _is_valid(self, lane: Holder) -> bool:
        return lane.until is not None and self.world.time.until(lane.until) > self.world.time.ms

    # At the end

    def at_the_end(self) -> None:
        self.look()
        copies = Counter(kept.recipient for kept in self.world.server.kept)
        logs: dict[int, list[str]] = {}
        for message_id, event in self.world.laboratory.database.execute(
            "SELECT message_id, event FROM log_entry ORDER BY id"
        ):
            logs.setdefault(message_id, []).append(event)
        for row in self._rows.values():
            self._message_at_the_end(row, copies[row.recipient], logs.get(row.id, []))
        for lane_id, lane in self._lanes.items():
            if lane.token is not None:
                self.world.break_off(f"lane {lane_id} is leased for ever")
        for error in self.world.laboratory.errors():
            self.world.break_off(f"the engine met a defect: {error}")

    def _message_at_the_end(self, row: Row, copies: int, log: list[str]) -> None:
        say = lambda text: self.world.break_off(f"{row.recipient} {text}; its log: {', '.join(log)}")  # noqa: E731
        flags = log.count("ambiguous")
        if row.state in (*WAITING, "sending"):
            say(f"is still {row.state}")
        if not log or log[-1] not in _LAST_WORD.get(row.state, {row.state}):
            say(f"is {row.state}")
        if row.state == "sent" and copies == 0:
            say("is lost")
        if copies > 1 + (flags > 0):
            say(f"arrived {copies} times")
        if row.state in ("failed", "held", "cancelled") and copies and not flags:
            say(f"is {row.state} and arrived")
        if flags > 1 or log.count("sent") > 1:
            say("says the same twice")
        same = {(kept.message_id, kept.content) for kept in self.world.server.kept if kept.recipient == row.recipient}
        if len(same) > 1:
            say("arrived with other bytes")
        self._poison_at_the_end(row, copies, say)

    def _poison_at_the_end(self, row: Row, copies: int, say: Any) -> None:
        world = self.world
        if row.recipient in world.poison:
            if copies or row.state not in ("held", "cancelled", "failed", "unconfirmed"):
                say(f"kills its process, and is {row.state}")
            return
        # Deaths from outside may meet the only message that there is three times.
        excused = world.kills or world.freezes
        if row.state == "held" and not (row.reason == "set_aside" and excused):
            say(f"is held ({row.reason})")
        if world.plan.clock_is_away and row.state != "sent":
            say("needs the clock to be sent")
