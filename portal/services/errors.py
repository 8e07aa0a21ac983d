"""What a service refuses, typed, so that nobody has to read a sentence to know."""

from __future__ import annotations

from datetime import datetime


class ServiceError(Exception):
    """The base of all refusals."""


class NotFound(ServiceError):
    """No such thing within this tenant; `what`: message or tenant, for which the answer has words of its own.

    What is called `get` raises this, what is called `find` returns None; portal.views.errors makes it a 404.
    """

    def __init__(self, what: str = "") -> None:
        super().__init__(what)
        self.what = what


class InvalidFields(ServiceError):
    """Values that can't be used: `errors` are (field, reason) pairs, where a reason is the key of a sentence."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(", ".join(f"{field}: {reason}" for field, reason in errors))
        self.errors = errors


class InvalidField(InvalidFields):
    """Only one of them."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__([(field, reason)])
        self.field = field
        self.reason = reason


class NotPending(ServiceError):
    """There is nothing to confirm, resend or cancel any more."""


class NotResendable(ServiceError):
    """The message can't be sent again.

    `reason`: not_ended, kind, gone (its text is no longer stored), copy_not_ended, often (there are as many copies as
    there may be).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotVerified(ServiceError):
    """The address was never verified by this tenant."""


class SendLimit(ServiceError):
    """Too much mail of this kind to a mailbox or by a tenant; the next is possible at `next_at` (UTC)."""

    def __init__(self, next_at: datetime) -> None:
        super().__init__(f"next at {next_at.isoformat()}")
        self.next_at = next_at


class LinkSent(SendLimit):
    """A sign-in link for this address was asked for at `sent_at` (UTC) and is good until the next is possible."""

    def __init__(self, sent_at: datetime, next_at: datetime) -> None:
        super().__init__(next_at)
        self.sent_at = sent_at


class TakenBack(ServiceError):
    """Whoever reads this mailbox, or support, took it back from the tenant, which may ask again at `until` (UTC)."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"until {until.isoformat()}")
        self.until = until


class LastAdmin(ServiceError):
    """Without this person nobody could change the tenant's settings."""


class LaunchRefused(ServiceError):
    """A launch token that isn't accepted; `reason` says why.

    expired, future, used, invalid, incomplete, role, plan; suspended: its shop is; removed: its person was, since.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.parent: str | None = None  # the signed one, where the signature was good


class NoLaunchSecret(ServiceError):
    """Launches are signed with the platform's own key (PORTAL_LAUNCH_JWKS), so that none can be made here."""


class Busy(ServiceError):
    """Somebody else holds what is needed for longer than a request waits; nothing was changed."""


class NotCancellable(ServiceError):
    """It is too late to withdraw the message; `state` says what became of it."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class PlanLocked(ServiceError):
    """The tenant's plan does not have this feature."""

    def __init__(self, feature: str) -> None:
        super().__init__(feature)
        self.feature = feature


class AlreadyTesting(ServiceError):
    """A test of this tenant's settings is under way."""


class TooManyRefusals(SendLimit):
    """The passwords that were tried were refused too often; the next may be tried at `next_at` (UTC)."""


class SettingsUntested(ServiceError):
    """These settings can't be saved; `reason`: missing (never passed), changed (after it passed), expired."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EditConflict(ServiceError):
    """Somebody else saved meanwhile; `fields` differ from what this page was made from."""

    def __init__(self, by: str, fields: list[str]) -> None:
        super().__init__(by)
        self.by = by
        self.fields = fields
