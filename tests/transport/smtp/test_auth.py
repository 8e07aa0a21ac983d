"""TLS and sign-in: nothing secret is said to a server that has not proved its name, and only once to one that has."""

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.dh import DHParameterNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, ParameterFormat, PrivateFormat

from portal.transport.base import OTHER_SIGN_IN, Envelope, Mail, Network, Timeouts
from portal.transport.destinations import MemoryResolver, Policy
from portal.transport.smtp.account import Account, Encryption, readable
from portal.transport.smtp.connection import Connection
from portal.transport.smtp.failure import SMTPFailure
from portal.transport.smtp.replies import classify
from portal.transport.wire import LOST_IN_HANDSHAKE, OLD_TLS
from tests.support.scripted_server import CLOSE, DRIP, PLENTY, SILENCE, Answer, ScriptedServer, ends_in

pytestmark = pytest.mark.any_database

NAME = "smtp.shop.example"
USER, PASSWORD = "shop@shop.example", "correct horse battery"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def server_context(authority: trustme.CA, name: str = NAME, not_after: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=not_after).configure_cert(context)
    return context


def submission(
    context: ssl.SSLContext | None,
    answers: dict[str, Answer] | None = None,
    *,
    extensions: Sequence[str] = ("PIPELINING", "STARTTLS", "AUTH PLAIN LOGIN"),
    implicit: bool = False,
) -> ScriptedServer:
    return ScriptedServer(answers, extensions=extensions, tls=context, implicit_tls=implicit)


def connection(
    server: "ScriptedServer | OldServer",
    ca_file: str | None,
    encryption: Encryption = "starttls",
    timeouts: Timeouts = PLENTY,
) -> Connection:
    account = Account(NAME, server.port, encryption, USER, PASSWORD)
    policy = Policy(["127.0.0.0/8"], [server.port], MemoryResolver({NAME: ["127.0.0.1"]}))
    return Connection(account, timeouts=timeouts, network=Network(policy, ca_file, "portal.example"))


def refusal(
    server: ScriptedServer, ca_file: str | None, encryption: Encryption = "starttls", timeouts: Timeouts = PLENTY
) -> SMTPFailure:
    with server, pytest.raises(SMTPFailure) as caught:
        connection(server, ca_file, encryption, timeouts).__enter__()
    return caught.value


def auth_commands(server: ScriptedServer) -> list[str]:
    return [command for command in server.commands if command.startswith("AUTH")]


def plain(user: str, password: str) -> str:
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_a_mail_goes_out_signed_in_and_encrypted(authority: trustme.CA, ca_file: str, encryption: Encryption) -> None:
    steps: list[str] = []
    with submission(server_context(authority), implicit=encryption == "tls") as server:
        link = connection(server, ca_file, encryption)
        link.on_step = steps.append
        with link:
            link.send(Mail(Envelope(USER, "customer@shop.example"), b"Hello\r\n"), lambda: True)
    assert server.mails == [b"Hello\r\n"]
    assert auth_commands(server) == [f"AUTH PLAIN {plain(USER, PASSWORD)}"]
    assert steps == ["resolve", "connect", "tls", "sign_in", "sender", "recipient", "accepted"]


def test_ehlo_is_said_again_under_tls(authority: trustme.CA, ca_file: str) -> None:
    with submission(server_context(authority)) as server, connection(server, ca_file):
        pass
    assert server.commands[:3] == ["EHLO portal.example", "STARTTLS", "EHLO portal.example"]


def test_login_is_spoken_where_plain_is_not_offered(authority: trustme.CA, ca_file: str) -> None:
    answers: dict[str, Answer] = {"AUTH": "334 VXNlcm5hbWU6", "*": ["334 UGFzc3dvcmQ6", "235 2.7.0 ok"]}
    server = submission(server_context(authority), answers, extensions=("STARTTLS", "AUTH=LOGIN XOAUTH2"))
    with server, connection(server, ca_file):
        pass
    spoken = [base64.b64decode(line).decode() for line in server.commands[4:6]]
    assert (server.commands[3], spoken) == ("AUTH LOGIN", [USER, PASSWORD])


def test_a_refused_sign_in_is_not_tried_again(authority: trustme.CA, ca_file: str) -> None:
    server = submission(server_context(authority), {"AUTH": "535 5.7.8 Username and Password not accepted"})
    failure = refusal(server, ca_file)
    assert (failure.phase, failure.reply.code) == ("auth", 535)
    assert len(auth_commands(server)) == 1


@pytest.mark.parametrize(
    "refused", ["504 5.5.4 mechanism not supported", "502 5.5.1 not implemented", "534 5.7.9 xyzzy"]
)
def test_where_the_mechanism_is_refused_the_other_one_is_tried_once(
    authority: trustme.CA, ca_file: str, refused: str
) -> None:
    steps: list[str] = []
    server = submission(server_context(authority), {"AUTH": [refused, "334 VXNlcm5hbWU6"], "*": ["334 UGFz", "235 ok"]})
    with server:
        account = Account(NAME, server.port, "starttls", USER, PASSWORD)
        policy = Policy(["127.0.0.0/8"], [server.port], MemoryResolver({NAME: ["127.0.0.1"]}))
        network = Network(policy, ca_file, "portal.example")
        with Connection(account, timeouts=PLENTY, network=network, on_step=steps.append):
            pass
    assert [command.split()[1] for command in auth_commands(server)] == ["PLAIN", "LOGIN"]
    assert steps[-2:] == [OTHER_SIGN_IN, "sign_in"]


@pytest.mark.parametrize(
    "refused",
    [
        "535 5.7.8 wrong password", "534 5.7.9 Application-specific password required", "538 encryption required",
        "504 5.5.4 Encryption required for requested authentication mechanism", "454 4.7.0 try later",
        "500 what?", "501 5.5.2 cannot decode",
    ],
)  # fmt: skip
def test_any_other_refusal_of_a_sign_in_is_not_repeated(authority: trustme.CA, ca_file: str, refused: str) -> None:
    server = submission(server_context(authority), {"AUTH": refused})
    refusal(server, ca_file)
    assert len(auth_commands(server)) == 1


def test_a_sign_in_longer_than_a_command_line_waits_to_be_asked(authority: trustme.CA, ca_file: str) -> None:
    long = "x" * 400
    server = submission(server_context(authority), {"AUTH": "334 ", "*": "235 2.7.0 ok"})
    with server:
        account = Account(NAME, server.port, "starttls", USER, long)
        policy = Policy(["127.0.0.0/8"], [server.port], MemoryResolver({NAME: ["127.0.0.1"]}))
        with Connection(account, timeouts=PLENTY, network=Network(policy, ca_file, "portal.example")):
            pass
    assert auth_commands(server) == ["AUTH PLAIN"]
    assert plain(USER, long) in server.commands


def test_a_reply_in_chinese_is_read_in_its_own_encoding() -> None:
    account = Account(NAME, 465, "tls", USER, PASSWORD)
    assert readable("Error: 请使用授权码登录。".encode("gbk"), account) == "Error: 请使用授权码登录。"
    assert readable("Postfach überfüllt".encode("latin-1"), account) == "Postfach überfüllt"
    assert classify("auth", 535, readable("请使用授权码登录".encode("gbk"), account)).reason == "app_password_required"


def test_a_server_that_speaks_no_mechanism_of_ours_is_told_nothing(authority: trustme.CA, ca_file: str) -> None:
    server = submission(server_context(authority), extensions=("STARTTLS", "AUTH XOAUTH2 CRAM-MD5"))
    failure = refusal(server, ca_file)
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("auth", 0, "unsupported")
    assert auth_commands(server) == []


@pytest.mark.parametrize("wrong", ["name", "expired", "unknown authority"])
@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_a_server_that_cannot_prove_its_name_gets_no_credentials(
    authority: trustme.CA, ca_file: str, encryption: Encryption, wrong: str
) -> None:
    context = {
        "name": lambda: server_context(authority, "mail.elsewhere.example"),
        "expired": lambda: server_context(authority, not_after=datetime(2020, 1, 1, tzinfo=UTC)),
        "unknown authority": lambda: server_context(trustme.CA()),
    }[wrong]()
    server = submission(context, implicit=encryption == "tls")
    failure = refusal(server, ca_file, encryption)
    assert (failure.phase, failure.reply.code) == ({"tls": "connect", "starttls": "starttls"}[encryption], 0)
    assert failure.reply.text == "tls"
    assert auth_commands(server) == []


def test_only_the_extra_ca_file_makes_this_authority_trusted(authority: trustme.CA) -> None:
    assert refusal(submission(server_context(authority)), None).reply.text == "tls"


# 1024 bits (RFC 2409 section 6.2)
OAKLEY_GROUP_2 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)


class OldServer:
    """A submission server that says by an alert why it makes no connection, as mail servers do."""

    def __init__(self, context: ssl.SSLContext, *, implicit: bool) -> None:
        self.context, self.implicit = context, implicit
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "OldServer":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join(10)
        self.listener.close()

    def _serve(self) -> None:
        client, _ = self.listener.accept()
        with client, contextlib.suppress(OSError):
            if not self.implicit:
                client.sendall(b"220 ready\r\n")
                client.recv(1024)
                client.sendall(b"250-old\r\n250 STARTTLS\r\n")
                client.recv(1024)
                client.sendall(b"220 go on\r\n")
            self.context.wrap_socket(client, server_side=True).close()


def old_version(authority: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_context(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    return context


def old_ciphers(authority: trustme.CA, ciphers: str) -> ssl.SSLContext:
    context = server_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    return context


def small_dh_key(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    context = old_ciphers(authority, "DHE-RSA-AES128-GCM-SHA256")
    authority.issue_cert(NAME, key_type=trustme.KeyType.RSA).configure_cert(context)
    group = DHParameterNumbers(OAKLEY_GROUP_2, 2).parameters()
    (folder / "dh.pem").write_bytes(group.parameter_bytes(Encoding.PEM, ParameterFormat.PKCS3))
    context.load_dh_params(str(folder / "dh.pem"))
    return context


def small_key_of_certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server whose certificate has a key of 1024 bits, and the file that makes it trusted."""
    key = rsa.generate_private_key(65537, 1024)
    validity = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, *validity)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "all.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()) + pem
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(folder / "all.pem")
    return context, str(folder / "ca.pem")


def test_a_server_that_hangs_up_in_the_handshake_is_told_from_one_that_does_so_later(
    authority: trustme.CA, ca_file: str
) -> None:
    reply = refusal(submission(old_version(authority, ssl.TLSVersion.TLSv1_1)), ca_file).reply
    assert (reply.text, reply.detail) == ("lost", LOST_IN_HANDSHAKE)


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("TLS 1.0", "tlsv1 alert protocol version"),
        ("TLS 1.1", "tlsv1 alert protocol version"),
        ("ciphers without forward secrecy", "sslv3 alert handshake failure"),
        ("a small key for the exchange", "dh key too small"),
        ("a small key of the certificate", "EE certificate key too weak"),
    ],
)
def test_a_server_whose_encryption_is_too_old_is_told_from_others(
    authority: trustme.CA, ca_file: str, tmp_path: Path, encryption: Encryption, what: str, named: str
) -> None:
    trusted = ca_file
    match what:
        case "TLS 1.0":
            context = old_version(authority, ssl.TLSVersion.TLSv1)
        case "TLS 1.1":
            context = old_version(authority, ssl.TLSVersion.TLSv1_1)
        case "a small key for the exchange":
            context = small_dh_key(authority, tmp_path)
        case "a small key of the certificate":
            context, trusted = small_key_of_certificate(tmp_path)
        case _:
            context = old_ciphers(authority, "AES128-SHA")
    with OldServer(context, implicit=encryption == "tls") as server, pytest.raises(SMTPFailure) as caught:
        connection(server, trusted, encryption).__enter__()
    assert (caught.value.reply.text, caught.value.reply.detail) == ("tls", f"{OLD_TLS} ({named})")


def test_nothing_goes_in_the_clear_where_starttls_is_stripped(ca_file: str) -> None:
    server = submission(None, extensions=("AUTH PLAIN LOGIN",))
    failure = refusal(server, ca_file)
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("starttls", 0, "tls")
    assert server.commands == ["EHLO portal.example"]


def test_a_refused_starttls_ends_there(authority: trustme.CA, ca_file: str) -> None:
    failure = refusal(submission(server_context(authority), {"STARTTLS": "454 TLS not available"}), ca_file)
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("starttls", 454, "TLS not available")


def test_replies_smuggled_in_before_tls_are_not_believed(authority: trustme.CA, ca_file: str) -> None:
    server = submission(server_context(authority), {"STARTTLS": "220 go on\r\n250-evil\r\n250 AUTH PLAIN"})
    failure = refusal(server, ca_file)
    assert (failure.phase, failure.reply.text) == ("starttls", "tls")
    assert auth_commands(server) == []


def test_no_password_is_sent_without_encryption(ca_file: str) -> None:
    server = submission(None)
    failure = refusal(server, ca_file, "none")
    assert (failure.phase, failure.reply.text) == ("auth", "tls")
    assert auth_commands(server) == []


def test_the_platforms_own_relay_may_be_signed_in_to_in_the_clear() -> None:
    with submission(None) as server, Connection(Account("127.0.0.1", server.port, "none", USER, PASSWORD, exempt=True)):
        pass
    assert len(auth_commands(server)) == 1


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_a_service_without_tls_behind_the_port_ends_quickly(ca_file: str, encryption: Encryption) -> None:
    failure = refusal(submission(None, {"STARTTLS": "220 go on\r\n" + "x" * 100}), ca_file, encryption)
    assert failure.reply.text in ("tls", "timeout")


@pytest.mark.parametrize(("behaviour", "text"), [(CLOSE, "lost"), (SILENCE, "timeout"), (DRIP, "timeout")])
@pytest.mark.parametrize("point", ["STARTTLS", "AUTH"])
def test_a_failing_server_is_bounded(
    authority: trustme.CA, ca_file: str, point: str, behaviour: str, text: str
) -> None:
    def attempt(timeouts: Timeouts) -> SMTPFailure:
        return refusal(submission(server_context(authority), {point: behaviour}), ca_file, timeouts=timeouts)

    failure = ends_in(point.lower(), attempt)
    assert (failure.phase, failure.reply.code, failure.reply.text) == (point.lower(), 0, text)


@pytest.mark.parametrize(
    "echo",
    [
        f"535 5.7.8 bad: AUTH PLAIN {plain(USER, PASSWORD)}",
        f"535 5.7.8 {plain(USER, PASSWORD)}",
        f"535-no\r\n535 user {USER} with {PASSWORD} refused",
        f"535 {base64.b64encode(PASSWORD.encode()).decode()}",
    ],
)
def test_a_server_that_echoes_secrets_is_not_quoted_with_them(authority: trustme.CA, ca_file: str, echo: str) -> None:
    failure = refusal(submission(server_context(authority), {"AUTH": echo}), ca_file)
    shown = f"{failure} {failure!r} {failure.reply!r}"
    assert "[removed]" in shown
    for secret in (PASSWORD, plain(USER, PASSWORD), base64.b64encode(PASSWORD.encode()).decode()):
        assert secret not in shown


def test_an_account_never_shows_its_password() -> None:
    assert PASSWORD not in repr(Account(NAME, 587, "starttls", USER, PASSWORD))


@pytest.mark.parametrize(
    ("url", "account"),
    [
        ("smtp://127.0.0.1:8025", Account("127.0.0.1", 8025, "none", exempt=True)),
        ("smtp://relay.example", Account("relay.example", 25, "none", exempt=True)),
        ("smtps://u:p@relay.example", Account("relay.example", 465, "tls", "u", "p", exempt=True)),
        (
            "smtp+starttls://u%40x:p%2F%23@r.example:2525",
            Account("r.example", 2525, "starttls", "u@x", "p/#", exempt=True),
        ),
        ("smtp://[::1]:25", Account("::1", 25, "none", exempt=True)),
    ],
)
def test_the_relay_is_read_from_its_url(url: str, account: Account) -> None:
    assert Account.from_url(url) == account


@pytest.mark.parametrize(
    "url",
    ["", "relay:25", "http://relay", "smtp://", "smtp://h:x", "smtp://h:99999", "smtp://user@h", "smtp://u:se#cret@h"],
)
def test_a_malformed_relay_is_refused_with_a_sentence_that_hides_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+") as caught:
        Account.from_url(url)
    assert "cret" not in str(caught.value)


def test_the_authority_file_is_read_as_given(tmp_path: Path) -> None:
    with ScriptedServer() as server, pytest.raises(OSError, match="No such file"):
        connection(server, str(tmp_path / "missing.pem"), "tls").__enter__()


def test_a_connection_lost_in_the_middle_of_tls_says_nothing_about_the_settings(ca_file: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            client, _ = listener.accept()
            client.recv(1)
            client.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        port = listener.getsockname()[1]
        account = Account(NAME, port, "tls", USER, PASSWORD)
        policy = Policy(["127.0.0.0/8"], [port], MemoryResolver({NAME: ["127.0.0.1"]}))
        with pytest.raises(SMTPFailure) as caught:
            Connection(account, timeouts=PLENTY, network=Network(policy, ca_file)).__enter__()
        thread.join(5)
    assert (caught.value.phase, caught.value.reply.text) == ("connect", "lost")
