import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from ser_core import bundle, heldout, splits
from ser_core.errors import UndertoneError
from ser_core.locations import model_folders

SHIPPED = [name for name, folder in model_folders().items() if (folder / bundle.HELDOUT).exists()]


def table(recipe: str = "abc") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recipe": recipe,
            "protocol": "savee-loso",
            "seed": 0,
            "fold": [0, 1],
            "id": ["savee/DC_a01", "savee/JE_a01"],
            "speaker": ["savee-dc", "savee-je"],
            "sex": "male",
            "emotion": "angry",
            "angry": np.float32([0.75, 0.25]),
            "sad": np.float32([0.25, 0.75]),
        }
    )


def test_what_is_written_is_read(tmp_path):
    heldout.write([table(), table()], tmp_path / bundle.HELDOUT)
    for place in (tmp_path, tmp_path / bundle.HELDOUT):
        found = heldout.read(place, recipe="abc")
        pd.testing.assert_frame_equal(
            found, pd.concat([table(), table()], ignore_index=True), check_dtype=False
        )
        assert heldout.labels_of(found) == ("angry", "sad")


def test_a_model_may_have_none(tmp_path):
    assert heldout.read(tmp_path).empty


def test_tables_of_two_recipes_are_refused(tmp_path):
    with pytest.raises(UndertoneError, match="different recipes"):
        heldout.write([table("abc"), table("def")], tmp_path / "x.parquet")


def test_a_table_of_another_recipe_is_refused(tmp_path):
    heldout.write([table()], tmp_path / "x.parquet")
    with pytest.raises(UndertoneError, match="another recipe"):
        heldout.read(tmp_path / "x.parquet", recipe="def")


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really", None, "other columns"])
def test_what_is_no_such_table_is_refused(tmp_path, content):
    path = tmp_path / "x.parquet"
    if content == "other columns":
        pd.DataFrame({"a": [1]}).to_parquet(path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UndertoneError, match="not a table of held-out predictions"):
        heldout.read(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_predictions_are_those_of_the_card(name):
    """From each protocol's single predictions follow the figures of its row in the card."""
    folder = model_folders()[name]
    card, found = bundle.read_card(folder), heldout.read(folder)
    assert heldout.labels_of(found) == card.labels
    assert set(found.recipe) == {card.training.recipe}
    rows = {row.protocol: row for row in card.evaluation}
    for protocol, part in found.groupby("protocol"):
        heard = part[list(card.labels)].idxmax(axis=1)
        per_fold = pd.DataFrame({"truth": part.emotion, "heard": heard}).groupby(
            [part.seed, part.fold]
        )
        uar = per_fold.apply(
            lambda fold: recall_score(fold.truth, fold.heard, average="macro"), include_groups=False
        )
        row = rows[protocol]
        assert uar.groupby("seed").mean().mean() == pytest.approx(row.uar, abs=5e-4)
        assert part.seed.nunique() == row.seeds
        assert len(part) == row.n * row.seeds
        if not protocol.startswith("random"):
            folds = part.groupby("speaker").fold.nunique()
            assert (folds == 1).all()
            assert part.fold.nunique() == splits.fold_count(protocol)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("harm", ["changed", "removed", "unannounced"])
def test_a_model_with_other_predictions_than_its_card_describes_is_refused(tmp_path, name, harm):
    folder = shutil.copytree(model_folders()[name], tmp_path / "model")
    path = folder / bundle.HELDOUT
    if harm == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif harm == "removed":
        path.unlink()
    else:
        card = folder / "card.json"
        card.write_text(card.read_text("utf-8").replace(f'"{bundle.HELDOUT}"', '"other"'), "utf-8")
    with pytest.raises(bundle.BundleError, match=bundle.HELDOUT):
        bundle.load(folder)
