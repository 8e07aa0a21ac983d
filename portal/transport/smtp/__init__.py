"""SMTP: one connection, its stream, its handshake, and what replies mean."""
