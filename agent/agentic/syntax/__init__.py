"""What a file defines, what it uses, and where its syntax is broken; by tree-sitter, without running anything."""
