"""The email configuration page."""
