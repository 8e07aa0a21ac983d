"""RQ's entry points: arguments are ids, bodies are one call into services."""
