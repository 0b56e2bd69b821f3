"""Who is best, and what the parts around it read: scores, critiques, steps, test summaries, commands."""

from __future__ import annotations

import json
import string
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agentic.team.answers import MAX_STEPS, Score, critiques, scores, steps
from agentic.team.ranking import Trial, rank_patches, rank_proposals
from agentic.team.roles import MAX_MEMBERS, MAX_NAME, parse_roles
from agentic.team.summaries import Results, read_tests, usual_check

NAMES = ["architect", "developer", "tester"]

values = st.integers(0, 10).map(float)
ballots = st.dictionaries(
    st.sampled_from(NAMES), st.dictionaries(st.sampled_from(NAMES), values.map(Score), max_size=3), max_size=3
)


@given(ballots)
def test_a_ranking_names_everyone_once_and_gives_the_same_for_any_order_of_ballots(
    given_ballots: dict[str, dict[str, Score]],
) -> None:
    ranking = rank_proposals(NAMES, given_ballots)
    assert sorted(ranking.names) == NAMES
    assert all(0 <= score <= 1 for score in ranking.scores.values())
    means = [ranking.scores.get(name, -1) for name in ranking.names]
    assert means == sorted(means, reverse=True)
    turned = dict(reversed(given_ballots.items()))
    again = rank_proposals(NAMES, turned)
    assert (again.names, again.scores, set(again.dissent)) == (ranking.names, ranking.scores, set(ranking.dissent))


@given(ballots)
def test_dissent_is_of_those_that_scored_another_higher(given_ballots: dict[str, dict[str, Score]]) -> None:
    ranking = rank_proposals(NAMES, given_ballots)
    winner = ranking.names[0]
    others = [
        voter
        for voter, ballot in given_ballots.items()
        if ballot and (winner not in ballot or ballot[winner].value < max(score.value for score in ballot.values()))
    ]
    assert [said.split()[0] for said in ranking.dissent] == others


def test_a_members_own_score_counts_half() -> None:
    ranking = rank_proposals(["a", "b"], {"a": {"a": Score(10), "b": Score(4)}, "b": {"a": Score(4), "b": Score(7)}})
    assert ranking.scores == {"a": 0.6, "b": 0.5}
    assert ranking.names == ("a", "b")


def test_equal_means_are_parted_by_first_places_then_by_the_order_of_the_roles() -> None:
    one = {"x": {"a": Score(10), "b": Score(6), "c": Score(7)}, "y": {"a": Score(4), "b": Score(8), "c": Score(7)}}
    assert rank_proposals(["c", "b", "a"], one).names == ("b", "a", "c")
    assert rank_proposals(["c", "a", "b"], one).names == ("a", "b", "c")
    assert rank_proposals(["b", "a"], {}).names == ("b", "a")


def test_dissent_tells_both_reasons() -> None:
    said = {
        "a": {"a": Score(9, "whole"), "b": Score(5, "thin")},
        "b": {"a": Score(6, "too large"), "b": Score(8, "small")},
        "c": {"a": Score(9, "whole"), "b": Score(5, "thin")},
    }
    assert rank_proposals(["a", "b", "c"], said).dissent == (
        "b prefers its own proposal (8 of 10): small. To a it gives 6: too large.",
    )


def test_nothing_is_ranked_where_nobody_proposed() -> None:
    ranking = rank_proposals([], {})
    assert (ranking.names, ranking.scores, ranking.dissent) == ((), {}, ())


json_scores = st.dictionaries(
    st.sampled_from(NAMES), st.fixed_dictionaries({"score": values, "reason": st.text(max_size=20)}), min_size=1
)


@given(json_scores, st.sampled_from(["{}", "Here it is:\n```json\n{}\n```\nDone.", "[see above] {}", "Draft {{x}} {}"]))
def test_scores_are_found_wherever_their_json_stands(given_scores: dict[str, dict[str, object]], around: str) -> None:
    text = around.replace("{}", json.dumps(given_scores)).replace("{{x}}", "{x}")
    found = scores(text, NAMES)
    assert {name: score.value for name, score in found.items()} == {
        name: entry["score"] for name, entry in given_scores.items()
    }


@given(st.text(alphabet='{}[]",:0123456789. aenrstchidloptv\n', max_size=200) | st.text(max_size=100))
def test_any_text_gives_scores_from_0_to_10_or_none(text: str) -> None:
    found = scores(text, NAMES)
    assert all(name in NAMES and 0 <= score.value <= 10 for name, score in found.items())


def test_scores_in_the_forms_that_models_write() -> None:
    expected = {"architect": 7.0, "tester": 8.5}
    for text in (
        '{"architect": 7, "tester": 8.5}',
        '{"scores": {"Architect": {"score": "7/10"}, "tester": {"score": 8.5, "reason": "r"}}}',
        '[{"name": "architect", "score": 7}, {"role": "Tester", "score": 8.5}]',
        '{"scores": [{"proposal": "architect", "score": 7}, {"name": "tester", "score": "8.5"}]}',
        "{'architect': {'score': 7}, 'tester': {'score': 8.5,},}",
        '{"architect": {"score": 7}}\n{"tester": {"score": 8.5}}',
        '{"architect": {"score": 1}}\nNo, rather:\n{"architect": {"score": 7}, "tester": {"score": 8.5}}',
    ):
        assert {name: score.value for name, score in scores(text, NAMES).items()} == expected, text


def test_scores_of_another_scale_or_kind_are_absent() -> None:
    text = '{"architect": {"score": 85}, "developer": {"score": true}, "tester": {"score": "good"}, "x": {"score": 3}}'
    assert scores(text, NAMES) == {}
    assert scores('{"architect": {"score": NaN}, "tester": {"score": -1}}', NAMES) == {}
    assert scores('{"architect": {"score": 7', NAMES) == {}
    assert scores("[" * 5_000, NAMES) == {}


def test_a_text_is_parted_by_its_headings() -> None:
    text = "First of all.\n## architect\nToo large.\n\n**Tester:**\n- no undo\n"
    assert critiques(text, NAMES) == {"architect": "First of all.\n\nToo large.", "tester": "- no undo"}
    assert critiques("### The developer's proposal\nx", NAMES) == {"developer": "x"}
    assert critiques("## developer-2\nx", ["developer", "developer-2"]) == {"developer-2": "x"}


def test_a_text_without_headings_is_about_all() -> None:
    assert critiques("Both fail.", ["architect", "tester"]) == {"architect, tester": "Both fail."}
    assert critiques("## architect\n## tester", ["architect", "tester"]) == {
        "architect, tester": "## architect\n## tester"
    }


@given(st.lists(st.sampled_from(["## architect", "tester", "**developer**", "a word", "", "1. x"]), max_size=12))
def test_nothing_that_was_said_is_lost(lines: list[str]) -> None:
    parts = critiques("\n".join(lines), NAMES)
    said = "\n".join(parts.values())
    assert all(said.count(word) == lines.count(word) for word in ("a word", "1. x"))


def test_steps_are_the_last_numbered_list() -> None:
    text = "1. not\n2. this\n\nThen:\n\n1. **Make** the table\n   with two columns\n   - a bullet\n2) Write the test\n"
    assert steps(text) == ["Make the table with two columns", "Write the test"]
    assert steps("Steps:\n1. one\n\n2. two\n\nThat is all.") == ["one", "two"]
    assert steps("1. one\n   1. inner\n   2. inner\n2. two") == ["one", "two"]
    assert steps("1. only one") == steps("- a\n- b") == steps("") == []


@given(st.lists(st.text(string.ascii_letters, min_size=1), min_size=2, max_size=20), st.text("ab \n.", max_size=30))
def test_steps_are_read_back(lines: list[str], before: str) -> None:
    text = before + "\n\n" + "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    assert steps(text) == lines[:MAX_STEPS]


def test_roles_are_known_or_the_users_own() -> None:
    roles = parse_roles(
        ["Architect", "developer", "developer", "lawyer", "poet: You look after  the\nwords.", " ", "main"]
    )
    assert [role.name for role in roles] == ["architect", "developer", "developer-2", "lawyer", "poet", "main-2"]
    texts = {role.name: role.text for role in roles}
    assert "structure" in texts["architect"]
    assert texts["developer"] == texts["developer-2"]
    assert "lawyer" in texts["lawyer"]
    assert texts["poet"] == "You look after the words."


@given(st.lists(st.text(max_size=60), max_size=20))
def test_role_names_are_few_short_and_apart(words: list[str]) -> None:
    names = [role.name for role in parse_roles(words)]
    assert len(names) == len({name.lower() for name in names}) <= MAX_MEMBERS
    assert all(name.strip() == name and 0 < len(name) <= MAX_NAME + 3 and name.lower() != "main" for name in names)


trials = st.builds(
    Trial,
    names=st.sampled_from(["one", "two", "three", "four"]).map(lambda name: (name,)),
    files=st.integers(0, 3),
    lines=st.integers(0, 50),
    finished=st.booleans(),
    exit_code=st.sampled_from([None, 0, 1]),
    tests=st.none() | st.builds(Results, st.integers(0, 9), st.integers(0, 9), st.integers(0, 2)),
    problems=st.none() | st.integers(0, 4),
)


@given(st.lists(trials, max_size=4, unique_by=lambda trial: trial.name), st.randoms())
def test_patches_are_ranked_alike_in_any_order(several: list[Trial], random: Random) -> None:
    shuffled = list(several)
    random.shuffle(shuffled)
    ranked = rank_patches(shuffled)
    assert ranked == rank_patches(several)
    classes = [(not trial.files, trial.exit_code != 0) for trial in ranked]
    assert classes == sorted(classes)
    assert all(0 <= trial.score <= 1 for trial in ranked)


def test_what_decides_between_patches_in_its_order() -> None:
    best_first = [
        Trial(("passes",), 1, 90, finished=False, exit_code=0, problems=3),
        Trial(("one-fails",), 1, 90, finished=True, exit_code=1, tests=Results(8, 1)),
        Trial(("two-fail",), 1, 1, finished=True, exit_code=1, tests=Results(9, 2), problems=0),
        Trial(("same-with-problem",), 1, 1, finished=True, exit_code=1, tests=Results(9, 2), problems=1),
        Trial(("stopped",), 1, 1, finished=False, exit_code=1, tests=Results(9, 2), problems=1),
        Trial(("cannot-run",), 1, 1, finished=True, exit_code=2, tests=Results(0, 0, 1)),
        Trial(("not-run",), 1, 1, finished=True),
        Trial(("nothing",), 0, 0, finished=True, exit_code=0),
    ]
    assert rank_patches(best_first[::-1]) == best_first


def test_more_hands_then_the_smaller_change_then_the_name() -> None:
    best_first = [
        Trial(("d", "e"), 1, 30, finished=True),
        Trial(("c",), 1, 10, finished=True),
        Trial(("f",), 2, 10, finished=True),
        Trial(("a",), 1, 20, finished=True),
        Trial(("b",), 1, 20, finished=True),
    ]
    assert rank_patches(best_first[::-1]) == best_first


def test_more_passing_tests_go_before_size_where_all_outputs_tell() -> None:
    tested = Trial(("tested",), 2, 50, finished=True, exit_code=0, tests=Results(3))
    smaller = Trial(("smaller",), 1, 2, finished=True, exit_code=0, tests=Results(1))
    assert rank_patches([smaller, tested]) == [tested, smaller]
    silent = Trial(("silent",), 1, 10, finished=True, exit_code=0)
    assert rank_patches([smaller, tested, silent]) == [smaller, silent, tested]


def test_failing_tests_are_not_counted_where_one_output_does_not_tell() -> None:
    told = Trial(("told",), 1, 50, finished=True, exit_code=1, tests=Results(8, 1))
    silent = Trial(("silent",), 1, 10, finished=True, exit_code=2)
    assert rank_patches([told, silent]) == [silent, told]


def test_the_summaries_of_test_runners() -> None:
    assert read_tests("....F\n=== \x1b[31m2 failed\x1b[0m, 10 passed, 1 skipped in 0.30s ===\n") == Results(10, 2)
    assert read_tests("1 error in 0.10s") == Results(errors=1)
    assert read_tests("5 passed, 2 warnings in 1.2s (0:00:01)\r\n") == Results(5)
    assert read_tests("no tests ran in 0.01s") is None
    assert read_tests("Tests:       1 failed, 1 skipped, 5 passed, 7 total\nTime: 2 s") == Results(5, 1)
    assert read_tests(" Test Files  1 failed (1)\n      Tests  1 failed | 5 passed (6)\n") == Results(5, 1)
    cargo = "test result: ok. 3 passed; 0 failed; 0 ignored; finished in 0.00s\n"
    assert read_tests(cargo + "test result: FAILED. 1 passed; 2 failed; 0 ignored; finished in 0.1s") == Results(4, 2)
    go = "--- PASS: TestA (0.00s)\n    --- FAIL: TestB/x (0.00s)\nFAIL\tm/p [build failed]\nok  \tm/q\t0.01s\n"
    assert read_tests(go) == Results(2, 1, 1)
    assert read_tests("Ran 5 tests in 0.001s\n\nFAILED (failures=1, errors=2)") == Results(2, 1, 2)
    assert read_tests("Ran 1 test in 0.001s\n\nOK (skipped=1)") == Results(1)
    assert read_tests("built in 3s\nTests are fun\n") is None


@given(st.text(max_size=200))
def test_any_output_can_be_read(text: str) -> None:
    found = read_tests(text)
    assert found is None or found.total > 0


def test_the_usual_check_runs_tests_if_any_command_does() -> None:
    assert (
        usual_check([["pytest -q", "ls"], ["ls", "pytest -q tests", "pytest -q"], ["make build", "ls"]]) == "pytest -q"
    )
    assert usual_check([["make build"], ["make build", "python a.py"], ["ls"]]) == "make build"
    assert usual_check([["npm run test -- --ci"], ["make build"], ["make build"]]) == "npm run test -- --ci"
    assert usual_check([["python a.py"], ["ls"], ["ls"], []]) == ""
    assert usual_check([["go test ./..."], ["cargo test"]]) == "cargo test"
