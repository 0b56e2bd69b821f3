"""The SQLite log: events, messages, intents, approvals."""
