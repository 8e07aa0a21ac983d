"""Send again: asks first, then makes a new message that is linked to the old one."""

from __future__ import annotations

from flask import Blueprint, g, make_response, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.services.errors import NotResendable, SendLimit
from portal.services.outbox import send_again
from portal.services.routing import sender as senders
from portal.views.errors import PageError, retry_after
from portal.views.log import texts as log_texts
from portal.web.access import access
from portal.web.htmx import see_other
from portal.web.i18n import clock, gettext

blueprint = Blueprint("send_again", __name__, url_prefix="/settings/email/logs")


@blueprint.get("/<public_id>/send-again")
@access("admin")
def get_send_again(public_id: str) -> Response:
    try:
        message, newest = send_again.look(g.tenant, public_id)
    except NotResendable as error:
        raise _refused(error) from None
    sender = senders.resolve(g.tenant).mailbox if message.kind != "notice" else senders.platform_sender().mailbox
    context = {"message": message, "newest": newest, "sender": sender, "texts": log_texts}
    return make_response(render_template("log/send_again.html", **context))


@blueprint.post("/<public_id>/send-again")
@access("admin")
def post_send_again(public_id: str) -> Response:
    try:
        copy, made = send_again.send_again(g.tenant, g.user, public_id, request.form.get("known", ""))
    except NotResendable as error:
        raise _refused(error) from None
    except SendLimit as limit:
        text = gettext(
            "There is a limit to how many emails can be sent again to one address, and by one shop. "
            "The next one is possible at %(time)s. Nothing was sent.",
            time=clock(limit.next_at),
        )
        raise PageError(429, gettext("Too many emails were sent again"), text, retry_after(limit)) from None
    return see_other(url_for("log.get_page", open=copy.public_id, notice="resent" if made else "resent_before"))


def _refused(error: NotResendable) -> PageError:
    sentences = {
        "not_ended": gettext("It is still on its way. What becomes of it appears in the log."),
        "gone": gettext("Its text is no longer stored: texts are kept for some days only. Your shop can send it anew."),
        "copy_not_ended": gettext(
            "It was sent again before, and that copy is still on its way. You can send another once it has ended."
        ),
        "often": gettext(
            "It has already been sent again %(most)s times, which is the limit.", most=send_again.MOST_COPIES
        ),
        "kind": gettext("Emails of this kind are made anew where they came from, on the Email configuration page."),
    }
    return PageError(409, gettext("This message can't be sent again"), sentences[error.reason])
