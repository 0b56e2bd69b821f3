"""One tool a module; tools know only the ports."""
