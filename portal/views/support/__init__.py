"""Support: the platform's staff find shops and messages, and look at a shop's pages; nothing here changes a shop."""

from __future__ import annotations

from portal.views.support import search, shop

blueprint = search.blueprint
for part in shop.PARTS:
    blueprint.register_blueprint(part)
