"""Where a connection goes, and how it begins: addresses, greeting, EHLO."""

from dataclasses import replace

import pytest

from portal.transport.base import Network
from portal.transport.destinations import MemoryResolver, Policy
from portal.transport.smtp.account import Account
from portal.transport.smtp.connection import Connection
from tests.support.scripted_server import CLOSE, PLENTY, SILENCE, ScriptedServer
from tests.transport.smtp.test_connection import NETWORK, ORDER, failure_of, failure_when, relay, send, yes

pytestmark = pytest.mark.any_database


def merchant(server: ScriptedServer, *addresses: str) -> tuple[Account, Policy]:
    resolver = MemoryResolver({"smtp.shop.example": addresses})
    account = Account("smtp.shop.example", server.port, "none")
    return account, Policy(["127.0.0.0/8", "2001:db8::/32"], [server.port], resolver)


def test_addresses_are_tried_in_order_until_one_answers() -> None:
    with ScriptedServer() as server:  # there is no route to the first, and nobody at the second
        account, policy = merchant(server, "2001:db8::1", "127.0.0.2", "127.0.0.1")
        with Connection(account, network=Network(policy), timeouts=PLENTY) as connection:
            connection.send(ORDER, yes)
    assert server.connections == 1


@pytest.mark.parametrize("first", [CLOSE, "421 4.3.2 going down", "554 5.7.1 not from there", "SSH-2.0-OpenSSH_9.2"])
def test_an_address_that_does_not_greet_gives_way_to_the_next(first: str) -> None:
    with ScriptedServer() as good, ScriptedServer({"greeting": first}, address="127.0.0.2", port=good.port) as bad:
        account, policy = merchant(good, "127.0.0.2", "127.0.0.1")
        with Connection(account, network=Network(policy), timeouts=PLENTY) as connection:
            connection.send(ORDER, yes)
    assert (bad.connections, len(good.mails)) == (1, 1)


@pytest.mark.parametrize("refusing", ["127.0.0.1", "127.0.0.2"])
def test_of_addresses_that_all_fail_the_one_that_says_most_is_told(refusing: str) -> None:
    said = {"127.0.0.1": CLOSE, "127.0.0.2": CLOSE, refusing: "554 5.7.1 not from there"}
    one = ScriptedServer({"greeting": said["127.0.0.1"]})
    with one, ScriptedServer({"greeting": said["127.0.0.2"]}, address="127.0.0.2", port=one.port):
        account, policy = merchant(one, "127.0.0.2", "127.0.0.3", "127.0.0.1")
        failure = failure_of(lambda: Connection(account, network=Network(policy), timeouts=PLENTY).__enter__())
    assert (failure.phase, failure.reply.code) == ("connect", 554)


def test_a_greeting_has_a_time_of_its_own() -> None:
    failure = failure_when({"greeting": SILENCE}, replace(PLENTY, greeting=0.1))
    assert (failure.phase, failure.reply.text) == ("connect", "timeout")


def test_a_forbidden_address_is_never_dialled() -> None:
    with ScriptedServer() as server:
        account, _ = merchant(server)
        policy = Policy([], [server.port], MemoryResolver({"smtp.shop.example": ["8.8.8.8", "127.0.0.1"]}))
        failure = failure_of(lambda: Connection(account, network=Network(policy)).__enter__())
    assert (failure.phase, failure.reply.text, server.connections) == ("connect", "dns", 0)


def test_an_unknown_name_says_so() -> None:
    account = Account("nowhere.example", 587)
    failure = failure_of(lambda: Connection(account, network=Network(Policy(resolver=MemoryResolver({})))).__enter__())
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("connect", 0, "dns")


def test_a_closed_port_is_lost() -> None:
    with ScriptedServer() as server:
        account = relay(server)
    failure = failure_of(lambda: Connection(account).__enter__())
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("connect", 0, "lost")


@pytest.mark.parametrize("refusal", ["500 what?", "501 5.5.4 invalid name", "502 what?", "550 not you"])
def test_a_server_that_refuses_ehlo_gets_helo(refusal: str) -> None:
    server = ScriptedServer({"EHLO": refusal, "HELO": "250 hello"})
    send(server)
    assert "helo portal.example" in server.commands


def test_where_nothing_works_without_ehlo_its_refusal_is_the_cause() -> None:
    with ScriptedServer({"EHLO": "501 5.5.4 invalid name", "HELO": "250 hello"}) as server:
        account = replace(relay(server), username="shop", password="correct horse")
        failure = failure_of(lambda: Connection(account, timeouts=PLENTY, network=NETWORK).__enter__())
    assert (failure.phase, failure.reply.code) == ("ehlo", 501)
