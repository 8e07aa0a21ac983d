"""Sender identities: verified, chosen, shown."""
