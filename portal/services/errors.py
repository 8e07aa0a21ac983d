"""What a service refuses, typed, so that nobody has to read a sentence to know."""

from __future__ import annotations

from datetime import datetime


class ServiceError(Exception):
    """The base of all refusals."""


class NotFound(ServiceError):
    """No such thing within this tenant."""


class InvalidField(ServiceError):
    """A value that can't be used; `reason` is the key of the sentence shown at `field`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class InvalidSender(InvalidField):
    """An address or display name that can't become a sender identity."""


class NotPending(ServiceError):
    """There is nothing to confirm, resend or cancel any more."""


class NotVerified(ServiceError):
    """The address was never verified by this tenant."""


class SendLimit(ServiceError):
    """Too many verification mails; the next is possible at `next_at` (UTC)."""

    def __init__(self, next_at: datetime) -> None:
        super().__init__(f"next at {next_at.isoformat()}")
        self.next_at = next_at


class LaunchRefused(ServiceError):
    """A launch token that isn't accepted; `reason` says why: expired, future, used, invalid, incomplete, role, plan."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.parent: str | None = None  # the signed one, where the signature was good


class IdempotencyConflict(ServiceError):
    """The same Idempotency-Key came with another body."""
