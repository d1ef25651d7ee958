"""What can be said in a recipe about a network or a baseline: its hyper-parameters.

`networks` builds what these describe, `classical` fits the baselines.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Union

from annotated_types import Interval, Len
from pydantic import Discriminator

# No network here is wider: what a visitor asks for is to fit into memory.
Size = Annotated[int, Interval(ge=1, le=4096)]
Share = Annotated[float, Interval(ge=0, lt=1)]


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
    averaged_frames: Size = 1
    filters: Annotated[tuple[Size, ...], Len(1)] = (128, 192, 256)
    pooling: tuple[Size, ...] = (2, 2, 2)
    kernel_size: Size = 5
    lstm_units: Size = 96
    embedding: Size = 128
    dropout: Share = 0.3
    spatial_dropout: Share = 0.1

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if len(self.pooling) != len(self.filters):
            raise ValueError("pooling and filters must be equally many")


@dataclass(frozen=True)
class Crnn:
    """Hyper-parameters of `networks.crnn`: 2-D convolutions, then an LSTM both ways.

    Attributes:
        filters: channels of each convolution.
        pooling: factors by which each convolution's output is shortened in time and in frequency.
        kernel_size: frames and bands a convolution spans.
        lstm_units: units in each direction.
        attention: whether all that the LSTM says is pooled, or only its last words are taken.
        dense: units of the layer between the LSTM and the classifier.
        dropout: rate after each convolution and each later layer.
    """

    name: Literal["crnn"]
    filters: Annotated[tuple[Size, ...], Len(1)] = (32, 64, 128)
    pooling: tuple[tuple[Size, Size], ...] = ((2, 2), (2, 2), (2, 2))
    kernel_size: Size = 3
    lstm_units: Size = 64
    attention: bool = False
    dense: Size = 128
    dropout: Share = 0.3

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if len(self.pooling) != len(self.filters):
            raise ValueError("pooling and filters must be equally many")


@dataclass(frozen=True)
class Conv1d:
    """Hyper-parameters of `networks.conv1d`: convolutions over time, LSTMs, dense layers.

    Over a pooled vector, the convolutions run along its values.

    Attributes:
        filters: channels of each convolution; none for a purely recurrent network.
        pooling: factor by which each convolution's output is shortened, the maxima kept.
        kernel_size: steps a convolution spans.
        lstm: units of each LSTM layer; none for a purely convolutional network.
        both_ways: whether the LSTMs are bidirectional.
        dense: units of each layer before the classifier.
        dropout: rate after each convolution and each later layer.
    """

    name: Literal["conv1d"]
    filters: tuple[Size, ...] = (128, 256, 512)
    pooling: Size = 2
    kernel_size: Size = 5
    lstm: tuple[Size, ...] = ()
    both_ways: bool = False
    dense: Annotated[tuple[Size, ...], Len(1)] = (256, 128)
    dropout: Share = 0.3

    def __post_init__(self) -> None:
        """Check what types alone cannot."""
        if not self.filters and not self.lstm:
            raise ValueError("filters and lstm must not both be empty")


@dataclass(frozen=True)
class Deep:
    """Hyper-parameters of `networks.deep`: a pretrained trunk, which is not trained, and a head.

    Attributes:
        blocks: of the trunk (`dtdnn.trunk`) that are used.
        averaged_frames: frames of the trunk averaged into one.
        projected: channels to which its 1024 are brought first.
        lstm_units: units in each direction.
        dropout: rate before the LSTM and before the classifier.
        frame_dropout: rate at which whole frames of the trunk are dropped, and
        channel_dropout: whole channels.
        regression: how free (scikit-learn's C) a logistic regression on the frames' sd is, whose
            logits are added to the others; 0 for none.
        corpora: how many kinds of recordings have a projection and a regression of their own
            besides the one that is shared (`networks.deep`): as many as the recipe has corpora, or
            more; 1 for none.
    """

    name: Literal["deep"]
    blocks: Annotated[int, Interval(ge=1, le=2)] = 2
    averaged_frames: Size = 1
    projected: Size = 128
    lstm_units: Size = 96
    dropout: Share = 0.3
    frame_dropout: Share = 0.1
    channel_dropout: Share = 0.2
    regression: Annotated[float, Interval(ge=0, le=1e6)] = 0.0
    corpora: Size = 1


@dataclass(frozen=True)
class RandomForest:
    """Hyper-parameters of scikit-learn's random forest, a baseline.

    Attributes:
        trees: how many.
        bootstrap: whether each learns from a sample drawn with replacement, or all from everything.
    """

    name: Literal["random-forest"]
    trees: Size = 500
    bootstrap: bool = True


@dataclass(frozen=True)
class Knn:
    """Hyper-parameters of scikit-learn's k nearest neighbours, a baseline."""

    name: Literal["knn"]
    neighbours: Size = 5


@dataclass(frozen=True)
class Svm:
    """Hyper-parameters of scikit-learn's support vector machine with an RBF kernel, a baseline."""

    name: Literal["svm"]
    c: Annotated[float, Interval(gt=0, le=1e6)] = 10.0


CLASSICAL = (RandomForest, Knn, Svm)
NETWORKS = (CnnBiLstm, Crnn, Conv1d, Deep, *CLASSICAL)
Network = Annotated[Union[NETWORKS], Discriminator("name")]  # noqa: UP007
