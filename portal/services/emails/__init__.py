"""Our own emails: one pure builder each."""
