import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_core import library
from ser_core.corpora import CORPORA, CorpusError
from ser_core.corpora.ravdess import parse
from ser_core.corpora.scanning import manifest_of
from tests.helpers import ROOT

VALUES = st.sampled_from(["", "a", "b"])
CHOSEN = st.dictionaries(st.sampled_from(library.FACETS), st.lists(VALUES, unique=True))
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(library.FACETS, VALUES)), max_size=12)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    return tmp_path


def clip(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()


@given(ROWS, CHOSEN, st.sampled_from(library.FACETS))
def test_each_count_is_what_choosing_its_value_leaves(rows, chosen, facet):
    manifest = pd.DataFrame(rows, columns=list(library.FACETS))
    found = library.counts(manifest, chosen, facet)
    assert set(found) == set(manifest[facet])
    for value, count in found.items():
        assert count == len(library.keep(manifest, chosen | {facet: [value]}))


@given(ROWS, CHOSEN)
def test_what_is_kept_has_a_chosen_value_in_each_facet_and_nothing_else_is_left_out(rows, chosen):
    manifest = pd.DataFrame(rows, columns=list(library.FACETS))
    kept = library.keep(manifest, chosen)
    wanted = [
        row
        for row in rows
        if all(row[facet] in values for facet, values in chosen.items() if values)
    ]
    assert kept.to_dict("records") == wanted
    assert list(kept.index) == list(range(len(kept)))


def test_only_facets_that_differ_are_offered_and_emotions_come_in_their_order():
    names = ("03-01-05-01-01-01-01", "03-01-01-01-01-01-01", "03-01-05-02-01-01-01")
    manifest = manifest_of(parse(ROOT / f"{name}.wav") for name in names)
    assert library.facets(manifest) == ["emotion", "intensity"]
    assert list(library.counts(manifest, {}, "emotion")) == ["neutral", "angry"]


def test_the_state_changes_with_the_folder_and_with_nothing_else(data):
    folder = data / "ravdess" / "Actor_01"
    clip(folder, "03-01-05-01-01-01-01.wav")
    before = library.state("ravdess")
    assert library.state("ravdess") == before
    os.utime(folder, ns=(0, 0))  # however coarse the clock
    at_rest = library.state("ravdess")
    clip(folder, "03-01-05-01-01-02-01.wav")
    assert len({before, at_rest, library.state("ravdess")}) == 3
    assert len(library.manifest("ravdess")) == 2


def test_a_folder_that_is_renamed_meanwhile_is_no_error(data, monkeypatch):
    """As an archive's is, when all of it is unpacked."""
    unpacking = data / "ravdess" / ".unpacking-1"
    clip(unpacking, "03-01-05-01-01-01-01.wav")
    walk, scandir = os.walk, os.scandir

    def renamed_after(root):
        yield from walk(root)
        unpacking.rename(data / "ravdess" / "speech")

    def renamed_before(path):
        if Path(path) == unpacking and unpacking.exists():
            unpacking.rename(data / "ravdess" / "speech")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "walk", renamed_after)
        before = library.state("ravdess")
    assert library.state("ravdess") != before
    (data / "ravdess" / "speech").rename(unpacking)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", renamed_before)
        library.manifest("ravdess")
    assert len(library.manifest("ravdess")) == 1


def test_the_state_changes_with_ones_own_table(data):
    table = data / "mine" / "manifest.csv"
    clip(table.parent, table.name)
    before = library.state("mine")
    os.utime(table, ns=(0, 0))
    assert library.state("mine") != before


def test_a_folder_that_is_only_just_being_filled_has_no_rows_and_is_no_error(data):
    clip(data / "ravdess", "Audio_Speech_Actors_01-24.zip.part")
    assert library.names() == ["ravdess"]
    assert library.manifest("ravdess").empty


def test_an_unreadable_table_is_a_sentence(data):
    clip(data / "mine", "manifest.csv")
    with pytest.raises(CorpusError, match="cannot be read as a table"):
        library.manifest("mine")


@pytest.mark.realdata
def test_crema_d_is_here_as_spectrograms_until_its_recordings_are(data_dir, data):
    made = data_dir / "crema_d_logmel"
    shutil.copytree(made, data / made.name, copy_function=os.symlink)
    assert library.names() == ["crema-d"]
    assert len(library.manifest("crema-d")) == 7429
    before = library.state("crema-d")
    clip(data / "crema-d", "1001_DFA_ANG_XX.wav")
    assert len(library.manifest("crema-d")) == 1
    assert library.state("crema-d") != before


@pytest.mark.realdata
def test_real_counts(data_dir):
    found = {name: library.manifest(name) for name in library.names() if name in CORPORA}
    counts = {name: len(manifest) for name, manifest in found.items()}
    assert counts == {"ravdess": 2452, "tess": 2798, "savee": 480, "crema-d": 7429}
    spoken = {"channel": ["speech"]}
    assert library.counts(found["ravdess"], {}, "channel") == {"song": 1012, "speech": 1440}
    assert library.counts(found["ravdess"], spoken, "emotion") == {
        "neutral": 96,
        "calm": 192,
        "happy": 192,
        "sad": 192,
        "angry": 192,
        "fearful": 192,
        "disgust": 192,
        "surprised": 192,
    }
    assert library.counts(found["ravdess"], {"emotion": ["angry"]}, "sex") == {
        "female": 184,  # actor 18 does not sing
        "male": 192,
    }
    assert library.counts(found["savee"], {}, "emotion")["neutral"] == 120
