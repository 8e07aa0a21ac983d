"""The form of a merchant's own mail service, and the sentences for what can't be used in it."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext
from wtforms import HiddenField, PasswordField, StringField

from portal.views import forms

FIELDS = ("host", "port", "encryption", "username", "secret", "from_address", "from_name")


class DriverForm(forms.Form):
    """One SMTP account as typed."""

    preset = HiddenField()
    version = HiddenField()
    host = StringField(lazy_gettext("Outgoing server"))
    port = StringField(lazy_gettext("Port"))
    encryption = StringField(lazy_gettext("Encryption"))
    username = StringField(lazy_gettext("Username"))
    secret = PasswordField(lazy_gettext("Password"))
    from_address = StringField(lazy_gettext("From address"))
    from_name = StringField(lazy_gettext("From name"))

    def sentence(self, field: str, reason: str) -> str:
        return sentence(field, reason)


def sentence(field: str, reason: str) -> str:
    """What is wrong and what to type instead."""
    known = {
        ("host", "empty"): gettext("Enter the name of the outgoing server, for example smtp.gmail.com."),
        ("host", "not_a_host"): gettext(
            "This is not a server's name. Enter it without https:// and without a slash, for example mail.example.com."
        ),
        ("port", "not_a_mail_port"): gettext("Mail can't be sent through this port. Use 465 with SSL or 587 with TLS."),
        ("port", "not_offered"): gettext("This provider doesn't offer this port. Use the one that the guide names."),
        ("encryption", "unknown"): gettext("Choose SSL or TLS. Mail is never sent without encryption."),
        ("encryption", "contradicts_port"): gettext(
            "Port and encryption contradict each other: SSL belongs to port 465, TLS to port 587."
        ),
        ("username", "empty"): gettext("Enter the username, mostly your full email address."),
        ("username", "unusable"): gettext("This username is too long or holds characters that can't be used."),
        ("secret", "empty"): gettext(
            "Enter the password. A stored one is used only for the server and the username it was entered for."
        ),
        ("secret", "unreadable"): gettext("The stored password can't be read any more. Type it once more here."),
        ("secret", "too_long"): gettext("This is too long for a password: at most 512 characters are possible."),
        ("secret", "unusable"): gettext(
            "The password holds characters that can't be used. Copy it once more, without anything around it."
        ),
        ("from_name", "empty"): gettext("Enter the name that recipients see, usually that of your shop."),
    }
    return known.get((field, reason)) or forms.sentence(reason)
