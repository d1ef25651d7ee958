"""A network that begins with what another model has learned, instead of with chance."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ser_core import bundle
from ser_core.card import Card, Provenance
from ser_core.errors import TrainingError
from ser_core.recipe import Recipe
from ser_core.splits import Split

if TYPE_CHECKING:
    import keras  # loads TensorFlow


def base(recipe: Recipe) -> tuple[Card, Path]:
    """Return the card and the folder of the model that a recipe starts from.

    Raises:
        BundleError: there is no such model.
    """
    from ser_core.locations import find_model

    folder = find_model(recipe.training.start)
    return bundle.read_card(folder), folder


def check(recipe: Recipe, manifest: pd.DataFrame, split: Split) -> None:
    """Check that nobody who is to judge a network has taught the model that it starts from.

    Raises:
        BundleError: there is no such model.
        TrainingError: it has heard somebody of the validation or of the test part.
    """
    if not recipe.training.start:
        return
    training = base(recipe)[0].training
    heard = {*training.speakers, *training.validation_speakers}
    judges = set(manifest.speaker.iloc[[*split.validation, *split.test]])
    heard = (heard & judges) - {""}  # of those without a name, nobody knows
    if heard:
        raise TrainingError(
            f"the model {recipe.training.start}, with which this is to start, has heard "
            f"{min(heard)}, who is to validate or to test; start with another model, or "
            "learn from other recordings"
        )


def transfer(recipe: Recipe, network: "keras.Model") -> None:
    """Give a network the weights of the model that its recipe starts from.

    What depends on the emotions is left alone: the last layer and, of `deep`, the regression. What
    features are standardised by is the model's, for its weights fit to that.

    Raises:
        BundleError: there is no such model, or it is damaged.
        TrainingError: it is another kind of network, or hears other features.
    """
    import keras

    from ser_core import networks

    card, folder = base(recipe)
    bundle.verify_files(folder, card)
    known = keras.models.load_model(folder / "model.keras", safe_mode=True, compile=False)
    learned_anew = ("logits", networks.REGRESSION)
    # By their order, because Keras numbers layers without a name through a process.
    pairs = list(zip(network.layers, known.layers, strict=False))
    fits = (
        len(network.layers) == len(known.layers)
        and card.features == recipe.features
        and all(_shapes(a) == _shapes(b) for a, b in pairs if a.name not in learned_anew)
    )
    if not fits:
        raise TrainingError(
            f"the model {recipe.training.start} is another kind of network than {recipe.name}, or "
            "hears other features; start with one of the same recipe"
        )
    for mine, theirs in pairs:
        if isinstance(mine, keras.layers.Rescaling):
            mine.scale, mine.offset = theirs.scale, theirs.offset
        if mine.name not in learned_anew:
            mine.set_weights(theirs.get_weights())


def told(provenance: Provenance, recipe: Recipe) -> Provenance:
    """Return where a model comes from, with those from whom what it started from has learned."""
    card, _ = base(recipe)
    before = card.training
    began = f"the model {recipe.training.start} (model.keras {card.files['model.keras'][:16]}…)"
    return replace(
        provenance,
        corpora=before.corpora | provenance.corpora,
        utterances=before.utterances + provenance.utterances,
        # Those who validated have had their say, too.
        speakers=tuple(
            sorted({*before.speakers, *before.validation_speakers, *provenance.speakers})
        ),
        pretrained="; ".join(filter(None, [began, before.pretrained, provenance.pretrained])),
    )


def _shapes(layer: "keras.layers.Layer") -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
