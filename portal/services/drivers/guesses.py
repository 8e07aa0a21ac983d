"""How often passwords may be tried at providers: after some refusals an account, and a shop, has to wait, ever longer.

An account is counted over all shops, or many shops could guess one password. Whose own account it is, saved by a test
that passed, has a count of its own, so that nobody else's guesses keep a shop from repairing its mail service.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, update

from portal import providers
from portal.config import settings
from portal.db.transaction import serialize, transaction
from portal.models import Driver, DriverTest, RefusedSignIn, Tenant, utcnow
from portal.services.drivers import lifecycle
from portal.services.drivers.settings import DriverSettings
from portal.services.errors import TooManyRefusals

KEPT = timedelta(days=1)  # after the last refusal all are forgotten
_FIRST_WAIT = timedelta(minutes=1)  # doubled by each refusal after it
_LONGEST_WAIT = timedelta(minutes=30)
_FREE_OF_ACCOUNT = 3  # refusals before anybody has to wait: typing errors
_FREE_OF_SHOP = 6  # a shop may have more than one account to try

Account = DriverSettings | DriverTest | Driver


@dataclass(frozen=True)
class _Count:
    key: str
    free: int

    def next_at(self, refusals: int) -> datetime:
        wait = _FIRST_WAIT * 2 ** min(refusals - self.free, 10) if refusals >= self.free else timedelta()
        return utcnow() + min(wait, _LONGEST_WAIT)


def count(tenant: Tenant, account: Account) -> None:
    """Count an attempt as if it were refused, before it is made. Raises TooManyRefusals if it has to wait."""
    with transaction() as session:
        counts = _counts(tenant, account)
        for one in counts:  # the account's first, in every transaction: no two wait for each other
            serialize(one.key)
        known = {one.key: session.get(RefusedSignIn, one.key, populate_existing=True) for one in counts}
        waits = [row.next_at for row in known.values() if row is not None and row.next_at > utcnow()]
        if waits:
            raise TooManyRefusals(max(waits))
        for one in counts:
            row = known[one.key]
            if row is None:
                row = RefusedSignIn(key=one.key, refusals=0, at=utcnow())
                session.add(row)
            refusals = 1 if row.at < utcnow() - KEPT else row.refusals + 1
            row.refusals, row.at, row.next_at = refusals, utcnow(), one.next_at(refusals)


def take_back(tenant: Tenant, account: Account) -> None:
    """The attempt didn't come to a refusal of the password, so it doesn't count."""
    with transaction() as session:
        for one in _counts(tenant, account):
            session.execute(
                update(RefusedSignIn)
                .where(RefusedSignIn.key == one.key)
                .values(
                    refusals=case((RefusedSignIn.refusals > 0, RefusedSignIn.refusals - 1), else_=0),
                    next_at=utcnow(),
                )
            )


def forget(tenant: Tenant, account: Account) -> None:
    """The password is right: the account's refusals are history."""
    with transaction() as session:
        take_back(tenant, account)
        session.execute(delete(RefusedSignIn).where(RefusedSignIn.key == _counts(tenant, account)[0].key))


def _counts(tenant: Tenant, account: Account) -> tuple[_Count, _Count]:
    """Where an attempt at this account counts: the account's own, and the shop's."""
    provider = providers.by_host(account.host)
    where = provider.key if provider is not providers.OTHER else account.host.lower()
    driver = lifecycle.find(tenant)
    mine = driver is not None and (driver.host, driver.username) == (account.host, account.username)
    whose = str(tenant.id) if mine else "all"
    return (
        _Count(_digest("account", where, _name(account.username), whose), _FREE_OF_ACCOUNT),
        _Count(_digest("shop", str(tenant.id)), _FREE_OF_SHOP),
    )


def _name(username: str) -> str:
    """Return what all ways to write a username have in common: at Gmail s.hop+1@ is shop@, and in case few differ.

    Elsewhere two accounts may share a count by it, which costs one of them some minutes at most.
    """
    local, at, domain = username.lower().partition("@")
    return local.partition("+")[0].replace(".", "") + at + domain


def _digest(*parts: str) -> str:
    """The table tells nobody whose account was tried (HMAC-SHA256, RFC 2104)."""
    key = hashlib.sha256(b"refused-sign-in:" + settings().secret_key.encode()).digest()
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()
