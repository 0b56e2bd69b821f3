"""The workspace index: a worker process that keeps it fresh, and a client that asks it."""
