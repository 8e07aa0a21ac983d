"""What the database keeps: one file per noun."""

from portal.models.api_key import ApiKey
from portal.models.audit import AuditEntry
from portal.models.base import Base, now, statement_time, utcnow
from portal.models.driver import Driver, DriverTest, RefusedSignIn
from portal.models.identity import Revocation, SenderIdentity
from portal.models.lane import Lane
from portal.models.log import LogEntry
from portal.models.mail_count import MailCount
from portal.models.message import IdempotencyKey, Message, MessageAttachment, MessageBody
from portal.models.refusal import Refusal
from portal.models.tenant import Tenant, TenantUsage
from portal.models.time_watch import TimeWatch
from portal.models.user import BurntToken, EndedSession, Removal, SignInLink, User

__all__ = [
    "ApiKey", "AuditEntry", "Base", "BurntToken", "Driver", "DriverTest", "EndedSession", "IdempotencyKey", "Lane",
    "LogEntry", "MailCount", "Message", "MessageAttachment", "MessageBody", "Refusal", "RefusedSignIn",
    "Removal", "Revocation", "SenderIdentity", "SignInLink", "Tenant", "TenantUsage", "TimeWatch", "User",
    "now", "statement_time", "utcnow",
]  # fmt: skip
