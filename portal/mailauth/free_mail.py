"""Mailboxes that anybody can open: an address there says nothing about who owns its domain.

Their providers ask receivers to distrust such mail from foreign servers.
"""

from __future__ import annotations

import re

from portal.typed import trimmed

# Those with a domain per country: yahoo.de, yahoo.co.uk, yahoo.com.br. Never yahoo.example-shop.com.
_FAMILY = re.compile(r"(?:aol|gmx|hotmail|live|msn|outlook|yahoo|yandex)\.(?:com|(?:com?\.)?[a-z]{2})")

_WORLDWIDE = """
    duck.com email.com fastmail.com fastmail.fm gmail.com gmx.biz gmx.info gmx.net gmx.org googlemail.com
    hey.com hushmail.com icloud.com inbox.com lycos.com mac.com mail.com mailbox.org mailfence.com me.com mykolab.com
    passport.com pm.me proton.me protonmail.ch protonmail.com rocketmail.com runbox.com startmail.com tuta.com tuta.io
    tutamail.com tutanota.com tutanota.de usa.com windowslive.com ymail.com zoho.com zoho.eu zohomail.com zohomail.eu
    netscape.net aim.com love.com ygm.com games.com wow.com keemail.me skiff.com mail.ee
"""
_AMERICAS = """
    att.net bellsouth.net bellnet.ca charter.net comcast.net cox.net earthlink.net frontier.com frontiernet.net
    juno.com mindspring.com netzero.net optonline.net optimum.net pacbell.net prodigy.net roadrunner.com rr.com
    sbcglobal.net spectrum.net suddenlink.net swbell.net twc.com verizon.net windstream.net rogers.com shaw.ca
    sympatico.ca telus.net videotron.ca bol.com.br globo.com globomail.com ig.com.br oi.com.br r7.com terra.com.br
    uol.com.br zipmail.com.br arnet.com.ar ciudad.com.ar fibertel.com.ar speedy.com.ar prodigy.net.mx
"""
_EUROPE = """
    1und1.de arcor.de email.de freenet.de freenet-mail.de kabelmail.de mail.de mailo.de magenta.de o2mail.de o2online.de
    online.de posteo.de posteo.net t-online.de unitybox.de vodafone.de vodafonemail.de web.de
    a1.net aon.at chello.at inode.at liwest.at
    bluemail.ch bluewin.ch hispeed.ch sunrise.ch swissonline.ch
    9online.fr aliceadsl.fr bbox.fr cegetel.net club-internet.fr free.fr laposte.net mailo.com neuf.fr noos.fr
    numericable.fr orange.fr sfr.fr voila.fr wanadoo.fr
    alice.it email.it fastwebnet.it inwind.it iol.it libero.it tim.it tin.it tiscali.it virgilio.it
    movistar.es ono.com orange.es telefonica.net terra.es ya.com sapo.pt clix.pt iol.pt netcabo.pt
    blueyonder.co.uk btinternet.com btopenworld.com ntlworld.com plusnet.com sky.com talk21.com talktalk.net tesco.net
    tiscali.co.uk virgin.net virginmedia.com eircom.net
    belgacom.be proximus.be scarlet.be skynet.be telenet.be voo.be casema.nl chello.nl hetnet.nl home.nl kpnmail.nl
    kpnplanet.nl onsbrabantnet.nl planet.nl quicknet.nl upcmail.nl xs4all.nl zeelandnet.nl ziggo.nl pt.lu
    bredband.net comhem.se spray.se tele2.se telia.com online.no frisurf.no getmail.no jubii.dk mail.dk ofir.dk
    stofanet.dk tdcadsl.dk elisanet.fi kolumbus.fi luukku.com suomi24.fi
    atlas.cz centrum.cz email.cz post.cz seznam.cz tiscali.cz volny.cz azet.sk centrum.sk post.sk zoznam.sk
    autograf.pl buziaczek.pl gazeta.pl go2.pl interia.eu interia.pl o2.pl onet.eu onet.pl op.pl poczta.fm
    poczta.onet.pl tlen.pl vp.pl wp.pl citromail.hu freemail.hu indamail.hu abv.bg mail.bg
    inet.hr net.hr siol.net otenet.gr inbox.lt inbox.lv
    bk.ru inbox.ru internet.ru list.ru mail.ru rambler.ru ya.ru i.ua meta.ua ukr.net mynet.com
"""
_ASIA_AND_PACIFIC = """
    126.com 139.com 163.com 188.com 189.cn aliyun.com foxmail.com qq.com sina.cn sina.com sina.com.cn sohu.com
    tom.com vip.163.com vip.qq.com vip.sina.com wo.cn yeah.net hinet.net
    docomo.ne.jp ezweb.ne.jp goo.jp i.softbank.jp nifty.com softbank.ne.jp ybb.ne.jp
    daum.net hanmail.net kakao.com nate.com naver.com walla.co.il walla.com
    indiatimes.com rediff.com rediffmail.com sify.com vsnl.net
    bigpond.com bigpond.com.au bigpond.net.au iinet.net.au internode.on.net optusnet.com.au tpg.com.au westnet.com.au
    xtra.co.nz slingshot.co.nz mweb.co.za telkomsa.net vodamail.co.za webmail.co.za
"""

FREE_MAIL = frozenset(f"{_WORLDWIDE} {_AMERICAS} {_EUROPE} {_ASIA_AND_PACIFIC}".split())


def is_free_mail(address: str) -> bool:
    """Whether the address, or the mere domain, is one of theirs; a domain below one of theirs is not."""
    domain = trimmed(address.rpartition("@")[2]).rstrip(".").lower()[:254]  # longer than a name can be
    return domain in FREE_MAIL or _FAMILY.fullmatch(domain) is not None
