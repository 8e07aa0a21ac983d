"""Custom email setup: the merchant's own mail service, saved only after a test, and how it is doing."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, make_response, render_template, request, url_for
from flask_babel import format_decimal
from werkzeug.wrappers import Response

from portal import reasons
from portal.providers import PROVIDERS, by_key
from portal.services import entitlements
from portal.services.drivers import lifecycle, save_gate, setup_page
from portal.services.drivers.setup_page import DriverSetup
from portal.services.errors import (
    AlreadyTesting,
    EditConflict,
    InvalidFields,
    NotFound,
    SendLimit,
    SettingsUntested,
    TooManyRefusals,
)
from portal.services.routing import sender as senders
from portal.services.senders.settings_page import driver_status, sender_settings
from portal.views import plan_texts
from portal.views.driver import form_values as driver_form
from portal.views.driver import texts as driver_texts
from portal.views.driver.form import DriverForm
from portal.views.errors import asked_too_often
from portal.views.sender import page as sender
from portal.views.sender.page import Notice
from portal.web.access import access
from portal.web.htmx import not_modified, see_other, tagged, wants_fragment
from portal.web.i18n import clock
from portal.web.incoming import number
from portal.web.rate_limits import SWITCHING, TEST_SEND, limited
from portal.web.rich_text import rich

blueprint = Blueprint("driver", __name__, url_prefix="/settings/email/service")
blueprint.add_app_template_filter(rich)
blueprint.add_app_template_global(plan_texts.sentence, "plan_sentence")
blueprint.add_app_template_global(entitlements.first_with, "first_plan_with")
blueprint.add_app_template_global(format_decimal, "number")
blueprint.add_app_template_global(reasons.is_credentials, "is_credentials")
blueprint.add_app_template_global(reasons.needs_password, "needs_password")


def context(found: DriverSetup, form: DriverForm | None = None, **more: Any) -> dict[str, Any]:
    """What the page and each of its fragments are rendered from; without a form that was typed, from what is stored."""
    driver, test = found.driver, found.open_test
    typed, allowed = form is not None, entitlements.allows(g.tenant, "own_driver")
    form_test = None if typed else found.form_test
    if form is None:
        form = driver_form.filled(form_test or driver, found.version)
    state = save_gate.state_of(test) if test is not None else ""
    gate = found.gate(driver_form.wanted(form))
    if typed and state not in ("queued", "running") and gate not in ("open", "expired"):
        test = None  # it tried something else than what stands in the form
    if form_test is not None:
        driver_form.mark_failure(form, form_test)
    return {
        "form": form,
        "provider": by_key(form.preset.data),
        "driver": driver,
        "test": test,
        "test_state": state,
        "gate": "viewer" if g.user.role != "admin" else gate if allowed else "plan",
        "unsaved": "typed" if typed else "tested" if form_test and not found.is_saved else "",
        "kept": driver_form.kept(form, test, driver),
        "may_change": g.user.role == "admin" and allowed,
        "allowed": allowed,
        "texts": driver_texts,
        **more,
    }


def page(found: DriverSetup, form: DriverForm | None = None, status: int = 200, **more: Any) -> Response:
    said = driver_texts.notice(request.args.get("notice"))
    values = context(found, form, notice=Notice(*said) if said else None, **more)
    return make_response(render_template("driver/page.html", **values), status)


@blueprint.get("")
@access("viewer")
def get_page() -> Response:
    found = setup_page.read(g.tenant)
    choice = PROVIDERS.get(request.args.get("preset", ""))
    form = driver_form.filled(found.form_test or found.driver, found.version)
    if choice is None or choice.key == form.preset.data:
        return page(found)
    driver_form.choose(form, choice)
    return page(found, form, unsaved="")


@blueprint.post("/form")
@access("viewer")
def post_choice() -> Response:
    """The form and the guide of another provider, with what was typed by whoever may save it. Changes nothing."""
    found = setup_page.read(g.tenant)
    if g.user.role == "admin" and entitlements.allows(g.tenant, "own_driver"):
        form = driver_form.typed()
        form.secret.data = ""  # compared with nothing: whoever may look could guess the tested one by the answers
    else:
        form = driver_form.filled(found.form_test or found.driver, found.version)
    driver_form.choose(form, by_key(request.form.get("preset", "")))
    response = make_response(render_template("driver/_setup.html", **context(found, form)))
    response.headers["HX-Replace-Url"] = url_for("driver.get_page", preset=form.preset.data)
    return response


@blueprint.post("/test")
@access("admin")
@limited(TEST_SEND)
def post_test() -> Response:
    form = driver_form.typed()
    try:
        test = save_gate.start(g.tenant, g.user, driver_form.wanted(form))
    except InvalidFields as error:
        form.refuse(error)
        return refused(form, 422)
    except AlreadyTesting:
        return refused(form, 409, busy=True)
    except TooManyRefusals as limit:
        return too_often(form, limit)
    except SendLimit as limit:
        return asked_too_often(refused(form, 429, next_test=limit.next_at), limit)
    if not wants_fragment():
        return see_other(url_for("driver.get_page"))
    found = setup_page.read(g.tenant)
    shown = driver_form.filled(test, found.version)
    shown.version.data = form.version.data
    return make_response(render_template("driver/_form.html", **context(found, shown, unsaved="tested")))


@blueprint.get("/test")
@access("viewer", renews=False)
def get_test() -> Response:
    """Polled while a test is under way; the last answer brings Save, or marks the field, and asks no more."""
    found = setup_page.read(g.tenant)
    test = found.test
    if test is None:
        raise NotFound
    form = driver_form.filled(test, found.version)
    values = context(found, form, test=test, test_state=save_gate.state_of(test))
    driver_form.mark_failure(form, test)
    if request.args.get("test", type=number) != test.id:
        values |= {"elsewhere": True, "gate": "changed"}
    elif request.args.get("other"):
        values["gate"] = "changed"  # the page holds other settings than the ones under test
    return make_response(render_template("driver/_progress.html", **values))


@blueprint.get("/status")
@access("viewer", renews=False)
def get_status() -> Response:
    """Polled by the settings page: how the driver is doing."""
    values = sender.context()
    if values["driver"] is None:
        return make_response("", 204)
    tag = values["driver_tag"]
    return not_modified(tag) or tagged(render_template("driver/_status.html", **values), tag)


@blueprint.post("/again")
@access("admin")
@limited(TEST_SEND)
def post_again() -> Response:
    """Test what is stored; a pass sets a stopped driver going again."""
    driver = lifecycle.find(g.tenant)
    if driver is None:
        return done("driver_gone")
    form = driver_form.filled(driver, driver.version)
    try:
        save_gate.discard(g.tenant)  # an unsaved attempt must not lend its password
        save_gate.start(g.tenant, g.user, driver_form.wanted(form))
    except AlreadyTesting:
        return see_other(url_for("driver.get_page", notice="testing"))
    except SendLimit as limit:
        return asked_too_often(refused(form, 429, next_test=limit.next_at), limit)
    except InvalidFields as error:  # allowed when it was saved, and no longer
        form.refuse(error)
        return refused(form, 422)
    except TooManyRefusals as limit:
        return too_often(form, limit)
    return see_other(url_for("driver.get_page"))


@blueprint.post("")
@access("admin")
def post_save() -> Response:
    form = driver_form.typed()
    try:
        save_gate.save(g.tenant, g.user, driver_form.wanted(form), driver_form.seen_version(form))
    except InvalidFields as error:
        form.refuse(error)
        return refused(form, 422)
    except SettingsUntested as error:
        return refused(form, 422, untested=error.reason)
    except EditConflict as conflict:
        return refused(form, 409, conflict=conflict)
    except TooManyRefusals as limit:
        return too_often(form, limit)
    if not wants_fragment():
        return done("driver_saved")
    response = make_response("")
    response.headers["HX-Location"] = url_for("sender.get_page", notice="driver_saved")
    return response


def refused(form: DriverForm, status: int, **why: Any) -> Response:
    """The same form, with what was typed and what is wrong; the password stays in the browser."""
    found = setup_page.read(g.tenant)
    values = {"differences": driver_form.differences(form, found.driver), **why}
    if values["differences"] is not None:
        form.version.data = str(found.version)  # seen: the next Save replaces it knowingly
    if not wants_fragment():
        return page(found, form, status, **values)
    return make_response(render_template("driver/_form.html", **context(found, form, **values)), status)


def too_often(form: DriverForm, limit: TooManyRefusals) -> Response:
    """The form, and when to come again."""
    form.secret.data = ""
    return asked_too_often(refused(form, 429, limited=clock(limit.next_at)), limit)


@blueprint.post("/discard")
@access("admin")
def post_discard() -> Response:
    try:
        save_gate.discard(g.tenant)
    except AlreadyTesting:
        return see_other(url_for("driver.get_page", notice="testing"))
    return done("discarded")


@blueprint.post("/pause")
@access("admin")
@limited(SWITCHING)
def post_pause() -> Response:
    return change("driver_paused", lambda: lifecycle.pause(g.tenant, g.user))


@blueprint.post("/resume")
@access("admin")
@limited(SWITCHING)
def post_resume() -> Response:
    return change("driver_resumed", lambda: lifecycle.resume(g.tenant, g.user))


@blueprint.post("/use")
@access("admin")
@limited(SWITCHING)
def post_use() -> Response:
    return change("driver_used", lambda: lifecycle.use(g.tenant, g.user))


@blueprint.post("/held-mail")
@access("admin")
@limited(SWITCHING)
def post_held_mail() -> Response:
    return change("held_mail", lambda: lifecycle.set_held_mail(g.tenant, g.user, request.form.get("held_mail", "wait")))


@blueprint.get("/remove")
@access("admin")
def get_remove() -> Response:
    found = driver_status(g.tenant)
    if found is None:
        return done("driver_gone")
    after = senders.without_driver(g.tenant).mailbox
    return make_response(
        render_template(
            "driver/remove.html", status=found, after=after, sender=sender_settings(g.tenant), texts=driver_texts
        )
    )


@blueprint.post("/remove")
@access("admin")
@limited(SWITCHING)
def post_remove() -> Response:
    return change("driver_removed", lambda: lifecycle.remove(g.tenant, g.user))


def change(key: str, act: Any) -> Response:
    try:
        act()
    except NotFound:
        return done("driver_gone")
    return done(key)


def done(key: str) -> Response:
    return see_other(url_for("sender.get_page", notice=key))
