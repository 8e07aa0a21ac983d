"""The reliability table of docs/reliability.md: a test for each of its rows, with its figure."""
