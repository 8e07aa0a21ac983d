"""The transport over HTTP: one connection to a provider's API, one request a mail, refusals told apart."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

from portal.transport.base import (
    HTTP_STEPS,
    Action,
    Mail,
    Network,
    OnStep,
    Receipt,
    Reply,
    Stage,
    Timeouts,
    TransportFailure,
    Verdict,
)
from portal.transport.http.account import HTTPAccount, policy_for, readable
from portal.transport.http.answer import Answer, retry_after
from portal.transport.http.registry import SERVICES
from portal.transport.http.session import NoAnswer, NotSent, Session
from portal.transport.http.verdicts import ACCEPTED, AMBIGUOUS, NOT_SENT, SENT, classify

_RETRY = Verdict(Action.RETRY_MESSAGE, "service_unavailable")
# The step that a refusal stops at; any other reason is about the message.
_OF_SIGN_IN = frozenset({
    "account_suspended", "bad_key", "forbidden", "ip_not_allowed", "oauth_admin_consent", "oauth_app_broken",
    "oauth_blocked_by_policy", "oauth_consent", "oauth_rejected",
})  # fmt: skip
_OF_SENDER = frozenset({
    "oauth_no_mailbox", "sandbox", "send_as_denied", "sender_mailbox_full", "sender_not_verified", "settings_wrong",
})  # fmt: skip
_ABOUT_THE_MAIL = ("sign_in", "sender", "accepted")


class HTTPTransport:
    """A Transport to a provider's API. Opening reaches the provider; it says by its answer to a mail what it thinks of
    the sign-in and the sender, so `on_step` hears base.HTTP_STEPS but for the first when the answer is there.

    A token that was refused (reason oauth_rejected) may have run out: its owner renews it and tries again, by a new
    transport.
    """

    def __init__(
        self,
        account: HTTPAccount,
        *,
        timeouts: Timeouts | None = None,
        network: Network | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        network = network or Network()
        self.account = account
        self.service = SERVICES[account.service]
        self.on_step = on_step or (lambda step: None)
        self.num_emails = 0
        url = account.url or self.service.url
        parts = urlsplit(url)
        self._target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        self._session = Session(url, policy_for(account, network.policy), timeouts or Timeouts(), network.ca_file)

    @property
    def usable(self) -> bool:
        """Whether another mail may be started here: soon after the one before, or it is another connection's."""
        return self._session.usable

    def open(self) -> None:
        """Reach the provider. Raises TransportFailure, and leaves nothing open."""
        self.num_emails = 0
        try:
            self._session.open(self.on_step)
        except NotSent as error:
            verdict = classify(self.service.key, 0, NOT_SENT, "")
            failure = TransportFailure("session", False, verdict, Reply(0, error.kind, error.detail))
            failure.unreached = error.kind in ("lost", "timeout")
            raise failure from None
        self.on_step(HTTP_STEPS[0])

    def send(self, mail: Mail, before_handover: Callable[[], bool]) -> Receipt:
        """Hand over one mail; it is accepted by a 2xx with what this API says then. Raises TransportFailure.

        `before_handover` is called before the first octet of the request.
        """
        request = self.service.request(mail, self.account, self._target)

        def counted() -> bool:
            agreed = before_handover()
            self.num_emails += agreed
            return agreed

        try:
            answer = self._session.exchange(request, counted)
        except NoAnswer as error:
            verdict = classify(self.service.key, 0, SENT, "")
            raise self._failure(verdict, Reply(0, error.kind, error.detail)) from None
        except NotSent as error:
            failure = TransportFailure("message", False, _RETRY, Reply(0, error.kind, error.detail))
            failure.used_up = self.num_emails > 0
            raise failure from None
        return self._judged(answer)

    def abort(self) -> None:
        """From another thread: end what `open` or `send` waits for, for good."""
        self._session.abort()

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._session.close()

    def _judged(self, answer: Answer) -> Receipt:
        code, words = self.service.said(answer) if answer.status >= 300 else ("", "")
        verdict = classify(self.service.key, answer.status, code, words)
        said = readable(f"{code}: {words}" if code and words else code or words, self.account)
        said = said or http.client.responses.get(answer.status, "")
        if verdict.reason == ACCEPTED:
            words_of_it = self.service.accepted(answer) if answer.whole else None
            if words_of_it is not None:
                for step in _ABOUT_THE_MAIL:
                    self.on_step(step)
                return Receipt(answer.status, readable(words_of_it, self.account))
            verdict = classify(self.service.key, 0, SENT, "")
            said = "not the answer that this provider gives to a mail"
        raise self._failure(verdict._replace(retry_after=retry_after(answer.headers)), Reply(answer.status, said))

    def _failure(self, verdict: Verdict, reply: Reply) -> TransportFailure:
        """How a mail failed whose request was written. What holds for the next mail, too, ends the session."""
        stage: Stage = "session" if verdict.scope == "session" else "message"
        ambiguous = verdict.reason == AMBIGUOUS
        if ambiguous:
            stage, verdict = "handover", verdict._replace(reason=str(_RETRY.reason))
        elif reply.code:
            stopped = "sign_in" if verdict.reason in _OF_SIGN_IN else "sender" if verdict.reason in _OF_SENDER else ""
            for step in _ABOUT_THE_MAIL[: _ABOUT_THE_MAIL.index(stopped or "accepted")]:
                self.on_step(step)
        if stage != "message":
            self.close()
        return TransportFailure(stage, ambiguous, verdict, reply)
