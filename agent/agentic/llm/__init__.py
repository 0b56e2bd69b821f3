"""The model layer: the only room that imports openai and httpx."""
