"""Support: the platform's staff find shops and messages, and look at a shop's pages.

All that they can change is to take a sender address back.
"""

from __future__ import annotations

from portal.views.support import search, shop

blueprint = search.blueprint
for part in shop.PARTS:
    blueprint.register_blueprint(part)
