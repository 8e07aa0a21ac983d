"""Replies that ask the whole driver to wait: no mail may be lost by a limit."""

import pytest

from portal.transport.smtp.replies import classify
from portal.transport.smtp.reply_rules import BACKOFF

pytestmark = pytest.mark.any_database

# Phase, code, and what the server says. None of them is in the collection under tests/data.
SAID = {
    (BACKOFF, "dns_failure"): [
        "connect 450 4.7.1 Client host rejected: cannot find your hostname",
        "dot 421 4.7.23 rate limited because the sending IP address doesn't have a PTR record",
    ],
    (BACKOFF, "ip_blocked"): [
        "mail 421 4.7.1 [TS03] All messages from 203.0.113.5 will be permanently deferred",
    ],
    (BACKOFF, "local_error"): [
        "mail 502 5.5.1 Too many unrecognized commands, goodbye.",
    ],
    (BACKOFF, "quota_daily"): [
        "mail 550 Sending limit reached, wait until tomorrow",
        "rcpt 550 Your domain has reached its sending limit; try again in 3600 seconds",
        "dot 550 5.4.5 Daily SMTP relay limit exceeded for user.",
        "dot 550 5.7.1 Daily SMTP relay sending limit exceeded for this customer.",
        "dot 550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients.",
        "dot 550 5.2.0 Sending quota exceeded for subaccount",
        "dot 554 5.7.1 You have reached the maximum number of mails for your contract today",
        "dot 552 5.7.0 Number of 'recipients' exceeds the account's daily limit",
        "dot 550 5.7.1 Outgoing mail limit for the day exceeded",
        "auth 550 5.7.1 Account exceeded sending limit for today",
        "rcpt 554 5.7.1 sending limit reached: 500 of 500 messages in 24 hours",
        "dot 550 5.7.1 Monthly email limit reached. Please upgrade your plan.",
        "dot 452 4.2.1 You have reached your plan's sending quota",
        "dot 550 5.5.4 insufficient credits",
        "dot 402 Not enough credits to send",
        "mail 550 5.7.1 Mail quota for today exceeded for shop@shop.example",
        "dot 550 Message rejected: daily sending limit of 500 reached",
        "mail 452 4.5.3 You have sent too many messages today",
        "dot 550 5.7.1 Too many recipients in one day",
        "dot 554 Limit of 300 emails per day reached; upgrade to send more",
    ],
    (BACKOFF, "rate_limited"): [
        "dot 554 Transaction failed. Message rejected due to excessive mail sending",
        "dot 452 Too many recipients received this hour",
        "dot 450 4.7.1 Hourly sending limit for this plan reached, retry in 20 minutes",
        "rcpt 550 MI:DMC 163 mx, too many messages from this sender",
        "dot 550 Ip frequency limited. https://service.mail.qq.com/detail/122/58",
        "mail 450 4.7.1 Error: too much mail from 203.0.113.5",
        "rcpt 450 4.7.1 Error: too many recipients from 203.0.113.5",
        "dot 550 5.4.6 Unusual sending activity detected. Please try after sometime",
        "dot 554 5.7.1 Email sending limit exceeded for your organization, please try after some time",
        "mail 550 5.7.1 Maximum number of recipients per hour reached (200)",
        "mail 451 4.7.1 Rate limit exceeded, quota 200/hour",
        "rcpt 451 4.7.1 hourly quota exceeded",
        "rcpt 554 5.7.1 You are sending too many emails. Please slow down. Try again in one hour",
        "rcpt 450 4.7.1 You've exceeded your 100 messages per hour quota",
        "mail 450 4.7.1 Error: too many new messages; slow down",
        "mail 450 4.7.1 Policy restriction: sending frequency too high",
        "connect 421 4.7.0 Rate limited, try again in 60 seconds",
        "dot 451 4.7.1 Received too many messages from a new or untrusted IP",
        "rcpt 452 4.2.1 hourly message limit exceeded, retry after 3600",
        "rcpt 554 5.7.1 outgoing mail limit exceeded for mailbox shop@shop.example",
        "mail 450 4.7.1 The mail account shop@shop.example exceeded its outgoing message limit",
        "mail 421 4.7.0 Too much mail from your account",
        "rcpt 421 4.7.1 Rate limit reached. Please try again later",
    ],
    (BACKOFF, "service_unavailable"): [
        "auth 454 Error: authentication failed, system busy",
        "auth 535 Error: authentication failed, system busy",
        "auth 435 4.7.8 Error: authentication failed: temporary failure",
        "connect 450 4.3.2 server is shutting down",
        "auth 454 4.7.0 Temporary authentication failure",
        "connect 421 mx.example.net Service not available - too busy",
        "connect 554 mx.example.net no SMTP service, maintenance",
        "connect 421 4.3.2 All server ports are busy",
        "connect 421 Server temporarily unavailable - too much load",
        "auth 451 4.3.0 Try again later",
        "auth 421 4.3.2 Service shutting down",
        "auth 454 4.7.0 Temporary authentication failure: SASL busy",
        "mail 421 4.4.2 Connection timed out",
    ],
    (BACKOFF, "too_many_connections"): [
        "connect 421 4.7.0 Connection refused: maximum number of sessions reached",
        "ehlo 421 4.3.2 Too many connections",
        "mail 421 4.7.0 Too many messages sent in this session",
        "rcpt 450 4.7.0 too many connections from your IP",
    ],
    (BACKOFF, "too_many_logins"): [
        "auth 421 4.7.0 Too many failed logins from your IP, try again in 30 minutes",
        "auth 421 4.7.0 Too many failed authentication attempts",
    ],
}

EACH = [(reply, *verdict) for verdict, replies in SAID.items() for reply in replies]


@pytest.mark.parametrize(("reply", "action", "reason"), EACH, ids=[row[0] for row in EACH])
def test_what_passes_by_itself_makes_the_driver_wait(reply: str, action: str, reason: str) -> None:
    phase, code, text = reply.split(" ", 2)
    assert classify(phase, int(code), text)[:2] == (action, reason)
