"""A demonstration with nothing but this package: a small sample project is repaired by recorded model answers."""
