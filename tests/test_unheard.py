import dataclasses

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser_core import bundle, game, heard, heldout, unheard
from ser_core.corpora import ravdess, tess
from ser_core.corpora.scanning import manifest_of
from tests.helpers import ROOT, speech_like

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


def names(count):
    """File names of RAVDESS speech: every second one angry, the others sad."""
    return [
        f"03-01-{'05' if n % 2 else '04'}-01-01-{1 + n // 24:02d}-{1 + n % 24:02d}"
        for n in range(count)
    ]


def held(names, *, protocol="ravdess-5fold", seed=0, label="angry"):
    """A table in which the same emotion is heard in everything."""
    rows = manifest_of(ravdess.parse(ROOT / f"{name}.wav") for name in names)
    table = pd.DataFrame({"recipe": "r", "protocol": protocol, "seed": seed, "fold": 0}, rows.index)
    table = table.join(rows[["id", "speaker", "sex", "emotion"]])
    return table.assign(**{name: np.float32(0.65 if name == label else 0.05) for name in LABELS})


@pytest.fixture
def model(tmp_path):
    """A model of RAVDESS alone with held-out answers of ours: `model(*tables)`."""
    loaded = bundle.load(ROOT / "models" / "swift")
    training = dataclasses.replace(loaded.card.training, corpora={"ravdess": "CC BY-NC-SA 4.0"})
    card = dataclasses.replace(loaded.card, training=training)

    def with_tables(*tables):
        if tables:
            heldout.write(tables, tmp_path / bundle.HELDOUT)
        return dataclasses.replace(loaded, card=card, folder=tmp_path)

    return with_tables


@pytest.fixture(scope="module")
def tess_clips(tmp_path_factory):
    """The manifest of two recordings of a corpus that the model does not know."""
    folder = tmp_path_factory.mktemp("tess")
    for seed, name in enumerate(("OAF_back_sad", "YAF_bar_angry")):
        soundfile.write(folder / f"{name}.wav", speech_like(seed=seed), 16_000)
    return manifest_of(map(tess.parse, sorted(folder.glob("*.wav"))))


def ravdess_clips(names, folder=ROOT):
    return manifest_of(ravdess.parse(folder / f"{name}.wav") for name in names)


@pytest.fixture
def forty(tmp_path):
    """The manifest of forty files of which the names alone matter."""
    for name in names(40):
        (tmp_path / f"{name}.wav").touch()
    return ravdess_clips(names(40), tmp_path)


def test_of_a_corpus_trained_on_only_answers_by_unseen_speakers_count(model):
    known, unknown = names(30)[:20], names(30)[20:]
    served = model(
        held(names(30), protocol="random-80-20", label="sad"),
        held(known, seed=1, label="happy"),
        held(known),
    )
    manifest = ravdess_clips([*known, *unknown])
    found = unheard.answers(served, manifest)
    has = manifest.id.isin([f"ravdess/{name}" for name in known])
    assert set(found.protocol[has]) == {"ravdess-5fold"} and set(found.protocol[~has]) == {""}
    assert found.loc[~has, list(LABELS)].isna().all(axis=None)
    best = unheard.best(found[has])
    assert set(best.heard) == {"angry"} and np.allclose(best.confidence, 0.65)


def test_without_held_out_answers_none_counts(model):
    found = unheard.answers(model(), ravdess_clips(names(3)))
    assert set(found.protocol) == {""} and found[list(LABELS)].isna().all(axis=None)


def test_of_another_corpus_the_models_own_answers_count(model, tess_clips):
    served = model(held(names(1)))
    both = pd.concat([tess_clips[:1], ravdess_clips(names(1)), tess_clips[1:]], ignore_index=True)
    found = unheard.answers(served, both)
    assert list(found.protocol) == [unheard.UNSEEN_CORPUS, "ravdess-5fold", unheard.UNSEEN_CORPUS]
    own = heard.outputs(served, tess_clips).probabilities
    assert np.array_equal(found.loc[[0, 2], list(LABELS)].to_numpy(), own)


def test_what_cannot_be_read_has_no_answer(model, tess_clips, tmp_path):
    manifest = tess_clips.assign(path=[tess_clips.path[0], tmp_path / "absent.wav"])
    assert list(unheard.answers(model(), manifest).protocol) == [unheard.UNSEEN_CORPUS, ""]


def test_with_fewer_choices_the_likeliest_of_these_is_heard():
    answers = pd.DataFrame({"sad": [0.2], "angry": [0.1], "calm": [0.7], "protocol": ["p"]})
    best = unheard.best(answers, ["sad", "angry"])
    assert best.heard[0] == "sad" and best.confidence[0] == pytest.approx(2 / 3)


def test_ten_recordings_are_dealt_that_the_model_has_answers_to(model, forty):
    served, manifest = model(held(names(25))), forty
    dealt = game.deal(served, manifest, 1)
    assert dealt == game.deal(served, manifest, 1) != game.deal(served, manifest, 2)
    assert len(set(dealt.paths)) == len(dealt.truth) == len(dealt.model) == game.CLIPS
    truth = dict(zip(manifest.path, manifest.emotion, strict=True))
    assert [truth[path] for path in dealt.paths] == list(dealt.truth)
    assert {path.stem for path in dealt.paths} <= set(names(25))
    assert set(dealt.model) == {"angry"} and dealt.choices == ("sad", "angry")
    assert dealt.protocols == ("ravdess-5fold",)


def test_the_score_is_of_what_was_guessed_so_far(model, forty):
    played = game.deal(model(held(names(20))), forty, 0)
    for count, truth in enumerate(played.truth):
        heard_angry = played.truth[:count].count("angry")
        assert game.score(played) == (count, heard_angry) and not played.over
        played = game.guess(played, truth)
    assert game.score(played) == (10, played.truth.count("angry")) and played.over


@pytest.mark.parametrize(
    ("count", "emotions", "reason"),
    [(9, ["sad", "angry"], "fewer than 10"), (40, ["sad"], "fewer than two emotions")],
)
def test_too_little_to_guess_is_a_sentence(model, forty, count, emotions, reason):
    manifest = forty[forty.emotion.isin(emotions)].reset_index(drop=True)
    with pytest.raises(game.GameError, match=reason):
        game.deal(model(held(names(count))), manifest, 0)


def test_recordings_that_are_gone_are_not_dealt(model, forty):
    gone = forty.path[:20]
    for path in gone:
        path.unlink()
    assert not set(game.deal(model(held(names(40))), forty, 0).paths) & set(gone)
