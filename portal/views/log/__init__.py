"""The email log."""
