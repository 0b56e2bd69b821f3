"""The edge: the only place that knows LSP, and the command line."""
