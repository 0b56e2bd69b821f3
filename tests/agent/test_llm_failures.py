"""What is said of a server's refusal."""

import pytest

from agentic.llm.failures import message_of


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<!DOCTYPE HTML>\n<html><head>\n<title> Not here </title></head><body>…</body></html>", '"Not here"'),
        ("<html>Please log in</html>", "a web page"),
        ("The model <html> is unknown.", "The model <html> is unknown."),
    ],
)
def test_of_a_web_page_only_the_title_is_told(body: str, words: str) -> None:
    said = message_of(ValueError(body))
    assert words in said
    assert "<head>" not in said
    assert "log in" not in said
