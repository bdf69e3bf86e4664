"""lesson and verify as a teacher meets them: what is printed, drawn and refused."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_most, must_be, none_of
from dropout_lab.cli.lesson_page import _Page
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LESSONS
from dropout_lab.lessons.parts import Check

PICTURES = Path("results/lessons")


def test_without_a_name_every_lesson_is_listed_with_its_claim(run) -> None:
    told = run("lesson")
    assert (told.status, told.err) == (0, "")
    for name in LESSONS:
        assert f"  {name} " in told.out
    assert json.loads(run("lesson", "--json").out).keys() == LESSONS.keys()


@pytest.mark.parametrize("columns", ["80", "200"])
def test_a_lesson_is_told_step_by_step_and_ends_with_its_checks(
    run, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    told = run("lesson", "scaling", "--quick")
    assert (told.status, told.err) == (0, "")
    assert max(map(len, told.out.splitlines())) <= int(columns)
    words = ["The claim:", "\n1. Ones", "E[out] = p * 0", "Look: ", "Widely taught, and wrong: "]
    places = [told.out.index(each) for each in [*words, "Plot: ", "Checks of the claim"]]
    assert places[0] == min(places)
    assert places[-1] == max(places)
    assert told.out.splitlines()[-1].startswith("The claim holds (")
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        assert (PICTURES / f"scaling.{suffix}").read_bytes().startswith(start)


def test_a_claim_that_does_not_hold_ends_with_1_and_says_what_was_measured(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_scaling(self: InvertedDropout, p: Tensor) -> Tensor:
        return torch.ones_like(p)

    monkeypatch.setattr(InvertedDropout, "kept_scale", without_scaling)
    told = run("lesson", "scaling", "--quick")
    assert told.status == 1
    assert "FAILED" in told.out
    assert "is the mean of 20,000 draws" in told.out
    assert told.out.splitlines()[-1].startswith("3 of 4 checks failed (")
    verified = run("verify", "scaling", "--quick", "--json")
    assert verified.status == 1
    found = json.loads(verified.out)
    assert (found["passed"], found["failed"], found["checks"]) == (1, 3, [])
    assert all(check["reason"] for check in found["lessons"] if not check["passed"])


def test_why_a_check_failed_is_a_sentence_that_names_a_number_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    findings = [
        none_of(3, "units differ"),
        must_be("caught", "missed", "no check sees it"),
        at_most(0.5, 0.25, "is how far it is off"),
    ]
    checks = [Check(str(at), finding) for at, finding in enumerate(findings)]
    _Page(quiet=False, pause=False).end(checks, 0.0)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert told == ["    3 units differ", "    no check sees it", "    0.5 is how far it is off"]


def test_it_waits_for_enter_before_each_further_step(run, monkeypatch) -> None:
    plain = run("lesson", "scaling", "--quick").out
    pressed = []

    def press() -> str:
        pressed.append("Enter")
        return ""

    monkeypatch.setattr("builtins.input", press)
    told = run("lesson", "scaling", "--quick", "--pause")
    assert len(pressed) == 3
    assert told.out.splitlines()[:-1] == plain.splitlines()[:-1]

    def nobody() -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    assert run("lesson", "scaling", "--quick", "--pause").status == 0


def test_json_has_the_numbers_and_nothing_else(run) -> None:
    told = run("lesson", "scaling", "--quick", "--json", "--p", "0.25", "--seed", "7")
    assert (told.status, told.err) == (0, "")
    found = json.loads(told.out)
    assert (found["lesson"], found["p"], found["seed"]) == ("scaling", [0.25], 7)
    assert all(check["passed"] for check in found["checks"])
    ones = {value for row in found["tables"][0]["rows"] for value in row}
    assert {round(value, 4) for value in ones} <= {0.0, 1.3333}
    assert found["pictures"] == [str(PICTURES / f"scaling.{end}") for end in ("png", "svg")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scalng"], "'scalng' is not a lesson; did you mean 'scaling'?"),
        (["scaling", "--p", "1.5"], "one number from 0.05 to 0.95, the probability of dropping"),
        (["scaling", "--p", "nan"], "--p is 'nan'"),
        (["scaling", "--p", "half"], "--p is 'half'"),
        (["scaling", "--p", "0.1,0.2"], "takes one number"),
        (["scaling", "--p", "0.1:0.3:0.1"], "takes one number"),
        (["scaling", "--seed", "-1"], "'--seed'"),
        (["scaling", "--data-dir", "x"], "lesson scaling reads no images"),
        (["scaling", "--out", ""], "name a folder"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(run, arguments: list[str], words: str) -> None:
    told = run("lesson", *arguments)
    assert told.status == 2
    assert words in told.err
    assert told.out == ""
    assert not Path("results").exists()


def test_all_mistakes_come_at_once(run) -> None:
    told = run("lesson", "scaling", "--p", "2", "--data-dir", "x")
    assert told.err.splitlines()[-1] == "2 mistakes; nothing was run."


def test_a_folder_that_cannot_be_written_is_told_before_the_work(run) -> None:
    Path("taken").write_text("")
    told = run("lesson", "scaling", "--out", "taken/lessons")
    assert told.status == 4
    assert "taken" in told.err
    assert told.out == ""


def test_pictures_of_lessons_are_no_study(run) -> None:
    assert run("lesson", "scaling", "--quick").status == 0
    told = run("plot", "results")
    assert told.status == 4
    assert "holds no study" in told.err


def test_verify_runs_lessons_beside_variants_a_line_for_each_check(run) -> None:
    told = run("verify", "scaling", "none", "--quick")
    assert told.status == 0
    assert max(map(len, told.out.splitlines())) <= 80
    lines = [line for line in told.out.splitlines() if line.startswith("scaling ")]
    assert len(lines) == 4
    assert all(line.endswith(" ok") for line in lines)
    assert "checks of 1 variant and 1 lesson:" in told.out.splitlines()[-1]


def test_a_lesson_that_cannot_be_held_is_a_failed_check(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: InvertedDropout, x: Tensor) -> Tensor:
        raise RuntimeError("no ones left")

    monkeypatch.setattr(InvertedDropout, "drop", stop)
    told = run("verify", "scaling", "--quick")
    assert told.status == 1
    assert "RuntimeError: no ones left" in told.out
