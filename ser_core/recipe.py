"""A recipe: one TOML file which says all there is to say about a training."""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, Len
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ser_core.augment import Augmentation
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError
from ser_core.features import FeatureSpec

RECIPES = Path(__file__).parent / "recipes"


class RecipeError(UndertoneError):
    """A recipe cannot be used; the message names the key and what is allowed."""


Positive = Annotated[int, Ge(1)]
Share = Annotated[float, Interval(ge=0, lt=1)]
Label = Literal[tuple(EMOTIONS)]


@dataclass(frozen=True)
class Data:
    """Which utterances: a corpus or several (`"ravdess+tess"`), and which of their channels."""

    corpus: str = "ravdess"
    channels: tuple[str, ...] = ("speech",)

    @property
    def corpora(self) -> tuple[str, ...]:
        """The names of the corpora."""
        return tuple(self.corpus.split("+"))


@dataclass(frozen=True)
class CnnBiLstm:
    """Hyper-parameters of `networks.cnn_bilstm`.

    Attributes:
        averaged_frames: frames averaged into one before the first convolution.
        filters: channels of each convolution.
        pooling: factor by which each convolution's output is shortened, the maxima kept.
        kernel_size: frames a convolution spans.
        lstm_units: units in each direction.
        embedding: size of the embedding.
        dropout: rate before the LSTM and before the classifier.
        spatial_dropout: rate at which whole channels are dropped after each convolution.
    """

    name: Literal["cnn-bilstm"]
    averaged_frames: Positive = 1
    filters: Annotated[tuple[Positive, ...], Len(1)] = (128, 192, 256)
    pooling: tuple[Positive, ...] = (2, 2, 2)
    kernel_size: Positive = 5
    lstm_units: Positive = 96
    embedding: Positive = 128
    dropout: Share = 0.3
    spatial_dropout: Share = 0.1

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if len(self.pooling) != len(self.filters):
            raise ValueError("pooling and filters must be equally many")


@dataclass(frozen=True)
class Training:
    """How a network is fitted.

    Attributes:
        epochs: most epochs; the learning rate falls to zero over them along a cosine.
        warmup_epochs: epochs over which the learning rate rises first.
        batch_size: windows in a step.
        learning_rate: at its highest.
        weight_decay: AdamW's.
        label_smoothing: share of each target spread over all classes.
        averaging: momentum of the exponential average of the weights over epochs, which is what
            is validated and kept.
        patience: epochs without a lower validation loss after which training stops.
        validation_speakers: speakers taken out of the training part.
        selective_accuracy: the accuracy on validation speakers that answers should have; the
            abstention threshold is chosen for it.
        seed: of everything drawn by chance.
    """

    epochs: Positive = 120
    warmup_epochs: Annotated[int, Ge(0)] = 5
    batch_size: Positive = 32
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    weight_decay: Annotated[float, Ge(0)] = 1e-2
    label_smoothing: Share = 0.1
    averaging: Share = 0.9
    patience: Positive = 40
    validation_speakers: Positive = 2
    selective_accuracy: Share = 0.8
    seed: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a training; see the recipes folder for examples."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    description: str
    labels: Annotated[tuple[Label, ...], Len(2)]
    network: CnnBiLstm
    data: Data = field(default_factory=Data)
    features: FeatureSpec = field(default_factory=FeatureSpec)
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label is named twice")

    @property
    def digest(self) -> str:
        """A short hash which changes with any value but the seed and the words."""
        plain = asdict(self)
        del plain["training"]["seed"], plain["name"], plain["description"]
        text = json.dumps(plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load(name_or_path: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """Load a shipped recipe by name, or any by path, and change single values.

    Args:
        name_or_path: the name of a file in the recipes folder, or a path.
        settings: changes like `training.epochs=20`; values are TOML, bare words strings.

    Raises:
        RecipeError: there is no such recipe, or a key or value is not allowed.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = RECIPES / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise RecipeError(f"there is no recipe '{name_or_path}'; known are {known}, or give a path")
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not a TOML file: {error}") from None
    for setting in settings:
        _set(table, setting)
    try:
        return TypeAdapter(Recipe).validate_python(table)
    except ValidationError as error:
        raise RecipeError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "unexpected_keyword_argument":
        return f"the recipe has an unknown key '{key}'"
    if first["type"].startswith("missing"):
        return f"the recipe lacks the key '{key}'"
    return f"the recipe's '{key}' is {first['input']!r}: {first['msg']}"


def _set(table: dict, setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError(f"'{setting}' is not of the form key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise RecipeError(f"'{key}' is not a key of the recipe")
    table[last] = value
