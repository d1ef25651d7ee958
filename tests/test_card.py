import dataclasses

import pytest

from ser_core.bundle import read_card
from ser_core.card import (
    Evaluation,
    Robustness,
    headline,
    model_card,
    of_group,
    protocol_in_words,
    results_in_words,
    results_table,
    voices,
    with_voice,
)
from ser_core.errors import UndertoneError
from ser_core.inspection import check_card
from ser_core.splits import PROTOCOLS
from tests.helpers import ROOT


def row(protocol, accuracy=0.621):
    return Evaluation(
        protocol,
        "ravdess",
        8,
        3,
        1440,
        0.608,
        0.011,
        accuracy,
        0.007,
        0.6,
        0.07,
        0.704,
        0.739,
        375,
        "…",
        {"happy": 0.5, "sad": 0.4},
        {"female": 0.62, "male": 0.59},
    )


@pytest.fixture
def card():
    return read_card(ROOT / "models" / "swift")


@pytest.mark.parametrize(
    ("protocols", "expected"),
    [
        ([], None),
        (["random-80-20"], None),
        (["random-80-20", "ravdess-5fold", "ravdess-6fold"], "ravdess-5fold"),
    ],
)
def test_headline_is_about_unseen_speakers(card, protocols, expected):
    card = dataclasses.replace(card, evaluation=tuple(map(row, protocols)))
    best = headline(card)
    assert (best and best.protocol) == expected


def test_results_in_words(card):
    rows = (row("ravdess-5fold"), row("random-80-20", 0.849), row("ravdess-5fold+voice(8)"))
    first, second, third = results_in_words(dataclasses.replace(card, evaluation=rows), PROTOCOLS)
    assert first["Tested on"].startswith("Unseen speakers")
    assert first["Tested on"].endswith(" (*ravdess-5fold*)")
    assert first["Right"] == "62.1 ±\u00a00.7%"  # a line may break before it, on a phone
    assert first["UAR"] == "60.8 ±\u00a01.1%"
    once = dataclasses.replace(row("ravdess-5fold"), seeds=1)
    card = dataclasses.replace(card, evaluation=(once,))
    assert results_in_words(card, PROTOCOLS)[0]["UAR"] == "60.8%", "one seed has no sd"
    assert "| `ravdess-5fold`, 1 seed | 8 | 60.8 | 62.1 |" in results_table(card)
    assert first["Answered"] == "70%"
    assert second["Right when answered"] == "74%"
    assert second["Right"].startswith("84.9")
    assert third["Tested on"] == (
        "Each speaker known from 8 unlabelled clips (*ravdess-5fold+voice(8)*)"
    )


@pytest.mark.parametrize(
    ("clips", "named", "says"),
    [
        (1, "voice(1)", "1 unlabelled clip"),
        (16, "voice(16)", "16 unlabelled clips"),
        (None, "voice-labelled", "a clip in each emotion"),
    ],
)
def test_a_protocol_with_a_voice_in_words(card, clips, named, says):
    protocol = with_voice("ravdess-5fold", clips)
    assert protocol == f"ravdess-5fold+{named}"
    assert protocol_in_words(protocol, PROTOCOLS) == f"Each speaker known from {says}"
    check_card(dataclasses.replace(card, evaluation=(row(protocol),)))


def test_a_group_of_a_protocol_in_words(card):
    protocol = of_group("ravdess-5fold", 1)
    assert protocol == "ravdess-5fold#2"
    assert protocol_in_words(protocol, PROTOCOLS).endswith("RAVDESS actors; fold 2 alone")
    check_card(dataclasses.replace(card, evaluation=(row(protocol),)))
    for wrong in ("ravdess-5fold#", "ravdess-5fold#0", "ravdess-5fold#2+voice(8)", "guess#2"):
        with pytest.raises(UndertoneError, match="no protocol is called"):
            check_card(dataclasses.replace(card, evaluation=(row(wrong),)))


def test_the_card_says_what_a_network_began_with(card):
    assert "Began with" not in model_card(card)
    training = dataclasses.replace(card.training, pretrained="CAM++, Apache License 2.0")
    assert "- Began with: CAM++, Apache License 2.0\n" in model_card(
        dataclasses.replace(card, training=training)
    )


def test_the_card_says_that_everything_was_fitted_anew(card):
    assert "fitted anew" not in model_card(card)
    training = dataclasses.replace(card.training, refitted=True)
    assert "of them decided the temperature" in (
        text := model_card(dataclasses.replace(card, training=training))
    )
    assert "fitted anew" in text and "further speakers" not in text


def test_the_card_of_those_without_a_name(card):
    training = dataclasses.replace(card.training, speakers=(), validation_speakers=())
    text = " ".join(model_card(dataclasses.replace(card, training=training)).split())
    assert "of unnamed speakers; 15 % of the clips, perhaps of the same speakers, decided" in text
    assert "0 speakers" not in text and "Trained on unnamed speakers. What" in text


def test_the_card_tells_what_changes_to_recordings_do(card):
    untested = dataclasses.replace(card, evaluation=(row("ravdess-5fold"),))
    assert "## Robustness" not in model_card(untested)
    rows = (
        Robustness("white noise, 20 dB", 0.512, 0.0961, 0.876, 0.0, passed=False),
        Robustness("white noise, 10 dB", 0.4, 0.2, 0.7, 0.0, passed=None),
    )
    tested = dataclasses.replace(row("ravdess-5fold"), robustness=rows)
    text = model_card(dataclasses.replace(card, evaluation=(tested,)))
    assert "recordings of `ravdess-5fold`, changed" in text
    assert "| white noise, 20 dB | 51.2 | 9.6 | 87.6 | no |\n" in text
    assert "| white noise, 10 dB | 40.0 | 20.0 | 70.0 | – |\n" in text


def test_voices_are_told_by_clips_in_order(card):
    rows = [
        row(f"ravdess-5fold{voice}") for voice in ("", "+voice(16)", "+voice(2)", "+voice-labelled")
    ]
    rows = [dataclasses.replace(each, uar=index / 10) for index, each in enumerate(rows)]
    other = row("savee-loso+voice(8)")
    card = dataclasses.replace(card, evaluation=(*rows, other))
    found, labelled = voices(card, "ravdess-5fold")
    assert list(found.items()) == [(2, 0.2), (16, 0.1)] and labelled == 0.3
    assert voices(card, "savee-loso") == ({8: other.uar}, None)


def test_the_card_tells_whom_it_hears_how_well(card):
    tested = dataclasses.replace(
        row("ravdess-5fold"), recall={"sad": 0.5, "calm": 0.875}, uar_by_sex={"female": 0.7}
    )
    text = model_card(dataclasses.replace(card, evaluation=(tested,)))
    assert "## By emotion and by sex" in text
    assert "| `ravdess-5fold` | 50.0 | 87.5 | 70.0 |" in text
    untold = dataclasses.replace(tested, recall={}, uar_by_sex={})
    assert "By emotion" not in model_card(dataclasses.replace(card, evaluation=(untold,)))
