"""Types of settings that are lists, written with commas between."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from portal.transport.mime.addresses import InvalidAddress, ascii_domain


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _domain(value: str) -> str:
    try:
        return ascii_domain(value)
    except InvalidAddress:
        raise ValueError("must be domains such as marketplace.example, separated by commas") from None


Listed = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Domains = Annotated[list[Annotated[str, AfterValidator(_domain)]], NoDecode, BeforeValidator(_split)]
