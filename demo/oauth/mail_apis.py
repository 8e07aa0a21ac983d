"""Stand-ins for the Gmail API and Microsoft Graph: they take a mail as MIME and put it into the demo's inbox."""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import formataddr, getaddresses
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, jsonify, request

from demo.oauth import answers
from demo.oauth.brands import GOOGLE, Person
from demo.oauth.faults import CUT, LOST, SLOW, Fault
from demo.oauth.token_endpoints import bearer, cut

if TYPE_CHECKING:
    from demo.oauth.provider import Provider

MOST_OCTETS = {"gmail": 35_000_000, "microsoft365": 4_000_000}
_GOOGLE_NEEDS = Fault("", 403, "insufficientPermissions", "Request had insufficient authentication scopes.")
_GRAPH_NEEDS = Fault("", 403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
_GOOGLE_TOKEN = Fault("", 401, "authError", "Invalid Credentials")
_GRAPH_TOKEN = Fault("", 401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
_NOBODY = {
    "gmail": Fault("", 400, "invalidArgument", "Recipient address required"),
    "microsoft365": Fault("", 400, "ErrorInvalidRecipients", "At least one recipient is not valid."),
}
_NOT_BASE64 = Fault("", 400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
_SEND_AS = Fault("", 403, "ErrorSendAsDenied", "The user account which was used to submit this request does not have "
    "the right to send mail on behalf of the specified sending account.")  # fmt: skip
_TOO_LARGE = Fault("", 413, "RequestEntityTooLarge", "The request is too large.")
_CROWDED = Fault("", 429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.", waits=True)


def blueprint(app: Flask, provider: Provider) -> Blueprint:
    part = Blueprint(f"{provider.brand.path}_mail", __name__)
    (_gmail if provider.brand is GOOGLE else _graph)(part, provider)
    return part


def _gmail(part: Blueprint, provider: Provider) -> None:
    @part.post(provider.brand.paths["send"].partition("?")[0])
    def send_media() -> Response:
        """The mail as it is, `uploadType=media`."""
        if request.args.get("uploadType") != "media" or request.mimetype != "message/rfc822":
            return answers.api_error(provider, Fault("", 400, "badContent", "Media type is not supported."))
        return _send(provider, request.get_data())

    @part.post("/gmail/v1/users/me/messages/send")
    def send_raw() -> Response:
        """The mail as base64url in JSON."""
        try:
            raw = str((request.get_json(silent=True) or {}).get("raw", ""))
            return _send(provider, base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
        except (binascii.Error, ValueError):
            return answers.api_error(provider, Fault("", 400, "invalidArgument", "Invalid value for ByteString"))


def _graph(part: Blueprint, provider: Provider) -> None:
    @part.post(provider.brand.paths["send"])
    def send_mail() -> Response:
        """The mail's base64 as plain text."""
        if request.mimetype != "text/plain":
            return answers.api_error(provider, Fault("", 400, "BadRequest", "Unable to read JSON request payload."))
        try:
            return _send(provider, base64.b64decode(request.get_data(), validate=True))
        except binascii.Error:
            return answers.api_error(provider, _NOT_BASE64)

    @part.get(provider.brand.paths["account"])
    def me() -> Response:
        provider.count("account")
        fault = provider.moods.fault("sending")
        if fault and (fault.html or fault.status in (401, 404, 429, 503)):
            return answers.api_error(provider, fault)
        known = provider.access(bearer())
        if not known:
            return answers.api_error(provider, _GRAPH_TOKEN)
        person, token = known
        if "https://graph.microsoft.com/User.Read" not in token.scope.split():
            return answers.api_error(provider, _GRAPH_NEEDS)
        claims = provider.claims(person, "")
        return jsonify(displayName=person.name, mail=person.address, userPrincipalName=person.address, id=claims["oid"])


def _send(provider: Provider, content: bytes) -> Response:
    provider.count("send")
    fault, mood = provider.moods.fault("sending"), provider.moods.sending
    if mood == LOST:
        cut()
    if mood == LOST or (fault and (fault.error or fault.html)):
        return answers.api_error(provider, fault or _TOO_LARGE)
    known = provider.access(bearer())
    if not known:
        return answers.api_error(provider, _GOOGLE_TOKEN if provider.brand is GOOGLE else _GRAPH_TOKEN)
    person, token = known
    if not {provider.brand.send_scope, "https://mail.google.com/"} & set(token.scope.split()):
        return answers.api_error(provider, _GOOGLE_NEEDS if provider.brand is GOOGLE else _GRAPH_NEEDS)
    places = provider.places[person.address]
    if not places.acquire(blocking=False):
        return answers.api_error(provider, _CROWDED)
    try:
        if refusal := _take(provider, person, content):
            return answers.api_error(provider, refusal)
        if mood == SLOW:
            provider.moods.linger()
        elif mood == CUT:
            cut()
    finally:
        places.release()
    if provider.brand is GOOGLE:
        number = secrets.token_hex(8)
        return jsonify(id=number, threadId=number, labelIds=["SENT"])
    return Response(status=202, headers={"request-id": str(uuid.uuid4())})


def _take(provider: Provider, person: Person, content: bytes) -> Fault | None:
    """The refusal, or None: then the mail is in the inbox."""
    if len(content) > MOST_OCTETS[provider.brand.key]:
        return _TOO_LARGE
    mail = message_from_bytes(content, policy=policy.SMTP)
    # No envelope: who gets it stands in the mail alone.
    fields = [str(value) for name in ("To", "Cc", "Bcc") for value in mail.get_all(name, [])]
    recipients = [address for _, address in getaddresses(fields) if "@" in address]
    if not recipients:
        return _NOBODY[provider.brand.key]
    name, written = _sender(mail)
    if not person.may_send_from(written):
        if provider.brand is not GOOGLE:
            return _SEND_AS
        _replace_from(mail, person, name)
        content = mail.as_bytes()
    if "Bcc" in mail:
        del mail["Bcc"]
        content = mail.as_bytes()
    provider.deliver(person.address, recipients, content)
    return None


def _sender(mail: EmailMessage) -> tuple[str, str]:
    [(name, address), *_] = getaddresses([str(mail.get("From", ""))]) or [("", "")]
    return name, address


def _replace_from(mail: EmailMessage, person: Person, name: str) -> None:
    """What Gmail does with an address that is none of the account's."""
    del mail["From"]
    mail["From"] = formataddr((name, person.address))
