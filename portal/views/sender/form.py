"""The Email verification form."""

from __future__ import annotations

from flask_babel import lazy_gettext
from wtforms import StringField

from portal.views.forms import Form


class SenderForm(Form):
    address = StringField(lazy_gettext("Email address"))
    display_name = StringField(lazy_gettext("Display name"))
