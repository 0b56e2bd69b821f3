"""The Workspace port on plain files and processes."""
