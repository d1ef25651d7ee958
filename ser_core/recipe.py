"""A recipe: one TOML file which says all there is to say about a training."""

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Interval, Len
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ser_core.augment import Augmentation
from ser_core.descriptors import DescriptorSpec
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError
from ser_core.fbank import FbankSpec
from ser_core.features import Features, FeatureSpec
from ser_core.hyperparameters import (
    CLASSICAL,
    NETWORKS,
    CnnBiLstm,
    Conv1d,
    Deep,
    Network,
    Share,
    Size,
)
from ser_core.splits import PROTOCOLS

RECIPES = Path(__file__).parent / "recipes"
OF_RUN = "recipe.json"  # the file in a run's folder that holds the recipe it was begun with


class RecipeError(UndertoneError):
    """A recipe cannot be used; the message names the key and what is allowed."""


_NAME = re.compile(r"\w[\w .-]*")  # of the folder of a run, too
Label = Literal[tuple(EMOTIONS)]
Count = Annotated[int, Interval(ge=1, le=100_000)]


@dataclass(frozen=True)
class Data:
    """Which utterances.

    Attributes:
        corpus: one, or several (`"ravdess+tess"`).
        channels: which of their channels.
        most_of_speaker: recordings of one speaker that are used at most, to learn from and to test
            on, of each emotion about alike; 0 for all. The 2,800 of TESS are two voices, however
            many words they say.
    """

    corpus: str = "ravdess"
    channels: Annotated[tuple[Literal["speech", "song"], ...], Len(1)] = ("speech",)
    most_of_speaker: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if len(set(self.corpora)) < len(self.corpora):
            raise ValueError("a corpus is named twice")

    @property
    def corpora(self) -> tuple[str, ...]:
        """The names of the corpora."""
        return tuple(self.corpus.split("+"))


@dataclass(frozen=True)
class Training:
    """How a network is fitted.

    Attributes:
        epochs: most epochs.
        schedule: `cosine`: the learning rate falls to zero along a cosine; `plateau`: it is halved
            after each third of the patience without a better epoch; `constant`.
        warmup_epochs: epochs over which a cosine's learning rate rises first.
        batch_size: windows in a step.
        optimizer: `adamw`, or `adam` without weight decay.
        learning_rate: at its highest.
        weight_decay: AdamW's.
        label_smoothing: share of each target spread over all classes.
        class_weights: whether every class counts the same, however many recordings it has.
        whole_epochs: whether an epoch shows every variant of every recording; if not, as many
            windows as there are recordings unchanged, drawn from all variants.
        averaging: momentum of the exponential average of the weights over epochs, which is what
            is validated and kept; 0 for the weights themselves.
        best: what makes an epoch the best: the least validation `loss`, or the highest `uar`.
        patience: epochs without a better one after which training stops.
        validation_speakers: speakers taken out of the training part.
        refit: whether, once these have told temperature and threshold, the network is fitted anew
            on them, too, over all epochs: for those who have few speakers and no need to stop
            early.
        selective_accuracy: the accuracy on validation speakers that answers should have; the
            abstention threshold is chosen for it.
        teacher: share of each target that is what a teacher says of the recording instead of its
            label; see `teacher`.
        start: the model whose weights, but for the last layer's, are begun with; chance's, if none
            is named. See `warm_start`.
        seed: of everything drawn by chance.
    """

    epochs: Count = 120
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_epochs: Annotated[int, Ge(0)] = 5
    batch_size: Size = 32
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: Annotated[float, Interval(gt=0, le=1)] = 1e-3
    weight_decay: Annotated[float, Interval(ge=0, le=1)] = 1e-2
    label_smoothing: Share = 0.1
    class_weights: bool = True
    whole_epochs: bool = False
    averaging: Share = 0.9
    best: Literal["loss", "uar"] = "loss"
    patience: Count = 40
    validation_speakers: Count = 2
    refit: bool = False
    selective_accuracy: Share = 0.8
    teacher: Share = 0.0
    start: str = ""
    seed: Annotated[int, Interval(ge=0, le=2**31 - 1)] = 0

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if self.refit and self.schedule == "plateau":
            raise ValueError(
                "refit does not go with the schedule plateau, which needs others to validate on; "
                "take cosine or constant"
            )

    @property
    def total_epochs(self) -> int:
        """Most epochs of all that is fitted."""
        return self.epochs * (2 if self.refit else 1)


@dataclass(frozen=True)
class Published:
    """What a system's authors say of it, as fractions.

    Attributes:
        protocol: theirs, by our name.
        accuracy: theirs, if they give it.
        macro_f1: theirs, if they give it.
    """

    protocol: Literal[tuple(PROTOCOLS)]
    accuracy: Share | None = None
    macro_f1: Share | None = None


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a training; see the recipes folder for examples."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    description: str
    labels: Annotated[tuple[Label, ...], Len(2)]
    network: Network
    data: Data = field(default_factory=Data)
    features: Features = field(default_factory=FeatureSpec)
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: Training = field(default_factory=Training)
    published: Published | None = None

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"the name {self.name!r} cannot be that of a folder; take letters, digits, - and _"
            )
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label is named twice")
        log_mel = isinstance(self.features, FeatureSpec)
        if self.augmentation.in_decibels and not log_mel:
            steps = ", ".join(self.augmentation.in_decibels)
            raise ValueError(f"only log-mel windows can take the augmentation {steps}")
        if len(self.features.shape) == 1 and not isinstance(self.network, (Conv1d, *CLASSICAL)):
            raise ValueError(f"the network {self.network.name} wants features that are not pooled")
        if isinstance(self.network, CLASSICAL) and len(self.features.shape) == 2:
            raise ValueError(f"the network {self.network.name} wants features that are pooled")
        if isinstance(self.network, CnnBiLstm) and not log_mel:
            raise ValueError("the network cnn-bilstm wants log-mel features without a name")
        if isinstance(self.network, CnnBiLstm):
            shortened = self.network.averaged_frames * math.prod(self.network.pooling)
            if shortened > self.features.frames:
                raise ValueError(
                    f"averaged_frames and pooling leave nothing of {self.features.frames} frames"
                )
        if isinstance(self.network, Deep) != isinstance(self.features, FbankSpec):
            raise ValueError('the network deep and features of the kind "fbank" want each other')
        named = len(self.data.corpora)
        if isinstance(self.network, Deep) and 1 < self.network.corpora < named:
            raise ValueError(f"network.corpora must be 1, or {named} (as in data.corpus) or more")

    @property
    def digest(self) -> str:
        """A short hash which changes with any value but the seed and the words.

        What is at its default does not count, so that a key which is new to recipes leaves the
        digests of those that do not use it alone.
        """
        plain = _not_at_default(self)
        for words in ("name", "description", "published"):
            plain.pop(words, None)
        plain.get("training", {}).pop("seed", None)
        text = json.dumps(plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_RECIPE = TypeAdapter(Recipe)


def _not_at_default(value):
    if not is_dataclass(value):
        return value
    found = {}
    for each in fields(value):
        mine = getattr(value, each.name)
        default = each.default if each.default_factory is MISSING else each.default_factory()
        if mine != default:
            found[each.name] = _not_at_default(mine)
    return found


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
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not a TOML file: {error}") from None
    for setting in settings:
        _set(table, setting)
    try:
        return _RECIPE.validate_python(table)
    except ValidationError as error:
        raise RecipeError(_sentence(error)) from None


def of_run(run_dir: Path) -> Recipe:
    """Return the recipe that the run in a folder was begun with.

    Raises:
        RecipeError: what the folder holds of it cannot be read.
    """
    try:
        return _RECIPE.validate_python(json.loads((run_dir / OF_RUN).read_text("utf-8")))
    except (OSError, ValueError):  # pydantic's own is one, too
        raise RecipeError(
            f"the run in {run_dir} is damaged; begin a new one with another --run-dir"
        ) from None


_KEYS = {
    each.name
    for kind in (*NETWORKS, FeatureSpec, FbankSpec, DescriptorSpec)
    for each in fields(kind)
}


_MOST_SHOWN = 60  # characters of a value that will not do


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    # Where one of several kinds is meant, pydantic names the kind as if it were a key.
    parts = [
        str(part)
        for before, part in zip((None, *first["loc"]), first["loc"], strict=False)
        if before not in ("network", "features") or part in _KEYS
    ]
    key = ".".join(parts)
    if first["type"] == "unexpected_keyword_argument":
        return f"the recipe has an unknown key '{key}'"
    if first["type"].startswith("missing"):
        return f"the recipe lacks the key '{key}'"
    if first["type"] == "union_tag_invalid":
        tag, allowed = first["ctx"]["tag"], first["ctx"]["expected_tags"]
        return f"the recipe's '{key}.name' is '{tag}': allowed are {allowed}"
    message = first["msg"].removeprefix("Value error, ").partition(", unable to parse")[0]
    if isinstance(first["input"], dict):  # what is wrong is not one value
        return f"the recipe's '{key}' will not do: {message}" if key else f"the recipe: {message}"
    given = repr(first["input"])
    given = given if len(given) <= _MOST_SHOWN else f"{given[:_MOST_SHOWN]}…"
    return f"the recipe's '{key}' is {given}: {message}"


def _set(table: dict, setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError(f"'{setting}' is not of the form key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise RecipeError(f"'{key}' is not a key of the recipe")
    table[last] = value
