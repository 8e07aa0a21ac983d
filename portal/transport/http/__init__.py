"""HTTP: mail handed over to a provider's API, one request a mail, and what the answers mean."""
