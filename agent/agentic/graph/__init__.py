"""LangGraph: state, nodes, edges."""
