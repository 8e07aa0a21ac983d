"""What axe-core finds on a page as a person sees it now: A and AA."""

from playwright.sync_api import Page

from tests.support.processes import ROOT

_AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
_LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def at_all_widths(theme: str, locale: str) -> bool:
    """Each theme and each language is searched by axe at all widths, in one combination; in the others at one."""
    return (theme == "dark") == (locale == "de")


def violations(page: Page) -> list[str]:
    """What axe finds on the page as it is now."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE.read_text())  # not a script element: the page's policy forbids those
    # Of what passes nothing is told.
    options = {"runOnly": _LEVELS, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [f"{v['id']}: {node['html'][:120]}" for v in found for node in v["nodes"]]
