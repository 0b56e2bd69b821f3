"""The agent: knows no editor, no LSP, no pygls."""
