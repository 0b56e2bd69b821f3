"""A tool that is named but not called, in several languages; and the answers that only look like it."""

import pytest

from agentic.control.completion import announces_call, says_over

TOOLS = ("read_file", "list_files", "search_text", "edit_file", "write_file", "run_command", "delegate", "problems")

ANNOUNCED = [
    "I will now call read_file to see what is in it.",
    "I'll use `read_file` to look at a.py.",
    "Let me run the tests with run_command.",
    "I'm going to use edit_file to fix the total.",
    "The bug is in total(). Next, I will call `edit_file` on a.py.",
    "First I need to look at the file. I'll call read_file(path='a.py').",
    "I need to use read_file first.",
    "I have to call list_files before anything else.",
    'Now I will call the tool:\n```\nread_file(path="a.py")\n```',
    "Calling run_command with `pytest -q`.",
    "Let's use search_text to find the place.",
    "I will `delegate` this.",
    "Let me look at the tests:",
    "Okay, let's look at the tests:",
    "Now I'll fix the function in a.py...",
    "The test fails because of the import. I will fix the import next.",
    "Let me run the tests to verify the change.",
    "Okay, now I'll check the tests.",
    "First, I need to look at slug.py.",
    "I'm going to edit `slug.py` so that it handles ß.",
    "파일을 읽어보겠습니다.",
    "좋습니다. 이제 테스트를 실행하겠습니다.",
    "slug.py를 수정할게요.",
    "好的，让我先查看文件。",
    "接下来我将运行测试。",
    "Ich werde jetzt read_file aufrufen.",
    "Jetzt verwende ich edit_file, um den Fehler zu beheben.",
    "Je vais utiliser read_file pour lire le fichier.",
    "Voy a usar read_file para leer el archivo.",
    "Vou usar read_file para ler o arquivo.",
    "Сейчас я вызову read_file.",
    "read_file 도구를 사용하여 파일을 확인하겠습니다.",
    "이제 `edit_file`을 호출할게요.",
    "read_fileを呼び出します。",
    "次に run_command を実行しましょう。",
    "我将使用 read_file 来查看文件。",
    "让我调用edit_file。",
]

FINAL = [
    "",
    "Done.",
    "Now I have fixed the total...",
    "Let me know which one you prefer:",
    "I used edit_file to change the total, and all tests pass.",
    "I have used read_file and run_command; the tests pass now.",
    "I called run_command with `pytest -q`: 4 passed.",
    "The change was made with edit_file.",
    "If you want, I will call run_command to run the tests.",
    "Shall I call edit_file now?",
    "You can use read_file to look at it.",
    "Should anything break, let me know and I will look again.",
    "I could not call run_command, because plan mode does not allow it.",
    "I can't go on: edit_file is refused every time. I will need your help.",
    "The function `read_file` in io.py reads the whole file into memory.",
    "`write_file` in util.py is going to be removed in version 3, and after that edit_file too.",
    "The plan is to delegate the work to a queue. I will describe the problems below.",
    "The plan:\n1. Call read_file on a.py.\n2. Fix it.",
    "I will call read_file next.\n\nUpdate: it is read, and the total is right. All tests pass. Nothing else is open.",
    "What changed:\n- a.py: the total",
    "I will be glad to help with more.",
    "I'll look forward to the release.",
    "I would now run the tests, but there are none.",
    "The script will read the file and write the sum. It starts with the first line.",
    "I'll fix the rest if you tell me how.",
    "I will run it. It passed, and the total is right.",
    "도움이 필요하시면 말씀해 주세요.",
    "무엇을 도와드릴까요? 언제든지 도와드리겠습니다.",
    "테스트를 추가했습니다.",
    "我修改了 a.py，测试通过。",
    "Ich habe edit_file verwendet; alle Tests laufen.",
    "J'ai utilisé edit_file pour corriger le total.",
    "He usado edit_file para corregir el total.",
    "edit_file을 사용하여 수정했습니다. 모든 테스트가 통과합니다.",
    "edit_file を使って修正しました。",
    "我已经使用 edit_file 修复了。",
    "Я использовал edit_file, тесты проходят.",
    "src/read_file.py holds the reader; let me know what you think.",
]


@pytest.mark.parametrize("text", ANNOUNCED)
def test_a_call_that_is_announced_and_not_made(text: str) -> None:
    assert announces_call(text, TOOLS)


@pytest.mark.parametrize("text", FINAL)
def test_a_report_an_offer_and_a_question_are_the_end(text: str) -> None:
    assert not announces_call(text, TOOLS)


@pytest.mark.parametrize(
    "text",
    [
        "The task is complete.",
        "Everything is done now, there is nothing more to do.",
        "I am stuck: the server refuses every request.",
        "I cannot continue without the password.",
        "Die Aufgabe ist erledigt.",
        "작업이 완료되었습니다.",
        "任务已完成。",
    ],
)
def test_who_says_that_it_is_over(text: str) -> None:
    assert says_over(text)
    assert not announces_call(f"{text} I will call read_file.", TOOLS)


@pytest.mark.parametrize("text", ["", "I read the file.", "When the task is complete, I will say so.", "It works."])
def test_who_does_not(text: str) -> None:
    assert not says_over(text)


def test_only_the_end_of_a_long_answer_counts() -> None:
    text = "I will call read_file. " + "The function adds two numbers and returns their sum. " * 40
    assert not announces_call(text, TOOLS)
    assert not says_over("The task is complete. " + "Now the tests run again and again. " * 40)
