"""Budgets, loops, recovery and completion: pure functions over one TurnState."""
