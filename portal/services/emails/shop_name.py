"""A shop's name as our own mails show it: to people who never heard of the shop, under the platform's name."""

from __future__ import annotations

import unicodedata

from sqlalchemy import select

from portal.extensions import db
from portal.mailauth.free_mail import is_free_mail
from portal.models import SenderIdentity, Tenant
from portal.models.identity import IdentityState
from portal.reasons import N_
from portal.services import sender_rules
from portal.services.emails import environment
from portal.transport.mime import names
from portal.transport.mime.addresses import readable_address

MOST = 60  # characters
_QUOTED = N_("“%(name)s”")
_BY_ID = N_("Shop %(id)s")
# Nothing may look as if the quotes ended before the name does.
_QUOTES = str.maketrans(dict.fromkeys('"“”„‟«»〝〞〟❝❞＂', "'"))


def shown(tenant: Tenant, locale: str) -> str:
    """The name in quotes, at most MOST characters of it; or the shop's id, where the name says something else.

    That is a URL, an address, a number to call, a domain that isn't the shop's, or the platform's own name.
    """
    translate = environment.translator(environment.known(locale))
    name = names.cleaned(tenant.name)
    if _is_mere_name(name, tenant):
        return translate(_QUOTED) % {"name": _shortened(name.translate(_QUOTES))}
    return translate(_BY_ID) % {"id": _shortened(tenant.external_id)}


def _is_mere_name(name: str, tenant: Tenant) -> bool:
    if not names.has_letter(name) or names.holds_link(name) or names.holds_address(name):
        return False
    if sender_rules.is_protected(name):
        return False
    claimed = names.domains(name)
    return not claimed or set(claimed) <= _proven_domains(tenant)


def _proven_domains(tenant: Tenant) -> set[str]:
    """Domains of addresses that the shop has verified. Those of its own mail service aren't proven.

    Any server that the shop names may accept any sender. An address at a free-mail service proves nothing either.
    """
    verified = select(SenderIdentity.address).where(
        SenderIdentity.tenant_id == tenant.id, SenderIdentity.state == IdentityState.VERIFIED
    )
    addresses = [address for address in db.session.scalars(verified) if not is_free_mail(address)]
    return {form.rpartition("@")[2].lower() for address in addresses for form in (address, readable_address(address))}


def _shortened(text: str) -> str:
    if len(text) <= MOST:
        return text
    end = MOST - 1
    while end > 1 and unicodedata.category(text[end])[0] == "M":  # an accent stays with its letter
        end -= 1
    return f"{text[:end].rstrip()}…"
