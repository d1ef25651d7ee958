import dataclasses
import json

import pytest

from ser_core import bundle, locations
from ser_core.card import with_voice
from tests.helpers import ROOT
from tests.test_card import row


@pytest.fixture
def about(unopened):
    return unopened.switch_page("pages/about.py")


def words(app):
    assert not app.exception
    return " ".join(markdown.value for markdown in app.markdown)


@pytest.mark.parametrize(
    "said",
    [
        "actors",
        "not what anyone feels",
        "Regulation (EU) 2024/1689",
        "Article 5(1)(f)",
        "keeps no recording",
        "except when you get recordings",
        "Live page",
        "North American English",
        "MIT",
        "CC BY-NC-SA 4.0",
        "Livingstone",
        "Pichora-Fuller",
        "Haq & Jackson",
        "Cao et al.",
    ],
)
def test_about_says(about, said):
    assert said in words(about.run())


def test_what_is_said_of_other_corpora_was_measured(about):
    measured = json.loads((ROOT / "benchmarks/results/deep-cross-corpus.json").read_text())
    ravdess, tess, crema_d, savee = (f"{fold['uar']:.0%}" for fold in measured["folds"])
    of_eight = with_voice("cross-corpus", 8)
    known = [each for each in measured["voice_folds"] if each["protocol"] == of_eight]
    one, two, three, four = (f"{fold['uar']:.0%}" for fold in known)
    said = words(about.run())
    assert f"{ravdess} of RAVDESS, {savee} of SAVEE, {tess} of TESS and {crema_d} of CREM" in said
    assert f"it was {one}, {four}, {two} and {three}" in said


def test_of_a_model_from_own_recordings_nothing_is_said_of_actors(about, monkeypatch):
    real = bundle.read_card

    def own(folder):
        card = real(folder)
        return dataclasses.replace(
            card, training=dataclasses.replace(card.training, corpora={"mine": "unknown"})
        )

    monkeypatch.setattr(bundle, "read_card", own)
    said = words(about.run())
    assert "how emotion sounds in what it learned from" in said
    assert not any(word in said for word in ("learned from actors", "professional actors"))


def test_results_name_their_protocol(about, monkeypatch):
    real = bundle.read_card
    rows = (row("ravdess-5fold"), row("random-80-20"))
    monkeypatch.setattr(
        bundle, "read_card", lambda folder: dataclasses.replace(real(folder), evaluation=rows)
    )
    assert "1 time in 8" in words(about.run())
    table = about.table[0].value
    assert list(table["Tested on"].str.extract(r"\(\*(.*)\*\)$")[0]) == [
        "ravdess-5fold",
        "random-80-20",
    ]
    assert "%" in table["Right"][0]
    assert "happy most often, sad least" in words(about)
    assert "62% for women and 59% for men" in words(about)
    assert about.get("plotly_chart")[0].proto.alt == "happy 50%, sad 40%"


def test_what_was_always_right_is_100_per_cent(about, monkeypatch):
    real = bundle.read_card
    measured = dataclasses.replace(row("ravdess-5fold"), recall={"happy": 1.0}, coverage=1.0)
    monkeypatch.setattr(
        bundle,
        "read_card",
        lambda folder: dataclasses.replace(real(folder), evaluation=(measured,)),
    )
    assert "99%" not in words(about.run())
    assert about.table[0].value["Answered"][0] == "100%"
    chart = about.get("plotly_chart")[0].proto
    assert chart.alt == "happy 100%" and ">99%" not in chart.spec


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        (
            {"uar_by_sex": {"male": 0.59}},
            "least. Averaged over the emotions, 59% for men.",
            "women",
        ),
        ({"uar_by_sex": {}}, "happy most often, sad least.", "Averaged"),
        ({"recall": {"happy": 0.5}}, "speakers (ravdess-5fold). Averaged", "most often"),
    ],
    ids=["only men", "nobody's sex is known", "one emotion"],
)
def test_only_what_was_measured_is_told(about, monkeypatch, changes, said, unsaid):
    real = bundle.read_card
    measured = dataclasses.replace(row("ravdess-5fold"), **changes)
    monkeypatch.setattr(
        bundle,
        "read_card",
        lambda folder: dataclasses.replace(
            real(folder), evaluation=(measured,), labels=("happy", "sad", "angry")
        ),
    )
    told = words(about.run())
    assert said in told and unsaid not in told
    assert "which of 3 emotions" in told and "1 time in 3" in told


def test_untested_model_is_called_so(about, monkeypatch):
    real = bundle.read_card
    monkeypatch.setattr(
        bundle, "read_card", lambda folder: dataclasses.replace(real(folder), evaluation=())
    )
    assert "has not been tested" in words(about.run())
    assert not about.table


def test_missing_model_leaves_the_rest_readable(about, tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "MODELS", tmp_path)
    assert "Article 5(1)(f)" in words(about.run())
    assert len(about.error) == 1
