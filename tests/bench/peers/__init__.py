"""What the product is measured against, each a program of its own that prints its figure as JSON."""
