"""The rule table behind replies.classify: what servers write, and what they mean by it.

The first rule that matches decides, so the particular stands before the general. Patterns see the text in lower
case, in one line, without the status codes repeated on each line, without URLs and addresses.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from portal.transport.base import Action

RETRY, FAIL, PAUSE, BACKOFF = Action

ANY = "connect ehlo starttls auth mail rcpt data dot"
OPENING = "connect ehlo starttls auth"
SENDER = "connect ehlo starttls auth mail data dot"  # where nothing has been said of a recipient, or much else too
BODY = "data dot"
AUTH = "connect ehlo starttls auth mail"
MESSAGE = "mail rcpt data dot"
RECIPIENT = "rcpt data dot"


class Rule(NamedTuple):
    """`codes` must match "550 5.7.1"; without an `action` the reason's own holds (replies.ACTIONS)."""

    reason: str
    pattern: re.Pattern[str]
    phases: frozenset[str]
    codes: re.Pattern[str]
    action: str | None
    source: str


def _rule(
    reason: str, pattern: str, source: str, phases: str = ANY, codes: str = "", action: str | None = None
) -> Rule:
    return Rule(reason, re.compile(pattern), frozenset(phases.split()), re.compile(codes), action, source)


GOOGLE = "support.google.com/a/answer/3726730"
NDR = "learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online"
OUTLOOK = "learn.microsoft.com/troubleshoot/exchange (client submission); sendersupport.olc.protection.outlook.com"
SES = "docs.aws.amazon.com/ses/latest/dg/troubleshoot-smtp.html"
POSTFIX, EXIM, SENDMAIL = "Postfix smtpd and its source", "Exim's source", "sendmail's proto.m4"
YAHOO = "senders.yahooinc.com/smtp-error-codes"
COX = "cox.com/residential/support/email-error-codes.html"
GODADDY = "GoDaddy's bounce codes (IB...)"
FRENCH = "Orange's and La Poste's bounce codes (OFR, LPN)"
CHINESE = "help.mail.qq.com, help.mail.163.com"
NETEASE = "help.mail.163.com (codes of refusals)"
RUSSIAN = "help.yandex.ru/mail, help.mail.ru"
RELAYS = "sending services: SendGrid, Mailgun, Brevo, Postmark, SparkPost, Mailjet, Resend"
HOSTING = "cPanel, Plesk, mailcow, Postal"
RFC = "RFC 3463, 4954, 5321, 7372"
COMMON = "wordings that many servers share"

# No enhanced code that says more than a general word does.
VAGUE = r"^\d{3}(?! \d\.(1\.\d|2\.[1-4]|6\.\d|7\.[489]|7\.[12]\d)$)"

_WHO = r"(account|user|server|sender|domain|tenant|customer|organi[sz]ation|mailbox)s?"
_SHUT = (
    r"(suspended|disabled|deactivated|blocked|locked|frozen|terminated|banned|inactive|bloque|archived|paused|"
    r"restricted|compromised)"
)
_DAILY = r"(daily|monthly|(per|a|one|the|this) (day|month)|24[- ]?hours?|today|tomorrow|credits)"
_HOURLY = r"(hourly|(per|an?|this|each|last) (hour|minute|second))"
_LIMIT = r"(quota|limits?|credits|maximum|too many|exceed\w*)"
_FULL = (
    r"over ?(the |its |his )?(disk )?quota|(mailbox|inbox|account|user|folder)\b.{0,30}\bfull|out of storage|pleine|"
    r"storage (allocation|limit|space)|mailbox size|(mail|in)box exceed|quota violation|"
    r"quota( limit)? (is |was )?(exceeded|full|reached)|exceed\w* .{0,24}quota|(not enough|insufficient) disk|"
    r"speicherplatz"
)
_NO_DOMAIN = (
    r"(domain (\S+ )?(not found|does(n't| not) (exist|resolve)|has no)|non-?existent (domain|host)|no mx|unresolvable|"
    r"dns (query|lookup|error|fail|temp|domain)|(cannot|could not|unable to) resolve|host not found|name service)"
)

# fmt: off
RULES: tuple[Rule, ...] = (
    # Encryption
    _rule("local_error", r"pipeline after starttls|starttls may not be repeated", GOOGLE),
    _rule("tls_failed", r"", RFC, "starttls", "^50[0124]"),
    _rule("tls_required", r"(issue|use|send) (a |the )?starttls|starttls (command )?(is )?(first|required)", GOOGLE),
    _rule("tls_required", r"\b(tls|ssl|encryption)\b.{0,20} (required|needed)\b|over a (tls|secure) conn", GOOGLE),
    _rule("tls_required", r"(requires?|without|must use) [\w ]{0,12}(ssl|tls|encryption|secure conn)", RUSSIAN),
    _rule("tls_required", r"", RFC, codes=r"^(523|538)(?! \d\.[^7])|\d\.7\.1[01]$"),
    _rule("quota_daily", r"only \d+ (messages|e?-?mails|recipients) (per|a|each) (day|month)|(exceeded|over) your "
          r"(out\w*|sending|smtp|relay) quota", HOSTING, MESSAGE, action=BACKOFF),
    _rule("dns_failure", r"dns check failed", CHINESE, MESSAGE, "^5"),
    # What is told by code words, and what would be taken for something else below
    _rule("too_many_connections", r"\b(mi:(dmc|cel|ccl)|rp:(drc|ccl)|hl:icc)\b", NETEASE, action=BACKOFF),
    _rule("rate_limited", r"\b(mi:sfq|rp:(qrc|cel)|hl:(ifc|rep|mep))\b", NETEASE, action=BACKOFF),
    _rule("quota_daily", r"\bmi:stc\b", NETEASE, action=BACKOFF),
    _rule("send_as_denied", r"\bdt:sum\b", NETEASE, MESSAGE),
    _rule("content_rejected", r"\bdt:spm\b", NETEASE, MESSAGE),
    _rule("ip_blocked", r"\b(dt:rbl|wm:bli)\b", NETEASE),
    _rule("greylisted", r"gr[ea]y-?\s?listing in action", POSTFIX, RECIPIENT, "^4"),
    _rule("local_error", r"\blicen[cs]es?\b", COMMON, RECIPIENT, "^4", RETRY),
    _rule("rate_limited", r"limited to \d+ [\w-]+ ?(/|per\b|an?\b|every\b)", HOSTING, action=BACKOFF),
    _rule("rate_limited", r"too many (invalid|unknown|bad|wrong) (recipient|user|address|rcpt)", COMMON, RECIPIENT,
          action=BACKOFF),
    # Sign-in: what is wrong with the account comes before wrong passwords
    _rule("app_password_required", r"app(lication)?[- ](specific )?password|authori[sz]ation code|授权码", GOOGLE),
    _rule("app_password_required", r"parol\w* prilozheni|пароль приложени", RUSSIAN, "auth"),
    _rule("app_password_required", r"(2|two|second)[- ]?(step|factor)|\b[2m]fa\b", GOOGLE, "auth"),
    _rule("browser_sign_in_required", r"web ?browser|verdict is hip|captcha", OUTLOOK, SENDER),
    _rule("browser_sign_in_required", r"not a robot|use (the )?web for sending", RUSSIAN),
    _rule("basic_auth_retired", r"basic auth\w* (is |has been )?(disabled|not (supported|allowed)|retired)", NDR),
    _rule("basic_auth_retired", r"", NDR, "auth mail", r"\d\.7\.30$"),
    _rule("security_defaults", r"security defaults|meet the criteria|conditional access", NDR, "auth"),
    _rule("account_suspended", r"not subscribed|not (yet )?(been )?(activated|approved)", SES, SENDER),
    _rule("account_suspended", r"unpaid|overdue|past due|pending (approval|review|activation)|under review|"
          r"activate your|(plan|trial|subscription|licen[cs]e)\b.{0,20} (expired|ended|cancell?ed)", RELAYS),
    _rule("smtp_auth_disabled", r"smtp ?(client)? ?auth\w*( is)? (disabled|not enabled)|access rights", NDR, AUTH),
    _rule("smtp_auth_disabled", r"\b(smtp|pop3?|imap)\b.{0,20}\b(closed|disabled|not enabled|off)\b", CHINESE, AUTH),
    _rule("smtp_auth_disabled", r"no permission|not (authorized|permitted|allowed) to (use|perform)", CHINESE, AUTH),
    _rule("smtp_auth_disabled", r"auth\w* (command )?(is |used when )?(not|un)[ -]?(enabled|allowed|supported|"
          r"available|advertised|impl\w+)", POSTFIX, AUTH, "^5"),
    _rule("smtp_auth_disabled", r"(unrecogni[sz]ed|unsupported|unknown|invalid) auth\w* (type|mech)|mechanism", RFC,
          "auth"),
    _rule("smtp_auth_disabled", r"not (implemented|supported|available)|un(recogni[sz]ed|known|implemented)", RFC,
          "auth", "^50[0-4]"),
    _rule("too_many_logins", r"too many (times|(?!bad )(\w+ )?(log ?in|logon|sign.?in|auth\w*)s? (attempt|fail|"
          r"tr(y|ies)))|too many (failed|unsuccessful)|"
          r"too many (\w+ )?(attempt|fail)\w*.*\b(later|in \d+|after|wait)\b|"
          r"^(?!.*password is incorrect).*log ?in frequency limited", COMMON, "auth", action=BACKOFF),
    _rule("account_suspended", rf"{_WHO}\b(?!.{{0,30}}(exceed|limit)).{{0,50}}\b{_SHUT}(?! by)", HOSTING,
          OPENING),
    _rule("too_many_logins", r"too many\b.{0,24}\b(log ?in|logon|auth)", GOOGLE, codes="^4"),
    _rule("quota_daily", rf"{_LIMIT}.*{_DAILY}|{_DAILY}.*{_LIMIT}|exceeded .*(messag|mail|send)\w* (quota|limit)",
          RELAYS, "auth"),
    _rule("service_unavailable", r"tempora|system problem|connection lost|internal|server error|try again", POSTFIX,
          "auth", "^4"),
    _rule("service_unavailable", r"unreachable|(?<!or system is )busy|temporar(y|ily) (un|fail|problem|error|system|"
          r"auth)|server failed|connection (lost|refused|reset|timed out|fail)|internal (server )?error|(auth\w*|sasl|"
          r"ldap|password|backend) (server|service|daemon|backend) .{0,20}(error|fail|un|not|down|time)", NDR, "auth",
          action=BACKOFF),
    _rule("bad_credentials", r"password transition|password (has |is )?expired", RFC, "auth mail", action=PAUSE),
    _rule("bad_credentials", r"auth\w*( has)? (fail|unsuccess|cred|invalid)|could not authenticate|bad auth|"
          r"(not |un)authenticated(?! e?-?mail| message)", COMMON,
          "auth mail"),
    _rule("bad_credentials", r"(log ?in|user ?name|password|credential)s?\b.{0,30}\b(fail|invalid|incorrect|wrong|"
          r"bad|not acc)|(invalid|incorrect|wrong|bad) (log ?in|user|password|credential)(?!s for relay)", COMMON,
          "auth"),
    # The sender's account is shut, full, or may not send at all
    _rule("recipient_disabled", rf"^(?!.*\b(your|send|sending|outgoing)\b).*{_SHUT}", RFC, RECIPIENT, r"\d\.2\.1$"),
    _rule("recipient_disabled", r"discontinued", YAHOO, RECIPIENT),
    _rule("rate_limited", r"tenant has exceeded|exceeded (\w+ )?thresholds?\b|recipient rate limit\)?$", NDR,
          MESSAGE, action=BACKOFF),
    _rule("account_suspended", r"bad outbound sender|spam abuse|verdict is (refusequota|suspend)", NDR),
    _rule("account_suspended", r"(unusual|suspicious|abnormal) (\w+ )?activit", RELAYS, action=PAUSE),
    _rule("account_suspended", r"sending (has been |is |was )?(denied|suspended|paused|disabled|blocked)", SES),
    _rule("account_suspended", rf"(outgoing (e-?mails?|messages?|mail)|outbounds?)\b.*{_SHUT}", HOSTING, MESSAGE),
    _rule("account_suspended", rf"(your|sender'?s?|sending|smtp|customer) (\w+ )?(account|domain|service)\b.{{0,40}}"
          rf"\b{_SHUT}|^domain .{{0,40}}\b{_SHUT}|server\b.{{0,20}} suspended|{_SHUT} (for|from) sending(?! from)|"
          rf"e-?mail outgoing {_SHUT}", RELAYS, MESSAGE),
    _rule("account_suspended", rf"^(?!.*(recipient|destinat|you tried|deliver)).*\baccount\b.{{0,40}}\b{_SHUT}", RELAYS,
          BODY, r"^\d{3}(?! \d\.[12]\.)"),
    _rule("account_suspended", rf"(account|user|domain)\b.{{0,40}}\b{_SHUT}", RELAYS, "mail"),
    _rule("sender_mailbox_full", r"storedrv\.submission.*shutoffquota|mailbox full.*storedrv\.submission|"
          r"sender'?s (mailbox|quota).*(full|exceeded)|(quota|storage)\b.* (for|of) (the |this )?sender", OUTLOOK),
    # Limits: of one recipient first, then days, connections, speed
    _rule("rate_limited", r"rate ?limit \"(bounce_)?to", "rspamd.com/doc/modules/ratelimit.html", action=RETRY),
    _rule("rate_limited", r"^messages to .{0,30}deferred", "support.apple.com/102322", RECIPIENT, action=RETRY),
    _rule("rate_limited", r"(user|recipient|mailbox)\b.*\b(is receiving|receiving mail|receives|messages they can)",
          GOOGLE, RECIPIENT, action=RETRY),
    _rule("rate_limited", r"too many recent messages|recipient has exceeded|recipient .*(message|rate) limit(?!\))|"
          r"to this recipient per", COMMON, RECIPIENT, action=RETRY),
    _rule("rate_limited", r"too many recipients(?! from\b|.* (hour|day|min))|domains per transaction", RFC,
          RECIPIENT, action=RETRY),
    _rule("rate_limited", r"same message-id", GOOGLE, "dot", "^4", RETRY),
    _rule("domain_authentication", r"rate limited because .*(unauth|\bfrom:|\b(dmarc|spf|dkim)\b)", GOOGLE,
          codes="^4", action=BACKOFF),
    _rule("domain_authentication", r"rate limited because .*(unauth|\bfrom:|\b(dmarc|spf|dkim)\b)", GOOGLE),
    _rule("dns_failure", r"rate limited because .*\bptr\b", GOOGLE, codes="^4", action=BACKOFF),
    _rule("ip_blocked", r"\bip\b.*blocked for (the|an?|another|\d+) |unusual rate of unsolicited.* ip address", GODADDY,
          action=BACKOFF),
    _rule("quota_daily", r"(submission|sending|e-?mail|relay|message) quota (has been |was |is )?(exceeded|reached|"
          r"used up|exhausted)", OUTLOOK, MESSAGE),
    _rule("quota_daily", r"(exceeded|reached|hit) .*(sending|relay|submission) (quota|limit)|"
          r"limit for message recipients|(insufficient|not enough|no|out of) (\w+ )?credits?\b", GODADDY, MESSAGE),
    _rule("quota_daily", rf"{_DAILY}\b.*\b{_LIMIT}|{_LIMIT}\b.*\b{_DAILY}", GOOGLE),
    _rule("rate_limited", rf"{_HOURLY}\b.*\b{_LIMIT}|{_LIMIT}\b.*\b{_HOURLY}", HOSTING),
    _rule("quota_daily", r"", GOOGLE, codes=r"^\d+ 5\.4\.5$"),
    _rule("too_many_connections", r"too frequent connect|"
          r"(too many|concurrent|simultaneous|maximum|trop de|number of) .{0,24}(connexion|"
          r"connection|session)s?\b(?!.*rate (limit|exceed))|connections? (count )?limit|thread limit", POSTFIX),
    _rule("too_many_connections", r"(messages?|mails?) (\w+ )?(per|in) (one |this |a single )?(connection|session)",
          YAHOO),
    _rule("service_unavailable", r"queue quota", OUTLOOK, MESSAGE, "^4"),
    _rule("mailbox_full", _FULL, COMMON, RECIPIENT),
    _rule("sender_mailbox_full", r"quota|\bfull\b", RFC, "mail", r"^552|\d\.2\.2$"),
    _rule("message_too_large", r"size limit|exceed\w* .*size", GOOGLE, MESSAGE, "^5"),
    _rule("rate_limited", r"rate.?limit|ratelimit|(message|mail|connection|sending) rate|limits?\b.* (exceed|reach)ed|"
          r"throttl|too fast|slow down|too quickly|(unusual|unexpected|excessive) (volume|mail|sending|rate)|"
          r"((exceed|reach)ed .*|over (its|your|the) (\w+ )?)limit|frequen(cy|tly)|too much mail|"
          r"too many (messages|e?-?mails|requests|recipients)|max defers|user complaints", HOSTING),
    # Who may send as whom
    _rule("policy_rejected", r"resolver\.rst\.(auth|sender|not ?auth)|recipient (only|does(n't| not)) accept", NDR),
    _rule("unknown_recipient", r"(recipient|user|mailbox) (address )?(is |was )?not (verified|registered|confirmed)",
          COMMON, "rcpt"),
    _rule("smtp_auth_disabled", r"permissions? to submit", NDR, MESSAGE),
    _rule("sender_not_verified", r"(not|isn't|un|never)[ -]?(been |yet )*(verified|registered|confirmed|"
          r"associated with)(?! address)|verif(y|ied) (a |your |the )?(domain|sender|from)|sandbox|unconfigured|"
          r"sender signature|can only send|authorized recipients", RELAYS, f"auth {MESSAGE}"),
    _rule("domain_authentication", r"\b(dmarc|spf|dkim(?!-sig)|sender ?id|sender policy framework)\b", GOOGLE, MESSAGE),
    _rule("bad_credentials", r"auth\w* (is )?(required|requise|needed)|auth\w* first|not logged in|turn on smtp auth|"
          r"without auth|unauthenticated senders|requires? (smtp )?auth|authenticated to send|client was not auth|"
          r"must (be )?auth|log ?in (first|required)|please (auth|log ?in)|(submitter|client|user) failed to auth|"
          r"(invalid|wrong|unknown|missing) (api|smtp) ?(key|token|password|credential)|"
          r"(key|token) (revoked|expired)", EXIM, MESSAGE),
    _rule("send_as_denied", r"send ?as ?denied|permissions? to send (as|from)|send on behalf|(disallowed|denied) as\b|"
          r"not owned|not (a )?local sender|local user only", OUTLOOK, MESSAGE),
    _rule("send_as_denied", r"not (allowed|permitted|authori[sz]ed) to (send|perform|use)(?! (\w+ ){0,2}to\b).*"
          r"\b(as|from|address|behalf|ses:)", SES, MESSAGE),
    _rule("send_as_denied", r"(invalid|unknown|wrong|illegal|unauthori[sz]ed) (sender|mail from)|emetteur invalide|"
          r"sender verify fail|sender (address )?(is |was )?(invalid|mismatch|unknown)|authori[sz]e the sender|"
          r"sender\b.{0,40}\bnot (allowed|valid|permitted|authori[sz]ed|belong)(?! to relay| to \w+ (\w+ ){0,2}to\b)|"
          r"badmailfrom", FRENCH, MESSAGE),
    _rule("send_as_denied", r"(mail )?from (\w+ )?(must|should) |from address is not|same as .*auth|"
          r"((not|must) match|does not belong) .*(auth|user|login)|login do(es)? not match", CHINESE, MESSAGE),
    _rule("send_as_denied", r"sender address rejected: (?!domain)", POSTFIX, MESSAGE, "^5"),
    _rule("send_as_denied", r"request failed; mailbox unavailable", YAHOO, "mail dot", "^5"),
    _rule("account_suspended", r"(not allowed|unable|not permitted) to send (any )?(e-?mails?|messages?|mail)\b"
          r"(?! to (this|that|the))", RELAYS, MESSAGE),
    # Where we come from
    _rule("ip_blocked", r"(customer|recipient'?s) block ?list", NDR, RECIPIENT, action=FAIL),
    _rule("policy_rejected", r"tenant allow|has a policy|policy reasons|local policy", NDR, MESSAGE),
    _rule("ip_blocked", r"aup#", COX, action=BACKOFF),
    _rule("ip_blocked", r"permanently deferred|\bip[- ]based\b", YAHOO),
    _rule("unknown_recipient", r"may not exist", COMMON, RECIPIENT, "^5"),
    _rule("dns_failure", r"cannot find your|reverse (dns|host)|\brdns\b|\bptr\b", POSTFIX, codes="^4", action=BACKOFF),
    _rule("dns_failure", r"\bptr\b|reverse (dns|host|lookup|name)|\brdns\b|cannot find your|invalid dns", GOOGLE),
    _rule("content_rejected", r"domain\b.{0,20} reputation|reputation of the (\w+ )?domain", GOOGLE, MESSAGE),
    _rule("content_rejected", r"\burls?\b|surbl", COMMON, BODY),
    _rule("ip_blocked", r"block(ed)? (list|using)|black ?list|spamhaus|spamcop|barracuda|dns[bw]l|\brbl\b|\(bl\)|"
          r"blocked - see|(banned|unauthori[sz]ed|blocked|listed) .{0,30}\bip\b|\bip\b.{0,60}(banned|blocked|bloque|"
          r"listed|not accepted|unauthori[sz]ed|not (allowed|permitted|authori[sz]ed))|from this ip\b|"
          r"client host .*blocked|banned sender\b|your access to|(low|poor|bad) (\w+ )?reputation", OUTLOOK),
    _rule("unknown_recipient", r"recipient .*domain (not found|does not exist)|find the recipient domain|null ?mx|"
          r"not accept (e?mail|any)", POSTFIX, RECIPIENT, "^5"),
    _rule("unknown_recipient", rf"^(?!.*\b(sender|sending|client|helo|your|mail from)\b).*{_NO_DOMAIN}", POSTFIX,
          RECIPIENT, r"^5\d\d(?! \d\.(1\.[78]|7\.))"),
    _rule("unknown_recipient", r"", RFC, RECIPIENT, r"^5\d\d \d\.4\.([34]|31\d)$"),
    _rule("dns_failure", rf"{_NO_DOMAIN}|domain of sender", POSTFIX),
    # What the mail says
    _rule("content_rejected", r"duplicate header|malformed|rfc ?[25]?[38]22|multiple from|headers?\b(?![- ]based)|"
          r"from: address", SES, BODY, "^5"),
    _rule("domain_authentication", r"(un|not )authenticated|authentication (level|requirement)", GOOGLE, MESSAGE),
    _rule("message_too_large", r"too (large|big|long)\b|(message|mail|maximum|max|fixed).{0,20}size|taille", SENDMAIL,
          MESSAGE, "^5"),
    # The recipient
    _rule("greylisted", r"gr[ea]y-?\s?list|verification in progress|try again (in|after) \d+|postgrey", POSTFIX,
          MESSAGE, "^4"),
    _rule("policy_rejected", r"banned recipient|rejected by recipient|recipient address rejected: .*(polic|abuse|"
          r"block)", NDR, RECIPIENT),
    _rule("recipient_disabled", rf"(account|mail ?box|user|recipient|address|domain|"
          rf"destinataire)\b.{{0,50}}\b{_SHUT}|{_SHUT} (e-?mail |user |mail)?(address|account|recipient|user|mailbox)|"
          rf"no longer|suppression list", COMMON, RECIPIENT),
    _rule("content_rejected", r"spam|virus|malware|phish|unsolicited|suspicious|content|prohibited mail|harmful|"
          r"infected|security issue|attachment|\burls?\b|links within|junk|filtered", GOOGLE, MESSAGE),
    _rule("rate_limited", r"try (again )?later|plus tard|sp(ae|ä|a)ter erneut", FRENCH, MESSAGE, "^5"),
    _rule("dns_failure", r"", POSTFIX, RECIPIENT, r"^4\d\d \d\.1\.2$"),
    _rule("unknown", r"configuration set", SES, MESSAGE, action=PAUSE),
    _rule("unknown_recipient", r"unknown (user|recipient|address|mailbox|local|or)|no such|(does(n't| not)|"
          r"not) exist|doesn't have an?|(invalid|not a valid) (recipient|mailbox|address|user)|"
          r"(mailbox|recipient|address|account|user) (address )?(is )?(un(available|known|deliverable|routeable)|"
          r"not (found|available|known|valid|local)|invalid)|unrout|unbekannt|recipient (address(es)? )?rejected|"
          r"destinataire invalide|no mailbox|addressee|address syntax|mailbox name|empf(ae|ä)nger", COMMON, RECIPIENT),
    # Relaying
    _rule("relay_denied", r"relay|rcpthosts|non-accepted domain|forward path", GOOGLE, MESSAGE),
    # The server itself
    _rule("service_unavailable", r"server (is )?(currently )?(too )?busy", OUTLOOK, codes="^4", action=BACKOFF),
    _rule("service_unavailable", r"insufficient system resources", NDR, AUTH, "^4", BACKOFF),
    _rule("local_error", r"too many (\w+ )?(errors|(unrecognized|unknown|bad|invalid|syntax) commands)", POSTFIX,
          action=BACKOFF),
    _rule("local_error", r"bad sequence|(rcpt|mail|data|ehlo|helo) first|need (mail|rcpt)|identity changes|"
          r"nested mail|already specified|mail from already|sender already|"
          r"command unrecogni|unrecogni[sz]ed command|protocol "
          r"(violation|error)", GOOGLE,
          f"auth {MESSAGE}", "^5", RETRY),
    _rule("rate_limited", r"try again later, closing", GOOGLE, codes="^421"),
    _rule("local_error", r"temporar\w+ (server |internal |local )?(error|reject|fail)|local (error|problem)|internal|"
          r"lookup|queue file|insufficient|storage", POSTFIX, MESSAGE, "^4"),
    _rule("service_unavailable", r"(service|server|system|smtp|tls) .{0,30}(un|not )available|busy|not accepting|"
          r"system problem|unavailable|upstream|time(d )?[ -]?out|shutting|overload|high load|no smtp service|"
          r"try again|refuse\b", COMMON, codes="^4|^5..$"),
    _rule("policy_rejected", r"helo", POSTFIX, action=PAUSE, codes="^5"),
    _rule("policy_rejected", r"client host rejected", POSTFIX, action=PAUSE, codes="^5"),
    _rule("policy_rejected", r"whitelist|policy|denied|administrative|rejected|prohibit|not (allowed|permitted)|"
          r"blocked|refused|forbidden|spoof", POSTFIX, f"connect ehlo starttls {MESSAGE}", VAGUE),
)

# Where no wording is known, the enhanced status code (RFC 3463 and its registry at IANA) speaks: subject.detail.
ENHANCED: dict[str, str] = {
    "1.0": "unknown_recipient", "1.1": "unknown_recipient", "1.2": "unknown_recipient", "1.3": "unknown_recipient",
    "1.6": "recipient_disabled", "1.7": "send_as_denied", "1.8": "dns_failure", "1.10": "unknown_recipient",
    "2.1": "recipient_disabled", "2.2": "mailbox_full", "2.3": "message_too_large",
    "3.2": "service_unavailable", "3.4": "message_too_large",
    "4.0": "service_unavailable", "4.1": "service_unavailable", "4.2": "service_unavailable", "4.3": "dns_failure",
    "4.4": "dns_failure", "4.5": "service_unavailable", "4.7": "service_unavailable", "5.3": "rate_limited",
    "6.0": "content_rejected", "6.1": "content_rejected", "6.6": "content_rejected", "6.7": "content_rejected",
    "7.0": "policy_rejected", "7.1": "policy_rejected", "7.2": "policy_rejected", "7.4": "smtp_auth_disabled",
    "7.8": "bad_credentials", "7.9": "policy_rejected", "7.13": "account_suspended", "7.20": "domain_authentication",
    "7.21": "domain_authentication", "7.22": "domain_authentication", "7.23": "domain_authentication",
    "7.24": "domain_authentication", "7.25": "dns_failure", "7.26": "domain_authentication",
    "7.27": "send_as_denied", "7.28": "rate_limited", "7.29": "tls_required", "7.32": "domain_authentication",
}
# fmt: on
