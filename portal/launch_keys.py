"""The keys that launches are signed with: a secret shared with the platform, or its public keys in a JWKS file.

A key is of one kind and takes one signature algorithm (RFC 8725, 3.1): whichever key the token's `kid` chooses decides
how it must be signed, so that no token can have a public key read as a shared secret.
"""

from __future__ import annotations

import json
import logging
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

MAX_TOKEN = 8000  # characters
_MIN_RSA_BITS = 2048  # RFC 7518, 3.3
# Whatever stands in a token, such as lists within lists without end, it is no defect of ours.
_UNREADABLE = (JoseError, ValueError, TypeError, AttributeError, LookupError, RecursionError)
# Platforms sign with both names for the same thing; that RFC 9864 prefers the newer is theirs to heed.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")

log = logging.getLogger(__name__)


class Unverified(Exception):
    """The signature is not one of a key of ours; the text says why, for the log, and holds nothing of the token."""


class PublicKey(NamedTuple):
    kid: str | None
    algorithms: tuple[str, ...]  # names of the one algorithm that the key takes
    key: ECKey | OKPKey | RSAKey


def claims(token: str, *, secret: str, jwks: Path | None) -> dict[str, Any]:
    """What a token says, if one of our keys has signed it. Raises Unverified."""
    if len(token) > MAX_TOKEN:
        raise Unverified("longer than any token")
    try:
        header = jws.extract_compact(token.encode()).headers()
    except _UNREADABLE:
        raise Unverified("not a token") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm == "HS256" and secret:
        key: Any = OctKey.import_key(secret)
    elif jwks is not None:
        key = _choose(public_keys(jwks), algorithm, kid)
    else:
        raise Unverified("signed in a way that no key of ours is for")
    try:
        found = jwt.decode(token, key, algorithms=[str(algorithm)], registry=_REGISTRY).claims
    except _UNREADABLE as error:
        raise Unverified(type(error).__name__) from None
    return dict(found)


_REGISTRY = JWSRegistry(algorithms=["HS256", "ES256", "RS256", "EdDSA", "Ed25519"])


def _choose(keys: tuple[PublicKey, ...], algorithm: object, kid: object) -> ECKey | OKPKey | RSAKey:
    if kid is not None:
        fitting = [key for key in keys if key.kid == kid]
        if not fitting:
            raise Unverified("its kid names no key in PORTAL_LAUNCH_JWKS")
    else:
        fitting = [key for key in keys if algorithm in key.algorithms]
        if len(fitting) > 1:
            raise Unverified("it has no kid, and several keys in PORTAL_LAUNCH_JWKS would fit")
    if len(fitting) != 1 or algorithm not in fitting[0].algorithms:
        raise Unverified("signed in a way that no key of ours is for")
    return fitting[0].key


def public_keys(path: Path) -> tuple[PublicKey, ...]:
    """The keys in the file now: read anew when it has changed, so that keys rotate while the product runs.

    While it can't be read, because somebody is just writing it, those read before go on. Raises Unverified.
    """
    try:
        status = path.stat()
        keys = _read(path, (status.st_mtime_ns, status.st_size, status.st_ino))
    except (OSError, ValueError) as error:
        log.error("PORTAL_LAUNCH_JWKS can't be used as it is now: %s", error if isinstance(error, ValueError) else "")
        if path not in _last:
            raise Unverified("PORTAL_LAUNCH_JWKS can't be read") from None
        return _last[path]
    _last[path] = keys
    return keys


_last: dict[Path, tuple[PublicKey, ...]] = {}


@lru_cache(maxsize=4)
def _read(path: Path, _version: tuple[int, int, int]) -> tuple[PublicKey, ...]:
    return load(path)


def load(path: Path) -> tuple[PublicKey, ...]:
    """The keys of a JWK set (RFC 7517, 5). Raises ValueError with what is wrong, and OSError."""
    try:
        entries = json.loads(path.read_text())["keys"]
        keys = tuple(_public_key(entry) for entry in entries)
    except (KeyError, TypeError, AttributeError, RecursionError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError('it is no JWK set: {"keys": [...]}') from None
    if not keys:
        raise ValueError("there is no key in it")
    kids = [key.kid for key in keys if key.kid is not None]
    if len(kids) != len(set(kids)):
        raise ValueError("two of its keys have the same kid")
    return keys


def _public_key(entry: dict[str, Any]) -> PublicKey:
    if entry.get("kty") == "oct" or "d" in entry or "k" in entry:
        raise ValueError("it holds a secret or private key; only public ones belong there")
    try:
        key = JWKRegistry.import_key(entry)
    except (JoseError, ValueError) as error:
        raise ValueError(f"one of its keys can't be read ({type(error).__name__})") from None
    algorithms = _algorithms(key)
    wanted = entry.get("alg")
    if not algorithms or entry.get("use", "sig") != "sig" or (wanted is not None and wanted not in algorithms):
        raise ValueError("one of its keys is not for ES256 (P-256), EdDSA (Ed25519) or RS256 (2,048 bits or more)")
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("a kid is no text")
    return PublicKey(kid, algorithms, key)  # type: ignore[arg-type]


def _algorithms(key: object) -> tuple[str, ...]:
    if isinstance(key, ECKey):
        return ("ES256",) if key.curve_name == "P-256" else ()
    if isinstance(key, OKPKey):
        return ("EdDSA", "Ed25519") if key.curve_name == "Ed25519" else ()
    if isinstance(key, RSAKey):
        return ("RS256",) if key.public_key.key_size >= _MIN_RSA_BITS else ()
    return ()
