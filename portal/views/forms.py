"""How a form is made: fields as they were typed, and at each what a service refused."""

from __future__ import annotations

from flask import request
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict

from portal.services.errors import InvalidFields
from portal.transport.mime.addresses import MAX_DISPLAY_NAME
from portal.web.i18n import gettext


class Form(FlaskForm):
    """What people type. It checks nothing itself: the services do, so that pages and API agree.

    A button that sends what nobody types needs none.
    """

    class Meta:
        csrf = False  # portal.web.access asks for the token, before any view runs

        def wrap_formdata(self, form: FlaskForm, formdata: object) -> MultiDict[str, str] | None:
            """Texts alone: where a file or JSON comes in place of a field, the field is empty."""
            return request.form if formdata is not None and request.method == "POST" else None

    def refuse(self, error: InvalidFields) -> None:
        """Put a service's refusals at their fields."""
        for name, reason in error.errors:
            self.mark(name, self.sentence(name, reason))

    def mark(self, name: str, text: str) -> None:
        field = self[name]
        field.errors = [*field.errors, text]

    def sentence(self, field: str, reason: str) -> str:
        return sentence(reason)

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Field and sentence, in the order of the page."""
        return [(field.name, str(error)) for field in self for error in field.errors]


def sentence(reason: str) -> str:
    """What is wrong with an address or a name, and what to type instead."""
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
            "The name has characters that can't be seen. Type it again instead of pasting it."
        ),
        "name_without_letters": gettext("The name needs at least one letter or digit."),
        "name_protected": gettext(
            "Recipients could take this name for your marketplace or another company. Use the name of your shop."
        ),
        "own_domain": gettext("This address belongs to your marketplace. Use an address of your own."),
        "source_route": gettext(
            "The part before the @ can't have a percent sign or an exclamation mark, "
            "because some mail servers would send such emails elsewhere."
        ),
    }
    return known.get(reason) or gettext("This can't be used. Please check what you typed.")
