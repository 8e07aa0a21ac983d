"""The stand-ins for the Gmail API and Microsoft Graph: what they take, what they change, and how they refuse."""

import base64
import threading
from email import message_from_bytes, policy

import pytest
import requests

from demo.inbox import Mailbox
from demo.oauth.brands import GOOGLE_SEND
from demo.oauth.faults import FAULTS, Fault
from tests.demo.oauth.conftest import App
from tests.support.waiting import eventually

pytestmark = pytest.mark.any_database


def reason(answer: requests.Response) -> str:
    error = answer.json()["error"]
    return error["errors"][0]["reason"] if "errors" in error else error["code"]


def test_gmail_takes_the_mail_as_it_is(google: App) -> None:
    answer = google.send(google.sign_in())
    assert answer.status_code == 200 and answer.json().keys() == {"id", "threadId", "labelIds"}
    [mail] = google.stand_in.sent
    assert (mail.mail_from, mail.rcpt_to) == ("shop@gmail-demo.example", ("carla@customer.example",))
    assert b"Message-ID: <1@shop>\r\n" in mail.content and mail.content.endswith(b"Hello\r\n")


def test_gmail_takes_base64url_in_json_as_well(google: App) -> None:
    raw = base64.urlsafe_b64encode(b"From: shop@gmail-demo.example\r\nTo: a@b.example\r\n\r\n\xff").decode().rstrip("=")
    url = google.urls["send"].partition("?")[0].replace("/upload", "")
    headers = {"Authorization": f"Bearer {google.sign_in()['access_token']}"}
    assert requests.post(url, json={"raw": raw}, headers=headers, timeout=60).status_code == 200
    assert google.stand_in.sent[0].content.endswith(b"\xff")


def test_gmail_wants_the_upload_said_and_the_type(google: App) -> None:
    headers = {"Authorization": f"Bearer {google.sign_in()['access_token']}"}
    mail = {"data": b"To: a@b.example\r\n\r\nx", "timeout": 60}
    plain = requests.post(google.urls["send"], headers=headers | {"Content-Type": "text/plain"}, **mail)
    url = google.urls["send"].partition("?")[0]
    unsaid = requests.post(url, headers=headers | {"Content-Type": "message/rfc822"}, **mail)
    assert plain.status_code == unsaid.status_code == 400 and google.stand_in.sent == []


def test_graph_takes_base64_and_says_nothing(microsoft: App) -> None:
    answer = microsoft.send(microsoft.sign_in())
    assert (answer.status_code, answer.content) == (202, b"") and answer.headers["request-id"]
    assert microsoft.stand_in.sent[0].rcpt_to == ("carla@customer.example",)


def test_graph_refuses_what_is_not_base64(microsoft: App) -> None:
    headers = {"Authorization": f"Bearer {microsoft.sign_in()['access_token']}", "Content-Type": "text/plain"}
    answer = requests.post(microsoft.urls["send"], b"From: me\r\n\r\nplain", headers=headers, timeout=60)
    assert (answer.status_code, reason(answer)) == (400, "ErrorMimeContentInvalidBase64String")
    headers["Content-Type"] = "application/json"
    assert requests.post(microsoft.urls["send"], b"{}", headers=headers, timeout=60).status_code == 400


@pytest.mark.parametrize("token", ["", "made-up"])
def test_no_mail_without_a_good_token(google: App, microsoft: App, token: str) -> None:
    for app, code in ((google, "authError"), (microsoft, "InvalidAuthenticationToken")):
        answer = app.send({"access_token": token})
        assert (answer.status_code, reason(answer)) == (401, code)
        assert app.account({"access_token": token}).status_code == 401
    assert app.stand_in.sent == []


def test_no_mail_without_the_right_to_send(google: App, microsoft: App) -> None:
    answer = google.send(google.sign_in(scope="openid email"))
    assert (answer.status_code, reason(answer)) == (403, "insufficientPermissions")
    token = microsoft.sign_in(scope="openid https://graph.microsoft.com/User.Read")
    answer = microsoft.send(token)
    assert (answer.status_code, reason(answer)) == (403, "ErrorAccessDenied")
    assert microsoft.account(token).status_code == 200
    assert microsoft.account(microsoft.sign_in(scope=microsoft.provider.brand.send_scope)).status_code == 403


def test_the_account_says_who_was_really_chosen(google: App, microsoft: App) -> None:
    told = google.account(google.sign_in("ada@gmail-demo.example")).json()
    assert (told["email"], told["email_verified"]) == ("ada@gmail-demo.example", True)
    assert "email" not in google.account(google.sign_in(scope=f"openid {GOOGLE_SEND}")).json()
    told = microsoft.account(microsoft.sign_in("ada@microsoft-demo.example")).json()
    assert (told["mail"], told["displayName"]) == ("ada@microsoft-demo.example", "Ada Atlas")


def test_the_recipients_are_those_of_the_mail_and_bcc_stays_secret(app: App) -> None:
    mail = b"From: %s\r\nTo: A <a@x.example>, b@x.example\r\nCc: c@x.example\r\nBcc: d@x.example\r\n\r\nHi\r\n"
    assert app.send(app.sign_in(), mail % app.address.encode()).ok
    [sent] = app.stand_in.sent
    assert sent.rcpt_to == ("a@x.example", "b@x.example", "c@x.example", "d@x.example")
    assert b"d@x.example" not in sent.content


def test_a_mail_for_nobody_is_refused(google: App, microsoft: App) -> None:
    for app, code in ((google, "invalidArgument"), (microsoft, "ErrorInvalidRecipients")):
        answer = app.send(app.sign_in(), b"From: %s\r\nSubject: x\r\n\r\nHi\r\n" % app.address.encode())
        assert (answer.status_code, reason(answer)) == (400, code)


def test_another_address_is_replaced_by_google_and_refused_by_microsoft(google: App, microsoft: App) -> None:
    mail = b"From: My Shop <other@shop.example>\r\nTo: a@x.example\r\n\r\nHi\r\n"
    assert google.send(google.sign_in(), mail).ok
    shown = message_from_bytes(google.stand_in.sent[0].content, policy=policy.default)
    assert shown["From"] == "My Shop <shop@gmail-demo.example>"
    answer = microsoft.send(microsoft.sign_in(), mail)
    assert (answer.status_code, reason(answer)) == (403, "ErrorSendAsDenied")


def test_an_alias_may_stand_in_from(app: App) -> None:
    alias = app.provider.brand.people[0].aliases[0]
    assert app.send(app.sign_in(), f"From: {alias}\r\nTo: a@x.example\r\n\r\nHi\r\n".encode()).ok
    assert f"From: {alias}".encode() in app.stand_in.sent[0].content


def test_graph_takes_four_megabytes(microsoft: App) -> None:
    large = b"From: %s\r\nTo: a@x.example\r\n\r\n" % microsoft.address.encode() + b"x" * 4_000_000
    assert microsoft.send(microsoft.sign_in(), large).status_code == 413


def test_graph_takes_four_requests_at_a_time_for_one_mailbox(microsoft: App) -> None:
    token, other = microsoft.sign_in(), microsoft.sign_in("ada@microsoft-demo.example")
    microsoft.provider.moods.sending, microsoft.provider.moods.slow_seconds = "slow", 60
    threads = [threading.Thread(target=microsoft.send, args=(token,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(microsoft.stand_in.sent) == 4, "four mails")
    crowded = microsoft.send(token)
    assert (crowded.status_code, reason(crowded), crowded.headers["Retry-After"]) == (429, "ApplicationThrottled", "17")
    microsoft.provider.moods.sending = ""
    mail = b"From: ada@microsoft-demo.example\r\nTo: a@x.example\r\n\r\nHi\r\n"
    assert microsoft.send(other, mail).status_code == 202
    microsoft.provider.moods.end_waits()
    for thread in threads:
        thread.join(60)
    assert microsoft.send(token).status_code == 202


REFUSING = [
    (key, mood, fault)
    for key, places in FAULTS.items()
    for mood, fault in places["sending"].items()
    if fault.error or fault.html
]


@pytest.mark.parametrize(("key", "mood", "fault"), REFUSING, ids=[f"{key}-{mood}" for key, mood, _ in REFUSING])
def test_each_mood_of_the_mail_api_refuses(google: App, microsoft: App, key: str, mood: str, fault: Fault) -> None:
    app = google if key == "gmail" else microsoft
    token = app.sign_in()
    app.provider.moods.sending, app.provider.moods.retry_after = mood, 23
    refused = app.send(token)
    assert refused.status_code == fault.status
    assert refused.headers.get("Retry-After") == ("23" if fault.waits else None)
    if fault.html:
        assert refused.headers["Content-Type"].startswith("text/html")
    else:
        assert (reason(refused), refused.json()["error"]["message"]) == (fault.error, fault.text)
    assert app.stand_in.sent == []
    app.provider.moods.sending = ""
    assert app.send(token).ok


@pytest.mark.parametrize(
    ("mood", "status"), [("throttled", 429), ("html", 502), ("unavailable", 503), ("recipient", 200)]
)
def test_what_concerns_the_whole_api_meets_the_account_call_too(app: App, mood: str, status: int) -> None:
    token = app.sign_in()
    app.provider.moods.sending = mood
    assert app.account(token).status_code == status


@pytest.mark.parametrize(("mood", "taken"), [("cut", 1), ("lost", 0)])
def test_a_cut_connection_leaves_open_whether_the_mail_was_taken(app: App, mood: str, taken: int) -> None:
    token = app.sign_in()
    app.provider.moods.sending = mood
    with pytest.raises(requests.ConnectionError):
        app.send(token)
    assert len(app.stand_in.sent) == taken


def test_a_late_answer_comes_after_the_mail_was_taken(app: App) -> None:
    token = app.sign_in()
    app.provider.moods.sending, app.provider.moods.slow_seconds = "slow", 2
    with pytest.raises(requests.ReadTimeout):
        app.send(token, timeout=0.3)
    assert len(eventually(lambda: app.stand_in.sent, "the mail")) == 1


def test_the_mail_comes_into_the_demos_inbox(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox = Mailbox()
    monkeypatch.setattr(app.provider, "deliver", mailbox.add)
    assert app.send(app.sign_in()).ok
    [mail] = mailbox.newest_first()
    assert (mail.subject, mail.rcpt_to) == ("Hi", ["carla@customer.example"])
