"""A very small text adventure."""
