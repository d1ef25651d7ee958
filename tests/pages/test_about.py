import dataclasses

import pytest

from ser_core import bundle, recognizer
from tests.test_card import row


@pytest.fixture
def about(app):
    return app.switch_page("pages/about.py")


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


def test_results_name_their_protocol(about, monkeypatch):
    real = bundle.read_card
    rows = (row("ravdess-5fold"), row("random-80-20"))
    monkeypatch.setattr(
        bundle, "read_card", lambda folder: dataclasses.replace(real(folder), evaluation=rows)
    )
    assert "1 time in 8" in words(about.run())
    table = about.table[0].value
    assert list(table["Tested on"].str.extract(r"\*\*(.*)\*\*")[0]) == [
        "ravdess-5fold",
        "random-80-20",
    ]
    assert "%" in table["Right"][0]
    assert "happy most often, sad least" in words(about)
    assert "62% for women and 59% for men" in words(about)
    assert about.get("plotly_chart")[0].proto.alt == "happy 50%, sad 40%"


def test_untested_model_is_called_so(about, monkeypatch):
    real = bundle.read_card
    monkeypatch.setattr(
        bundle, "read_card", lambda folder: dataclasses.replace(real(folder), evaluation=())
    )
    assert "has not been tested" in words(about.run())
    assert not about.table


def test_missing_model_leaves_the_rest_readable(about, tmp_path, monkeypatch):
    monkeypatch.setattr(recognizer, "MODELS", tmp_path)
    assert "Article 5(1)(f)" in words(about.run())
    assert len(about.error) == 1
