"""Read by gunicorn from the folder that it is started in: its own lines look like the product's."""

import os

from portal.log_format import GUNICORN, Formatter

Formatter.as_json = os.environ.get("PORTAL_LOG_FORMAT") == "json"
logconfig_dict = GUNICORN
