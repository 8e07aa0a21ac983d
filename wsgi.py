"""The application for a WSGI server and for the `flask` command."""

from portal import create_app
from portal.config import stopped_by_wrong_settings

with stopped_by_wrong_settings():
    app = create_app()
