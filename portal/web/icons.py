"""The pages' signs, drawn in lines of the text's own colour."""

from __future__ import annotations

from markupsafe import Markup

_FRAME = (
    '<svg class="icon" viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.4" '
    'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{}</svg>'
)
_PATHS = {
    "good": '<circle cx="8" cy="8" r="6.25"/><path d="m5.25 8.25 1.9 1.9 3.6-4"/>',
    "wait": '<circle cx="8" cy="8" r="6.25"/><path d="M8 4.75V8l2.25 1.5"/>',
    "warn": '<path d="M8 2.25 14.25 13H1.75z"/><path d="M8 6.5v3M8 11.2v.1"/>',
    "bad": '<circle cx="8" cy="8" r="6.25"/><path d="m6 6 4 4m0-4-4 4"/>',
    "off": '<circle cx="8" cy="8" r="6.25"/><path d="M5.25 8h5.5"/>',
    "info": '<circle cx="8" cy="8" r="6.25"/><path d="M8 7.4v3.3M8 5.1v.1"/>',
    "mail": '<rect x="1.75" y="3.25" width="12.5" height="9.5" rx="1.5"/><path d="m2.25 4.25 5.75 4.5 5.75-4.5"/>',
    "store": '<path d="M2.5 6.5V13h11V6.5M1.75 6 3 2.75h10L14.25 6a2 2 0 0 1-4.15.4 2.1 2.1 0 0 1-4.2 0'
    'A2 2 0 0 1 1.75 6zM6.5 13V9.75h3V13"/>',
    "server": '<rect x="2.25" y="2.5" width="11.5" height="4.5" rx="1"/>'
    '<rect x="2.25" y="9" width="11.5" height="4.5" rx="1"/>'
    '<path d="M4.75 4.75h.1M4.75 11.25h.1"/>',
    "out": '<path d="M9.5 2.5h4v4M13.25 2.75 7.5 8.5M6.5 3.5h-4v10h10v-4"/>',
    "exit": '<path d="M6.5 2.5h-4v11h4M10 4.75 13.25 8 10 11.25M13 8H6"/>',
    "download": '<path d="M8 2.25v7.5m-3-3 3 3 3-3M2.5 11.5v2h11v-2"/>',
    "close": '<path d="m4 4 8 8m0-8-8 8"/>',
    "open": '<path d="m4.5 6.25 3.5 3.5 3.5-3.5"/>',
    "lock": '<rect x="3.25" y="7" width="9.5" height="6.5" rx="1"/><path d="M5.25 7V5a2.75 2.75 0 0 1 5.5 0v2"/>',
    "dot": '<circle cx="8" cy="8" r="1.5"/>',
    "search": '<circle cx="7" cy="7" r="4.5"/><path d="m10.5 10.5 3.25 3.25"/>',
}
_SIGNS = {name: Markup(_FRAME).format(Markup(paths)) for name, paths in _PATHS.items()}


def icon(name: str | None) -> Markup:
    """The sign of this name; nothing for an unknown one."""
    return _SIGNS.get(name or "", Markup(""))
