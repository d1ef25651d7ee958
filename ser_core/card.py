"""What is known about a model, and the model card that tells it to people."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ser_core.features import Features
from ser_core.wording import counted, people, share


@dataclass(frozen=True)
class Robustness:
    """What a change to recordings did to a model's answers; fractions.

    Attributes:
        condition: the change.
        uar: with it.
        drop: by how much that is less than without it.
        same: share of recordings with the same answer as without it.
        refused: share of recordings in which nobody was heard to speak any more.
        passed: whether that is good enough; None if nothing is asked for.
    """

    condition: str
    uar: float
    drop: float
    same: float
    refused: float
    passed: bool | None


@dataclass(frozen=True)
class Evaluation:
    """One row of results: a protocol, and mean and sd over seeds, as fractions.

    Attributes:
        protocol: a name from `splits.PROTOCOLS`; with `+voice(k)` if each clip was heard after k
            others of its speaker, `+voice-labelled` after one in each emotion: `folds.with_voice`;
            with `#k` if it is a model's own test, on the k-th group (fold) of the protocol alone.
        corpus: what was scored.
        labels: how many emotions.
        seeds: how many runs of the whole protocol.
        n: utterances scored in a run.
        uar: and `accuracy`, `macro_f1`: means over runs.
        uar_sd: and `accuracy_sd`: sd over runs.
        ece: expected calibration error of all answers of a run, its mean over runs.
        coverage: share of utterances answered at the abstention threshold, over all runs, and
        selective_accuracy: share of those answers that are right.
        fold_seconds: median time to train and test one fold.
        command: what prints this row again; empty for a model's own test.
        recall: by emotion, over all runs.
        uar_by_sex: of the female and of the male speakers, over all runs.
        robustness: what changes to the recordings did, over the folds of seed 0; empty if that was
            not measured.
    """

    protocol: str
    corpus: str
    labels: int
    seeds: int
    n: int
    uar: float
    uar_sd: float
    accuracy: float
    accuracy_sd: float
    macro_f1: float
    ece: float
    coverage: float
    selective_accuracy: float
    fold_seconds: float
    command: str
    recall: dict[str, float] = field(default_factory=dict)
    uar_by_sex: dict[str, float] = field(default_factory=dict)
    robustness: tuple[Robustness, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """What a model was trained on, and how.

    Attributes:
        corpora: name and licence of each corpus.
        utterances: how many were fitted on.
        speakers: who was fitted on, by name.
        validation_speakers: who decided when to stop, the temperature and the threshold; if they
            are not known by name either, clips did, drawn from all.
        recipe: the recipe's digest.
        seed: the seed.
        epochs: the epoch whose weights these are.
        seconds: how long it took.
        environment: versions of what computed it.
        pretrained: what the network began with, whose that is and under which licence; empty if it
            began with chance.
        refitted: whether the validation speakers were then fitted on as well.
    """

    corpora: dict[str, str]
    utterances: int
    speakers: tuple[str, ...]
    validation_speakers: tuple[str, ...]
    recipe: str
    seed: int
    epochs: int
    seconds: float
    environment: dict[str, str]
    pretrained: str = ""
    refitted: bool = False


@dataclass(frozen=True)
class Card:
    """Everything that is known about a model.

    Attributes:
        name: of the model.
        description: a sentence.
        created: ISO date.
        labels: emotions, in the order of the logits.
        features: what the network sees.
        temperature: logits are divided by it before softmax.
        threshold: an answer with less confidence is withheld.
        parameters: how many weights.
        training: a `Provenance`.
        licence: under which the weights may be used.
        evaluation: rows of results.
        mean: of each value of the features, over the training part, and
        sd: by both of which the network's first layer standardises them; empty if it does not.
        files: sha256 of each file.
    """

    name: str
    description: str
    created: str
    labels: tuple[str, ...]
    features: Features
    temperature: float
    threshold: float
    parameters: int
    training: Provenance
    licence: str
    evaluation: tuple[Evaluation, ...] = ()
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    @property
    def weights(self) -> str:
        """The sha256 of the network that answers, which tells models of the same name apart."""
        return self.files.get("model.onnx", "")


def results_table(card: Card) -> str:
    """Return a model's results as a Markdown table, in per cent."""
    lines = [
        "| protocol | classes | UAR | accuracy | macro F1 | ECE | answered | right when answered "
        "| s a fold |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in card.evaluation:
        uar, accuracy = mean_sd(row)
        rest = (row.macro_f1, row.ece, row.coverage, row.selective_accuracy)
        lines.append(
            f"| `{row.protocol}`, {seeds_in_words(row)} | {row.labels} | {uar} | {accuracy} | "
            + " | ".join(f"{100 * value:.1f}" for value in rest)
            + f" | {row.fold_seconds:.0f} |"
        )
    return "\n".join(lines)


def robustness_table(rows: Iterable[Robustness]) -> str:
    """Return what changes did to a model's answers as a Markdown table, in per cent."""
    lines = ["| change | UAR | lost | answers that stay | good enough |", "|---|---|---|---|---|"]
    for row in rows:
        enough = {None: "–", True: "yes", False: "no"}[row.passed]
        lines.append(
            f"| {row.condition} | {100 * row.uar:.1f} | {100 * row.drop:.1f} | "
            f"{100 * row.same:.1f} | {enough} |"
        )
    return "\n".join(lines)


def groups_table(rows: Iterable[Evaluation]) -> str:
    """Return recall by emotion and UAR by sex as a Markdown table, in per cent."""
    rows = list(rows)
    emotions, sexes = (
        list(dict.fromkeys(name for row in rows for name in of(row)))
        for of in (lambda row: row.recall, lambda row: row.uar_by_sex)
    )
    lines = [
        f"| protocol | {' | '.join([*emotions, *(f'{sex}, UAR' for sex in sexes)])} |",
        "|---|" + "---|" * (len(emotions) + len(sexes)),
    ]
    for row in rows:
        values = [row.recall.get(name) for name in emotions]
        values += [row.uar_by_sex.get(name) for name in sexes]
        cells = ["–" if value is None else f"{100 * value:.1f}" for value in values]
        lines.append(f"| `{row.protocol}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def seeds_in_words(row: Evaluation) -> str:
    """Return how many seeds a row is the mean of, as “3 seeds”."""
    return counted(row.seeds, "seed")


def mean_sd(row: Evaluation) -> tuple[str, str]:
    """Return UAR and accuracy in per cent; the sd of one seed is none."""
    figures = (row.uar, row.uar_sd), (row.accuracy, row.accuracy_sd)
    if row.seeds == 1:
        return tuple(f"{100 * mean:.1f}" for mean, _ in figures)
    return tuple(f"{100 * mean:.1f} ± {100 * sd:.1f}" for mean, sd in figures)


def headline(card: Card) -> Evaluation | None:
    """Return the row that tells how a model does on people it has never heard, if there is one."""
    return next((row for row in card.evaluation if not is_leaky(row.protocol)), None)


def results_in_words(card: Card, protocols: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a model's results as rows of a table for people, in per cent and Markdown.

    Args:
        card: the model's.
        protocols: what each protocol is, in a phrase: `splits.PROTOCOLS`.
    """
    table = []
    for row in card.evaluation:
        uar, accuracy = (f"{figure}%".replace("± ", "±\u00a0") for figure in mean_sd(row))
        table.append(
            {
                "Tested on": f"{protocol_in_words(row.protocol, protocols)} (*{row.protocol}*)",
                "Right": accuracy,
                "UAR": uar,
                "Answered": share(row.coverage),
                "Right when answered": share(row.selective_accuracy),
            }
        )
    return table


def with_voice(protocol: str, clips: int | None) -> str:
    """Return a protocol's name where voices are known: from so many clips, or one in each emotion.

    Args:
        protocol: a name from `splits.PROTOCOLS`.
        clips: how many, unlabelled; None for one in each emotion.
    """
    return f"{protocol}+voice({clips})" if clips else f"{protocol}+voice-labelled"


# What `with_voice` may add to the name of a protocol.
VOICE = re.compile(r"\+(?:voice\((\d{1,9})\)|voice-labelled)")


def voices(card: Card, protocol: str) -> tuple[dict[int, float], float | None]:
    """Return the UAR by a protocol where voices are known, by number of clips, and where labelled.

    The first is empty, and the second None, if that was not measured.
    """
    found = {row.protocol: row.uar for row in card.evaluation if base_of(row.protocol) == protocol}
    known = {
        int(voice[1]): uar
        for name, uar in found.items()
        if (voice := VOICE.search(name)) and voice[1]
    }
    return dict(sorted(known.items())), found.get(with_voice(protocol, None))


def of_group(protocol: str, fold: int) -> str:
    """Return a protocol's name where one of its folds, counted from 0, is all that is tested."""
    return f"{protocol}#{fold + 1}"


# What `of_group` adds to the name of a protocol.
GROUP = re.compile(r"#([1-9]\d{0,2})")
LEAKY = "random-80-20"


def base_of(protocol: str) -> str:
    """Return the name in `splits.PROTOCOLS` that the protocol of an `Evaluation` begins with."""
    return re.split("[+#]", protocol, maxsplit=1)[0]


def is_leaky(protocol: str) -> bool:
    """Say whether the protocol of an `Evaluation` tests on speakers who have been learned from."""
    return base_of(protocol) == LEAKY


def protocol_in_words(protocol: str, protocols: Mapping[str, str]) -> str:
    """Return what a protocol of an `Evaluation` is, in a phrase with a capital."""
    words, voice = protocols[base_of(protocol)], VOICE.search(protocol)
    if group := GROUP.search(protocol):
        words = f"{words}; fold {group[1]} alone"
    elif voice and not voice[1]:
        words = "each speaker known from a clip in each emotion"
    elif voice:
        clips = "clip" if voice[1] == "1" else "clips"
        words = f"each speaker known from {voice[1]} unlabelled {clips}"
    return words[0].upper() + words[1:]


_ROBUSTNESS = """
## Robustness

The recordings of `{protocol}`, changed after the manner of Derington et al. (2023, arXiv
2312.06270), by signals of our own; seed 0. A recipe may learn from white noise, hum, G.711 and
rooms of other strengths (`augmentation`); the rest it has not met.
Good enough: noise of 20 dB costs at most 5 points and one answer in ten, what is barely audible at
most one in twenty, a telephone at most 5 points, a room or a tilt of the spectrum one in five.

{table}
"""


_GROUPS = """
## By emotion and by sex

Recall of each emotion, over all runs. Good enough: recalls within 17.5 points of their mean, the
UAR, and a UAR of women and of men within 7.5 points of that of all.

{table}
"""


def model_card(card: Card) -> str:
    """Return the model's `README.md`, with the front matter Hugging Face reads."""
    training = card.training
    corpora = ", ".join(f"{name} ({licence})" for name, licence in training.corpora.items())
    began_with = f"\n- Began with: {training.pretrained}" if training.pretrained else ""
    judges, refitted = counted(len(training.validation_speakers), "further speaker"), ""
    if training.refitted:
        judges = f"{len(training.validation_speakers)} of them"
        refitted = " Then everything\n  was fitted anew, on all."
    named = f": {', '.join(training.validation_speakers)}"
    if not training.validation_speakers:
        judges, named = "15 % of the clips, perhaps of the same speakers,", ""
    decided = "decided" if training.refitted else "decided when to stop,"
    robustness = "".join(
        _ROBUSTNESS.format(protocol=row.protocol, table=robustness_table(row.robustness))
        for row in card.evaluation
        if row.robustness
    )
    groups = [row for row in card.evaluation if row.recall or row.uar_by_sex]
    told = _GROUPS.format(table=groups_table(groups)) if groups else ""
    return f"""---
license: {LICENCE_TAGS.get(card.licence, "other")}
pipeline_tag: audio-classification
library_name: keras
tags: [speech-emotion-recognition, onnx, undertone]
---

# {card.name}

{card.description}

It tells apart {", ".join(card.labels)}: emotion as it sounds in the recordings that it
learned from, not what anyone feels. {card.parameters:,} parameters; made for Undertone.

## Results

{_results(card)}
{told}{robustness}
## Training

- Data: {corpora}; {training.utterances} utterances of {speakers_in_words(training)};
  {judges} {decided} the temperature
  ({card.temperature:.2f}) and the confidence below which no answer is given
  ({card.threshold:.2f}){named}.{refitted}
- Seed {training.seed}, weights of epoch {training.epochs}, {training.seconds:.0f} s on
  {", ".join(f"{name} {version}" for name, version in training.environment.items())}.{began_with}

## Licence

{card.licence}: what the recordings carry that it learned from.

## Limits

Trained on {speakers_in_words(training)}. What models of this kind learn from is mostly acted, by
adults, in one language and a few set sentences: expect much less on spontaneous speech, other
languages, children, and noisy rooms. Not for decisions about people: in the European Union,
inferring emotion at work or in education is prohibited (Regulation (EU) 2024/1689, Article
5(1)(f)).
"""


def speakers_in_words(training: Provenance) -> str:
    """Return how many people a model has learned from."""
    return people(training.speakers, "speaker", "speakers")


def _results(card: Card) -> str:
    """Return a model's results, and how they came about, for its `README.md`."""
    if not card.evaluation:
        return "It has not been tested, so its answers deserve no trust yet."
    protocols = [row.protocol for row in card.evaluation]
    commands = list(dict.fromkeys(row.command for row in card.evaluation if row.command))
    told = []
    if any("#" in protocol for protocol in protocols):
        told.append(
            "`…#k` is this model's own test: on the k-th group of the protocol's recordings alone, "
            "which it has not learned from. Another group may be easier or harder."
        )
    told.append(
        "Mean ± sd over seeds, if there are several; `random-80-20` shares speakers between "
        "training and test and flatters every model, all others test on what the model has never "
        "heard."
    )
    if commands:
        told.append(
            "Cross-validation trains a new model per fold with this model's recipe "
            f"(`{card.training.recipe}`); the weights here were trained once more, for use. Print "
            "the figures again with"
        )
    words = textwrap.fill(" ".join(told), 100)
    again = "\n".join(f"    {command}" for command in commands)
    return "\n\n".join(part for part in (results_table(card), words, again) if part)


# Hugging Face's identifiers of the licences that the corpora carry.
LICENCE_TAGS = {"CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0"}
