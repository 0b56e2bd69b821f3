"""History, prompt layout, rules files."""
