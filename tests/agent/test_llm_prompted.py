"""Tools in the prompt: what the model is told, and how a conversation reads for it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.llm.prompted import instructions, render, render_call
from agentic.llm.recovery.gate import TextGate
from agentic.llm.recovery.whole import recover
from agentic.ports.model import Message, ToolSpec
from agentic.tools.registry import tool_specs


def spec(name: str, properties: dict[str, Any], required: list[str], description: str = "") -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


LOOK = spec("look", {"path": {"type": "string"}, "depth": {"type": ["integer", "null"]}}, ["path"], "Look at a file.")


def call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def result(call_id: str, text: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


SYSTEM: Message = {"role": "system", "content": "You are an agent."}
TASK: Message = {"role": "user", "content": "Fix it."}


def test_each_tool_is_told_as_a_signature_with_what_it_does() -> None:
    odd = spec(
        "odd",
        {
            "what": {"enum": ["a", "b"], "description": "one of two"},
            "items": {"type": "array", "items": {"type": "object", "properties": {"text": {"type": "string"}}}},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "any": {},
        },
        ["what", "any"],
    )
    told = instructions([LOOK, odd])
    assert "\nlook(path: string, depth?: integer | null)\nLook at a file.\n" in told
    assert (
        "\nodd(what: a | b, items?: list of {text?: string}, either?: string | integer, any: any)\n- what: one of two\n"
        in told
    )


def test_the_example_is_an_edit_where_there_is_such_a_tool() -> None:
    told = instructions(tool_specs())
    assert told.endswith("</parameter>\n</function>\n</tool_call>")
    assert "<function=edit_file>\n<parameter=path>\nlib/area.py\n</parameter>\n<parameter=old>\n    w = " in told


def test_the_example_calls_the_first_tool_where_nothing_can_be_edited() -> None:
    assert instructions([LOOK]).endswith("\n\n" + render_call("look", {"path": "…"}))


def test_no_call_in_the_instructions_is_fenced() -> None:
    """A model copies what it sees, and a call in a code block is not run."""
    assert "\n```" not in instructions(tool_specs())


def test_every_tool_is_told_and_nothing_is_left_to_fill_in() -> None:
    told = instructions(tool_specs())
    assert all(f"\n{tool['function']['name']}(" in told for tool in tool_specs())
    assert "{{" not in told


def test_a_tools_own_braces_are_not_filled_in() -> None:
    assert "\n{{task}} and {{tools}}\n" in instructions([spec("x", {}, [], "{{task}} and {{tools}}")])


def test_a_conversation_as_the_model_reads_it() -> None:
    edit = {"path": "a.py", "old": '  x = "1"\n', "new": "", "replace_all": True, "edits": [{"old": "ü", "new": "\\n"}]}
    answer = {
        "role": "assistant",
        "content": "I look first.\n",
        "reasoning": "hm",
        "tool_calls": [call("1", "look", {"path": "a.py"}), call("2", "edit_file", edit)],
    }
    end = {"role": "assistant", "content": "Done."}
    messages = [SYSTEM, TASK, answer, result("1", 'x = "1"'), result("2", "changed"), TASK, end]
    rendered = render(messages, [LOOK])
    assert rendered[0] == {"role": "system", "content": "You are an agent.\n\n" + instructions([LOOK])}
    assert rendered[1:] == [
        TASK,
        {
            "role": "assistant",
            "content": (
                "I look first.\n"
                "<tool_call>\n<function=look>\n<parameter=path>\na.py\n</parameter>\n</function>\n</tool_call>\n"
                "<tool_call>\n<function=edit_file>\n"
                "<parameter=path>\na.py\n</parameter>\n"
                '<parameter=old>\n  x = "1"\n\n</parameter>\n'
                "<parameter=new>\n\n</parameter>\n"
                "<parameter=replace_all>\ntrue\n</parameter>\n"
                '<parameter=edits>\n[{"old": "ü", "new": "\\\\n"}]\n</parameter>\n'
                "</function>\n</tool_call>"
            ),
            "reasoning": "hm",
        },
        {
            "role": "user",
            "content": (
                '<tool_response name=look>\nx = "1"\n</tool_response>\n'
                "<tool_response name=edit_file>\nchanged\n</tool_response>"
            ),
        },
        TASK,
        end,
    ]


def test_a_code_block_that_held_a_call_is_left_out() -> None:
    words = "I look.\n```xml\n```\nAnd:\n```python\nx\n```\n```\ny\n```"
    (answer,) = render([{"role": "assistant", "content": words, "tool_calls": [call("1", "look", {})]}], [])
    assert answer["content"] == "I look.\nAnd:\n```python\nx\n```\n```\ny\n```\n" + render_call("look", {})


def test_ids_may_come_again_in_a_later_answer() -> None:
    """llama.cpp and others count the calls of each answer anew."""
    first: Message = {"role": "assistant", "content": "", "tool_calls": [call("0", "look", {})]}
    second: Message = {"role": "assistant", "content": "", "tool_calls": [call("0", "leave", {})]}
    rendered = render([TASK, first, result("0", "one"), second, result("0", "two")], [])
    assert [message["content"] for message in rendered if message["role"] == "user"] == [
        "Fix it.",
        "<tool_response name=look>\none\n</tool_response>",
        "<tool_response name=leave>\ntwo\n</tool_response>",
    ]


def test_arguments_that_are_no_object_are_left_out() -> None:
    for arguments in ("[1]", "{", ""):
        answer: Message = {"role": "assistant", "content": None, "tool_calls": [call("1", "look", arguments)]}
        assert render([answer], [])[0]["content"] == "<tool_call>\n<function=look>\n</function>\n</tool_call>"


def test_without_a_system_message_the_tools_get_one() -> None:
    assert render([TASK], [LOOK]) == [{"role": "system", "content": instructions([LOOK])}, TASK]


texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.one_of(texts, st.booleans(), st.integers(), st.lists(st.dictionaries(texts, texts, max_size=2), max_size=2))


@st.composite
def steps(draw: st.DrawFn) -> list[Message]:
    """An answer with the results of its calls, or a message of the user."""
    if draw(st.booleans()):
        return [{"role": "user", "content": draw(texts)}]
    arguments = draw(st.lists(st.dictionaries(texts, values, max_size=3), max_size=3))
    calls = [call(f"c{index}", f"tool_{index}", value) for index, value in enumerate(arguments)]
    answer: Message = {"role": "assistant", "content": draw(texts), **({"tool_calls": calls} if calls else {})}
    return [answer, *(result(one["id"], draw(texts)) for one in calls)]


conversations = st.lists(steps(), min_size=1, max_size=6).map(
    lambda parts: [SYSTEM, *(m for part in parts for m in part)]
)


@given(conversations, st.data())
def test_what_was_sent_before_stays_as_it_was(messages: list[Message], data: st.DataObject) -> None:
    """A longer conversation begins with the shorter one's text; only a message of results may grow at its end."""
    cut = data.draw(st.integers(1, len(messages)))
    shorter, longer = render(messages[:cut], [LOOK]), render(messages, [LOOK])
    assert longer[: len(shorter) - 1] == shorter[:-1]
    assert longer[len(shorter) - 1]["content"].startswith(shorter[-1]["content"])
    if cut == len(messages) or messages[cut]["role"] != "tool":
        assert longer[len(shorter) - 1] == shorter[-1]


@given(conversations)
def test_nothing_is_left_that_needs_support_for_tools(messages: list[Message]) -> None:
    before = json.dumps(messages)
    rendered = render(messages, [LOOK])
    assert all(message["role"] in ("system", "user", "assistant") for message in rendered)
    assert all("tool_calls" not in message for message in rendered)
    assert json.dumps(messages) == before, "the conversation itself is not changed"


written = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    [
        "null",
        "true",
        "\n",
        "\n\n x",
        "<a>\n</b>",
        "```\n```",
        "{}",
        "\\n",
        '"x"',
        "</parameter>",
        "a </parameter> b",
        "｜",
    ]
)
edges = written.filter(lambda text: text.strip("\r") == text)
"""A carriage return at a value's edge is taken for half of a line end of Windows."""
arguments = st.fixed_dictionaries(
    {"path": edges},
    optional={
        "old": edges,
        "new": edges,
        "replace_all": st.booleans(),
        "edits": st.lists(st.fixed_dictionaries({"old": edges, "new": edges}), min_size=1, max_size=2),
    },
)


@given(
    st.sampled_from(["", "I edit.", '{"route":"work","plan":[]}\nI edit.']), st.lists(arguments, min_size=1, max_size=3)
)
def test_calls_in_the_form_that_is_taught_are_read_as_they_were_meant(words: str, wanted: list[dict[str, Any]]) -> None:
    calls = [call(str(index), "edit_file", one) for index, one in enumerate(wanted)]
    (answer,) = render([{"role": "assistant", "content": words, "tool_calls": calls}], [])
    found = recover(answer["content"], tool_specs())
    assert [(one.name, json.loads(one.arguments)) for one in found.calls] == [("edit_file", one) for one in wanted]
    assert found.text.strip() == words


@pytest.mark.parametrize("whole", [True, False])
def test_a_code_block_that_begins_with_a_call_is_one_where_calls_were_asked_for(whole: bool) -> None:
    """Small models put into a code block what looks like code, whatever they are told."""
    one, other = render_call("read_file", {"path": "a"}), render_call("read_file", {"path": "b"})
    text = f"I read both.\n```xml\n{one}\n\n{other}\n```\nThen:\n\n```\n{one}\n```\n"
    assert gate_through(text, asked=True, whole=whole) == (
        "I read both.\n```xml\n```\nThen:\n\n```\n```\n",
        [*"aba"],
    )
    assert gate_through(text, asked=False, whole=whole) == (text, [])


@pytest.mark.parametrize("whole", [True, False])
def test_a_call_within_other_code_is_none(whole: bool) -> None:
    text = f"Like this:\n```xml\n<!-- a call -->\n{render_call('read_file', {'path': 'a'})}\n```\n"
    assert gate_through(text, asked=True, whole=whole) == (text, [])


def gate_through(text: str, *, asked: bool, whole: bool) -> tuple[str, list[str]]:
    """The text that is left, and the paths of the calls that were read."""
    gate = TextGate(tool_specs(), asked=asked)
    pieces = [piece for part in ([text] if whole else text) for piece in gate.feed(part)]
    rest, calls = gate.finish(recover=True)
    return "".join(shown for _, shown in [*pieces, *rest]), [json.loads(one.arguments)["path"] for one in calls]


def test_the_example_itself_is_a_call() -> None:
    _, _, example = instructions(tool_specs()).rpartition("\n\n")
    (found,) = recover(example, tool_specs()).calls
    assert json.loads(found.arguments)["old"].startswith("    w = ")
