"""`python -m agentic_server`: the same as the command `agentic`."""

from agentic_server.cli import main

if __name__ == "__main__":
    main()
