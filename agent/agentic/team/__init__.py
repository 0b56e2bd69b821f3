"""Work shared among agents: subtasks, their merging, councils. Pure where it can be; LangGraph runs it in `graph/`."""
