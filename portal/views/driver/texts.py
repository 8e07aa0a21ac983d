"""A merchant's own mail service in plain words: the steps of a test, why it failed, why Save is locked, its state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from flask_babel import format_decimal

from portal.models import DriverTest
from portal.models.driver import DriverState
from portal.providers import PROVIDERS, by_host
from portal.providers.base import Group, Provider
from portal.reasons import words as reasons
from portal.services.drivers.save_gate import PASS_LIFE
from portal.services.senders.settings_page import DriverStatus
from portal.transport.base import OTHER_SIGN_IN, STEPS
from portal.transport.smtp.stream import LOST_IN_HANDSHAKE, OLD_TLS
from portal.web.i18n import clock, gettext, lazy_gettext

# What a step does, and that it is done.
STEP_NAMES = {
    "resolve": lazy_gettext("Looking up the server"),
    "connect": lazy_gettext("Connecting"),
    "tls": lazy_gettext("Switching encryption on"),
    "sign_in": lazy_gettext("Signing in"),
    "sender": lazy_gettext("Asking whether the sender is accepted"),
    "recipient": lazy_gettext("Asking whether the recipient is accepted"),
    "accepted": lazy_gettext("Handing the test message over"),
}
# The same while it goes on, where that can take long.
STEP_WAITS = {
    "connect": lazy_gettext("Connecting. Some servers answer only after a minute"),
    "accepted": lazy_gettext("Handing the test message over. Some servers take half a minute to check it"),
}
STEP_RESULTS = {
    "resolve": lazy_gettext("Server found"),
    "connect": lazy_gettext("Connected"),
    "tls": lazy_gettext("Connection encrypted"),
    "sign_in": lazy_gettext("Signed in"),
    "sender": lazy_gettext("Sender accepted"),
    "recipient": lazy_gettext("Recipient accepted"),
    "accepted": lazy_gettext("Test message accepted"),
}
STEP_FAILURES = {
    "resolve": lazy_gettext("The server was not found"),
    "connect": lazy_gettext("No connection"),
    "tls": lazy_gettext("No encryption"),
    "sign_in": lazy_gettext("Signing in failed"),
    "sender": lazy_gettext("The sender was refused"),
    "recipient": lazy_gettext("The recipient was refused"),
    "accepted": lazy_gettext("The test message was refused"),
}
# The field that has to be changed. What the server gave as its reason says more than when it said so: many judge the
# sender's address only when they are asked about the recipient, or have the whole message.
_FIELD_OF_REASON = {
    "send_as_denied": "from_address", "sender_not_verified": "from_address", "domain_authentication": "from_address",
    "tls_required": "encryption", "tls_failed": "encryption", "dns_failure": "host",
    "bad_credentials": "secret", "app_password_required": "secret",
}  # fmt: skip
# A step without one has nothing to do with the form.
_FIELD_OF_STEP = {
    "resolve": "host", "connect": "host", "tls": "encryption", "sign_in": "secret", "sender": "from_address",
}  # fmt: skip
# Why Save is locked, or that it isn't.
GATE = {
    "open": lazy_gettext("The test message was accepted: you can save. From then on this account sends all your mail."),
    "missing": lazy_gettext("Save unlocks after a test message was accepted."),
    "running": lazy_gettext("The test is running. Save unlocks as soon as the test message was accepted."),
    "changed": lazy_gettext(
        "The settings are not the ones that were tested. Save unlocks after a test message was accepted with them."
    ),
    "expired": lazy_gettext(
        "The test is more than %(minutes)s minutes old. Send another test email, then save.",
        minutes=PASS_LIFE // timedelta(minutes=1),
    ),
    "plan": lazy_gettext("Your plan doesn't include your own mail service."),
    "viewer": lazy_gettext("Only an administrator of your shop can change this."),
}


@dataclass(frozen=True)
class Words:
    """`tone` picks sign and colour; `title` says the same in words."""

    tone: str
    title: str
    text: str


@dataclass(frozen=True)
class Step:
    """One line of a test. `state`: done, now, failed, next."""

    name: str
    state: str
    text: str
    seconds: float | None


def steps(test: DriverTest, state: str) -> list[Step]:
    """All seven, as far as the test has come, and that signing in was tried another way."""
    took = {step["name"]: step["seconds"] for step in test.steps}
    stop = test.failed_step or next((name for name in STEPS if name not in took), None)
    reached = STEPS.index(stop) if stop in STEPS else len(STEPS)
    lines = []
    for number, name in enumerate(STEPS):
        if name == "sign_in" and OTHER_SIGN_IN in took:
            told = gettext("The server refused one way of signing in, so the other one was tried")
            lines.append(Step(OTHER_SIGN_IN, "done", told, took[OTHER_SIGN_IN]))
        if number < reached:
            lines.append(Step(name, "done", str(STEP_RESULTS[name]), took.get(name)))
        elif number == reached and state == "failed":
            refused = "sender" if failing_field(test) == "from_address" else name
            lines.append(Step(name, "failed", str(STEP_FAILURES[refused]), None))
        elif number == reached and state == "running":
            lines.append(Step(name, "now", f"{STEP_WAITS.get(name, STEP_NAMES[name])} …", None))
        else:
            lines.append(Step(name, "next", str(STEP_NAMES[name]), None))
    return lines


def failing_field(test: DriverTest) -> str | None:
    """The field of the form that a failed test asks to change, if one is to blame."""
    return field_of(test.reason) or _FIELD_OF_STEP.get(test.failed_step or "")


def field_of(reason: str | None) -> str | None:
    return _FIELD_OF_REASON.get(reason or "")


def seconds(took: float) -> str:
    return str(format_decimal(took, "0.0"))


def failure(test: DriverTest) -> tuple[str, str]:
    """Why a test failed and what mends it: two sentences for somebody who has never heard of SMTP."""
    kind, _, detail = (test.text or "").partition(": ") if not test.code else ("", "", "")
    if test.failed_step == "resolve":
        return (
            gettext("There is no mail server of this name on the internet."),
            gettext("Check the outgoing server for typing mistakes. A server inside your own network can't be used."),
        )
    if kind == "tls":
        return _tls_failure(detail)
    if kind == "lost" and detail == LOST_IN_HANDSHAKE:
        return (
            gettext("The server ended the connection while encryption was being agreed on."),
            gettext(
                "Try once more. If it happens again, the server's encryption is probably too old: ask your provider "
                "for a newer server or another port."
            )
            + " "
            + gettext("Your password was not sent."),
        )
    if kind == "unsupported":
        return (
            gettext("The server offers no sign-in with a password that we know."),
            gettext("Check that this is the outgoing server and its port for sending, mostly 465 or 587."),
        )
    if test.failed_step == "connect":
        return (
            gettext("No mail server answered under this name and port."),
            gettext("Check the outgoing server, the port and the encryption. If they are right, try again later."),
        )
    return reasons.sentence(test.reason, gettext), reasons.fix(test.reason, gettext)


def _tls_failure(detail: str) -> tuple[str, str]:
    ours = gettext("Your password was not sent.")
    if detail.startswith(OLD_TLS):
        return (
            gettext("The server's encryption is too old to be safe."),
            gettext(
                "Your mail provider has to update it, or has a newer server: ask for its name and port. "
                "Sometimes another port already helps, 465 with SSL or 587 with TLS."
            )
            + " "
            + ours,
        )
    detail = detail.lower()
    if "starttls" in detail:
        return (
            gettext("The server offers no encryption on this port."),
            gettext("Choose SSL with port 465, or ask your provider.") + " " + ours,
        )
    if "expired" in detail or "not yet valid" in detail:
        return (
            gettext("The server's certificate has expired."),
            gettext("Your mail provider has to renew it.") + " " + ours,
        )
    if "mismatch" in detail or "doesn't match" in detail or "not valid for" in detail:
        return (
            gettext("The server's certificate is made out for another name."),
            gettext("Enter the outgoing server exactly as your provider's help names it.") + " " + ours,
        )
    if "self-signed" in detail or "self signed" in detail or "issuer" in detail:
        return (
            gettext("Nobody vouches for the server's certificate: it is self-signed or from an unknown authority."),
            gettext("Your mail provider has to install a recognised certificate.") + " " + ours,
        )
    return (
        gettext("No encrypted connection could be made."),
        gettext("Check that port and encryption belong together: SSL with 465, TLS with 587.") + " " + ours,
    )


def server_words(test: DriverTest) -> str | None:
    """What the server said, for those who want to pass it on."""
    if test.code:
        return f"{test.code} {test.text or ''}".strip()
    detail = (test.text or "").partition(": ")[2]
    return detail if test.failed_step == "tls" and detail else None


def provider(host: str) -> str:
    return provider_name(by_host(host))


def cause(reason: str | None) -> str:
    """Why the driver is stopped, and what to do about it."""
    return f"{reasons.sentence(reason, gettext)} {reasons.fix(reason, gettext)}"


def status(found: DriverStatus, *, chosen: bool, allowed: bool, held_mail: str) -> Words:
    """How the driver is doing."""
    driver = found.driver
    if not allowed:
        return Words("off", gettext("Not in your plan"), gettext("It is kept and comes back with the plan."))
    if driver.state == DriverState.STOPPED:
        return Words(
            "bad",
            gettext("Stopped: %(reason)s", reason=reasons.phrase(driver.reason, gettext)),
            _waiting_mail(held_mail),
        )
    if driver.state == DriverState.PAUSED:
        return Words("warn", gettext("Paused by an administrator"), _waiting_mail(held_mail))
    if not chosen:
        return Words("off", gettext("Not in use"), gettext("Another sender is in force at the moment."))
    if found.waits_until is not None:
        return Words(
            "wait",
            gettext("Waiting until %(time)s", time=clock(found.waits_until)),
            gettext(
                "%(reason)s Sending goes on by itself, you need not do anything.",
                reason=reasons.sentence(found.waits_for, gettext),
            ),
        )
    return Words("good", gettext("Working"), gettext("All your mail goes out through this account."))


def _waiting_mail(held_mail: str) -> str:
    if held_mail == "default":
        return gettext("Until it works again, your mail goes out through the default sender.")
    return gettext("Your mail waits. Nothing is lost; it goes out in order afterwards.")


def notice(key: str | None) -> tuple[str, str] | None:
    """The banner after an action: its kind and text."""
    texts = {
        "driver_saved": gettext("Saved. From now on all your mail goes out through your own mail service."),
        "driver_paused": gettext("Paused. Your mail service sends nothing until you resume it."),
        "driver_resumed": gettext("Your mail service sends again. What was waiting goes out in order."),
        "driver_removed": gettext("Your mail service was removed, and its password with it."),
        "driver_used": gettext("Done. From now on all your mail goes out through your own mail service."),
        "held_mail": gettext("Your choice for waiting mail was saved."),
        "driver_gone": gettext("That had been dealt with already. Here is how things stand now."),
        "discarded": gettext("What you changed was discarded. Nothing was saved."),
        "testing": gettext("A test is running already. Please wait until it has finished, then try once more."),
    }
    if key not in texts:
        return None
    return "info" if key in ("driver_gone", "discarded", "testing") else "success", texts[key]


def groups() -> list[tuple[str, list[Provider]]]:
    """The providers as the page offers them; the first group, without a title, are the main choices."""
    titles = {
        Group.MAIN: "",
        Group.MAILBOXES: gettext("Mailboxes"),
        Group.SENDING_SERVICES: gettext("Sending services"),
    }
    return [(title, [p for p in PROVIDERS.values() if p.group == group]) for group, title in titles.items()]


def provider_name(provider: Provider) -> str:
    return gettext(provider.name)
