"""The API of the platform's backend: JSON in and out, RFC 9457 problem documents for what is refused."""
