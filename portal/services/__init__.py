"""The verbs. A service owns its transaction, takes the tenant, and loads within it."""
