"""Any SMTP server that isn't known here; also what a driver falls back to when its provider is gone."""

from portal.providers.base import ISSUED, STARTTLS, TLS, FromRule, Group, Limits, Provider
from portal.reasons import N_

PROVIDER = Provider(
    key="other",
    name=N_("Other SMTP server"),
    group=Group.MAIN,
    place=3,
    hint=N_("Any other mail provider or server"),
    host="",
    hosts="",
    endpoints=(STARTTLS, TLS),
    sign_in=ISSUED,
    from_rule=FromRule.ANY,
    help_url="",
    limits=Limits(),
)
