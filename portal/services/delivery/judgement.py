"""Whom a refusal concerns: its mail alone, the whole route, or perhaps the route (docs/decisions/0018).

The answer for "perhaps" is another mail's: see portal.services.routing.refusals.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from portal.db.transaction import read
from portal.models.route import Route
from portal.reasons import Reason
from portal.services.delivery import claims, outcomes
from portal.services.delivery.outcomes import Attempt
from portal.services.delivery.prepare import Outgoing
from portal.services.routing import refusals
from portal.transport.base import Action, TransportFailure

# A route that fails so many messages in a row by a 5yz that nobody knows may be out of order: not their recipients.
_UNKNOWN_IN_A_ROW = 3
# What a provider says of the account itself, whatever mail met it.
_OF_THE_ACCOUNT = (Reason.QUOTA_DAILY, Reason.TOO_MANY_CONNECTIONS)


class Concerns(Enum):
    MAIL = auto()
    ROUTE = auto()
    PERHAPS_ROUTE = auto()


def concerns(outgoing: Outgoing, failure: TransportFailure, claimed: Iterable[Attempt]) -> Concerns:
    """Say whom the refusal concerns of a mail whose session was open. `claimed`: what the drain holds besides."""
    verdict = failure.verdict
    if verdict.action == Action.BACKOFF_DRIVER:
        return Concerns.ROUTE if _is_the_routes(outgoing, failure, claimed) else Concerns.PERHAPS_ROUTE
    if verdict.action != Action.FAIL_MESSAGE or verdict.reason != Reason.UNKNOWN:
        return Concerns.MAIL
    before = outcomes.last_unknown(outgoing.attempt.lease.route, _UNKNOWN_IN_A_ROW - 1)
    if not before:
        return Concerns.MAIL
    met = any(_is_another(outgoing, *other) for other in before) or _was_met(outgoing)
    return Concerns.ROUTE if met else Concerns.PERHAPS_ROUTE


def others(route: Route, tenant_id: int, claimed: Iterable[Attempt]) -> list[Attempt]:
    """Those of the claimed that can tell more: another tenant's; on a tenant's own route any, for its recipient."""
    return [one for one in claimed if route.driver_id is not None or one.tenant_id != tenant_id]


def _is_the_routes(outgoing: Outgoing, failure: TransportFailure, claimed: Iterable[Attempt]) -> bool:
    route, tenant_id, recipient = _about(outgoing)
    if route.driver_id is not None and failure.verdict.reason in _OF_THE_ACCOUNT:
        return True
    if _was_met(outgoing):
        return True
    if not failure.closing or others(route, tenant_id, claimed):
        return False
    # It ends the session, so it means more than this mail; and is there another to ask, or was one sent meanwhile?
    if claims.is_due_for_another(route, tenant_id, recipient):
        return False
    with read():
        return not refusals.was_refuted(route, tenant_id)


def _was_met(outgoing: Outgoing) -> bool:
    with read():
        return refusals.was_met_by_another(*_about(outgoing))


def _is_another(outgoing: Outgoing, tenant_id: int, recipient: str) -> bool:
    route, own_tenant_id, own_recipient = _about(outgoing)
    is_another_tenants = route.driver_id is not None or tenant_id != own_tenant_id
    return is_another_tenants and recipient.lower() != own_recipient.lower()


def _about(outgoing: Outgoing) -> tuple[Route, int, str]:
    attempt = outgoing.attempt
    return attempt.lease.route, attempt.tenant_id, outgoing.message.to_address
