"""XOAUTH2 for the demo's mail provider: which token opens which account, in Google's and in Microsoft's dialogue."""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import MISSING, SMTP, AuthResult

from demo.oauth.brands import GOOGLE

if TYPE_CHECKING:
    from demo.oauth.provider import Provider

LONGEST_LINE = 16384  # aiosmtpd's own 1001 would cut off a token; RFC 4954 wants 12,288 octets of response taken
ACCEPTED = "235 2.7.0 Accepted"
REFUSED_GOOGLE = (
    "535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
    "535 5.7.8  https://support.google.com/mail/?p=BadCredentials gmail-demo - gsmtp"
)
REFUSED_MICROSOFT = "535 5.7.3 Authentication unsuccessful [demo.PROD.OUTLOOK.COM]"
NOT_BASE64 = "501 5.5.2 Cannot Decode response"


class LongLines(SMTP):
    """aiosmtpd's server with lines as long as tokens are."""

    line_length_limit = LONGEST_LINE

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # aiosmtpd's own is one for all servers of a process, and asks its base class.
        self.command_size_limits = defaultdict(lambda: LONGEST_LINE)


async def sign_in(providers: Sequence[Provider], server: SMTP, args: list[str]) -> AuthResult:
    """AUTH XOAUTH2 in two steps, or with the response in the first line. `auth_data` is the account's address."""
    if len(args) == 1:
        response = await server.challenge_auth("")
        if response is MISSING:
            return AuthResult(success=False, handled=True)
    else:
        try:
            response = base64.b64decode(args[1], validate=True)
        except binascii.Error:
            return AuthResult(success=False, handled=False, message=NOT_BASE64)
    address, token = _read(bytes(response))
    provider = next((one for one in providers if one.brand.person(address)), None)
    if provider is None:
        return AuthResult(success=False, handled=False, message=REFUSED_GOOGLE)
    provider.count("smtp")
    if fault := provider.moods.fault("smtp"):
        return AuthResult(success=False, handled=False, message=f"{fault.status} {fault.text}")
    if _opens(provider, address, token):
        return AuthResult(success=True, handled=False, message=ACCEPTED, auth_data=address)
    if provider.brand is not GOOGLE:
        return AuthResult(success=False, handled=False, message=REFUSED_MICROSOFT)
    # Google says why before it refuses; the client has to answer with an empty line.
    why = {"status": "400", "schemes": "Bearer", "scope": provider.brand.smtp_scope}
    if await server.challenge_auth(json.dumps(why)) is MISSING:
        return AuthResult(success=False, handled=True)
    return AuthResult(success=False, handled=False, message=REFUSED_GOOGLE)


def _read(response: bytes) -> tuple[str, str]:
    """Address and token, "" for what it doesn't hold."""
    fields = dict(part.partition("=")[::2] for part in response.decode(errors="replace").split("\x01"))
    kind, _, token = fields.get("auth", "").partition(" ")
    return fields.get("user", "").lower(), token if kind.lower() == "bearer" else ""


def _opens(provider: Provider, address: str, token: str) -> bool:
    """Whether the token is this account's and for SMTP: one for the mail API is the classic mistake."""
    known = provider.access(token)
    return known is not None and known[0].address == address and provider.brand.smtp_scope in known[1].scope.split()
