"""The Email verification form, and the sentences for what can't become a sender."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext
from flask_wtf import FlaskForm
from wtforms import StringField

from portal.services.errors import InvalidSender
from portal.transport.mime.addresses import MAX_DISPLAY_NAME


class SenderForm(FlaskForm):
    """Address and display name; the service judges them, so that the API and the page agree."""

    address = StringField(lazy_gettext("Email address"))
    display_name = StringField(lazy_gettext("Display name"))

    def refuse(self, error: InvalidSender) -> None:
        """Put the service's refusal at its field."""
        field = self[error.field] if error.field in self._fields else self.address
        field.errors = [*field.errors, sentence(error.reason)]


def sentence(reason: str) -> str:
    """What is wrong and what to type instead."""
    known = {
        "empty": gettext("Enter an email address, for example hello@your-shop.com."),
        "not_an_address": gettext(
            "This is not an email address. It needs the form name@domain, for example hello@your-shop.com."
        ),
        "too_long": gettext("This address is too long. An email address has at most 254 characters."),
        "line_break": gettext("Line breaks are not possible here. Enter everything on one line."),
        "non_ascii_local_part": gettext(
            "The part before the @ may hold only letters from a to z, digits and signs such as . _ + -, "
            "because many mail servers refuse anything else."
        ),
        "no_such_domain_form": gettext("The part after the @ is not a domain name, for example your-shop.com."),
        "name_too_long": gettext("This name is too long. Use at most %(most)s characters.", most=MAX_DISPLAY_NAME),
        "name_looks_like_address": gettext(
            "The name must not look like an email address, because recipients would take it for the sender. "
            "Use the name of your shop."
        ),
        "name_control_characters": gettext(
            "The name holds characters that can't be shown. Type it anew, without copying."
        ),
    }
    return known.get(reason) or gettext("This can't be used. Please check what you typed.")
