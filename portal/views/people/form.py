"""The form that invites somebody."""

from __future__ import annotations

from wtforms import StringField

from portal.views.forms import Form
from portal.views.people import texts


class InvitationForm(Form):
    address = StringField()
    role = StringField()

    def sentence(self, field: str, reason: str) -> str:
        return texts.invalid(reason)
