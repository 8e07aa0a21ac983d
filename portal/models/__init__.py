"""What the database keeps: one file per noun."""

from portal.models.api_key import ApiKey
from portal.models.audit import AuditEntry
from portal.models.base import Base, now, statement_time, utcnow
from portal.models.driver import Driver, DriverTest
from portal.models.identity import Revocation, SenderIdentity, VerificationMail
from portal.models.lane import Lane
from portal.models.log import LogEntry
from portal.models.message import IdempotencyKey, Message, MessageAttachment, MessageBody
from portal.models.tenant import Tenant
from portal.models.user import BurntToken, SignInLink, User

__all__ = [
    "ApiKey", "AuditEntry", "Base", "BurntToken", "Driver", "DriverTest", "IdempotencyKey", "Lane", "LogEntry",
    "Message", "MessageAttachment", "MessageBody", "Revocation",
    "SenderIdentity", "SignInLink", "Tenant", "User", "VerificationMail", "now", "statement_time", "utcnow",
]  # fmt: skip
