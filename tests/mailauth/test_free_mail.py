"""Mailboxes that anybody can open."""

import pytest

from portal.mailauth.free_mail import is_free_mail

pytestmark = pytest.mark.any_database

THEIRS = """
    yahoo.com yahoo.de yahoo.co.uk yahoo.com.br yahoo.co.jp aol.de gmx.at gmx.co.uk hotmail.co.th
    hotmail.com.ar live.nl outlook.jp outlook.com.br msn.com yandex.com.tr ymail.com rocketmail.com comcast.net
    att.net verizon.net web.de t-online.de freenet.de orange.fr wanadoo.fr free.fr sfr.fr laposte.net libero.it
    virgilio.it tiscali.it alice.it seznam.cz wp.pl o2.pl onet.pl interia.pl mail.ru yandex.ru qq.com 163.com
    126.com sina.com naver.com daum.net rediffmail.com uol.com.br bol.com.br terra.com.br proton.me
    protonmail.com tutanota.de icloud.com me.com mac.com zoho.com fastmail.com bigpond.com btinternet.com
    sky.com virginmedia.com ntlworld.com talktalk.net bluewin.ch hispeed.ch telenet.be skynet.be ziggo.nl
    kpnmail.nl xs4all.nl home.nl hetnet.nl online.no telia.com
"""
OTHERS = """
    yahoo.example-shop.com shop.yahoo.com notyahoo.com yahoo.shop yahoo.org.example my-gmx.de gmx.de.example
    live.studio outlook-shop.de web.de.example myweb.de xn--gmx-bcher-kva.de gmail.com.example yahoo.info yahoo
    hotmail..com
"""


def test_free_mail_is_known_by_its_domain() -> None:
    assert is_free_mail("shop@GMX.de") and is_free_mail("shop@gmail.com") and is_free_mail("gmail.com")
    assert not is_free_mail("gmail.com@acme.example")


@pytest.mark.parametrize(
    "domain",
    THEIRS.split(),
)
def test_so_are_those_of_each_country(domain: str) -> None:
    assert is_free_mail(f"shop@{domain}") and is_free_mail(f" Shop@{domain.upper()}.\u200b")


@pytest.mark.parametrize(
    "domain",
    OTHERS.split(),
)
def test_a_domain_that_only_looks_like_one_is_somebodys_own(domain: str) -> None:
    assert not is_free_mail(f"shop@{domain}")
