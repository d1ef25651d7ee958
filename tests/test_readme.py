import json

import pytest

from ser_core import bundle
from ser_core.card import results_table
from ser_core.recognizer import MODELS, find_model
from tests.helpers import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_the_results_are_the_cards():
    card = bundle.read_card(find_model("swift"))
    assert results_table(card) in README
    assert f"{card.parameters:,} parameters" in README
    assert {row.protocol for row in card.evaluation} == {"ravdess-5fold", "random-80-20"}


def test_the_cards_results_are_the_measured_ones():
    for folder in MODELS.iterdir():
        card = bundle.read_card(folder)
        for row in card.evaluation:
            path = ROOT / "benchmarks" / "results" / f"{card.name}-{row.protocol}.json"
            measured = json.loads(path.read_text())
            assert measured["recipe"] == card.training.recipe
            assert measured["summary"]["uar"] == row.uar
            assert measured["summary"]["uar_sd"] == row.uar_sd


def test_the_speeds_are_the_benchmarks():
    from benchmarks.predict import RESULTS, table

    assert table(json.loads((RESULTS / "predict.json").read_text())) in README


@pytest.mark.parametrize("line", README.splitlines())
def test_every_file_named_in_the_readme_is_there(line):
    for word in line.replace("`", " ").replace("(", " ").replace(")", " ").split():
        if word.startswith(("assets/", "benchmarks/", "models/")):
            assert (ROOT / word.rstrip(".,;")).exists(), word
