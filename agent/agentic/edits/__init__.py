"""The edit engine: plan(snapshot, operation) -> change or refusal; pure."""
