"""The page of a merchant's own mail service."""
