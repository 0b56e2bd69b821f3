"""Tool calls and thoughts that arrive as text, in the raw forms of the models that people host themselves."""
