"""Which sender and route carry a tenant's mail: routes, lanes, the sender in force."""
