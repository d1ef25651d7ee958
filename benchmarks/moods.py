"""What it is worth to believe the moods that are heard in the clips a voice is known from.

`python -m benchmarks.moods` needs the folds of `deep` that `crossval` keeps, of `ravdess-5fold` and
`cross-corpus` (six emotions; not of CREMA-D, which is guessed), seed 0. It prints the mean UAR of
folds without a voice and after eight clips, drawn anew four times: of all moods, all neutral or all
angry, for a plain mean of them and for what `profile` does. That takes minutes. These are test
speakers: to know, not to choose by.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import keep
from ser_core import dataset, evaluation, folds, profile, recipe
from ser_core.locations import runs_dir

SIX = 'labels=["neutral", "happy", "sad", "angry", "fearful", "disgust"]'
PROTOCOLS = {"ravdess-5fold": ((), range(5)), "cross-corpus": ((SIX,), (0, 1, 3))}
CLIPS, DRAWS = 8, 4
MOODS = ("of all moods", "neutral", "angry")
BELIEVED = {"plain mean": 0.0, "as it is": profile._BELIEVED}


def main() -> None:
    """Measure, print, write."""
    result = {"what": f"mean UAR over folds, seed 0, {CLIPS} clips of each voice; test speakers"}
    for protocol, (settings, which) in PROTOCOLS.items():
        chosen = recipe.load("deep", settings)
        manifest = dataset.select(chosen)
        folder = runs_dir() / "crossval" / f"{chosen.name}-{chosen.digest}" / protocol
        found = [of_fold(manifest, folder, fold, chosen.labels) for fold in which]
        result[protocol] = {
            name: round(float(np.mean([each[name] for each in found])), 4) for name in found[0]
        }
    keep("moods", result)
    print(table(result))


def table(result: dict) -> str:
    """Return the figures as a Markdown table, in per cent."""
    heads = [f"`{protocol}`, {name}" for protocol in PROTOCOLS for name in BELIEVED]
    lines = [f"| {CLIPS} clips | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    without = [result[protocol]["without"] for protocol in PROTOCOLS for _ in BELIEVED]
    rows = {"none": without} | {
        mood: [result[protocol][f"{mood}, {name}"] for protocol in PROTOCOLS for name in BELIEVED]
        for mood in MOODS
    }
    for mood, values in rows.items():
        lines.append(f"| {mood} | {' | '.join(f'{100 * value:.1f}' for value in values)} |")
    return "\n".join(lines)


def of_fold(manifest: pd.DataFrame, folder: Path, fold: int, labels: tuple[str, ...]) -> dict:
    """Return the UAR of a fold without a voice, and by what it is known from and how."""
    kept = folds.kept(0, fold, folder, robustness=False)
    if kept is None:
        raise SystemExit(f"{folder} has no fold {fold}; run `crossval` of that protocol first")
    with np.load(folder / f"seed0-fold{fold}.npz") as known:
        windows = {name: known[name] for name in known}
    space = profile.Space(windows["kernel"], windows["moods"])
    tested = manifest[manifest.id.isin(windows["id"])]
    clip, every = pd.Index(tested.id).get_indexer(windows["id"]), np.arange(len(tested))
    speaker, emotion = tested.speaker.to_numpy(), tested.emotion.to_numpy()
    truth = pd.Index(labels).get_indexer(emotion)

    def heard(change: np.ndarray) -> np.ndarray:
        by_window = evaluation.probabilities_of(windows["logits"] + change, kept.temperature)
        return evaluation.mean_by_clip(by_window, clip, every)

    without = heard(np.zeros_like(windows["logits"]))
    embedding = evaluation.mean_by_clip(windows["embedding"], clip, every)
    found = {"without": evaluation.report(truth, without, labels).uar}
    for mood in MOODS:
        for name, believed in BELIEVED.items():
            offsets = profile.offsets(embedding, without, space, believed=believed)
            scores = []
            for draw in range(DRAWS):
                rng, change = np.random.default_rng((fold, draw)), np.empty(without.shape)
                for index in every:
                    others = (speaker == speaker[index]) & (every != index)
                    if mood in labels:
                        others &= emotion == mood
                    places = np.flatnonzero(others)
                    some = rng.choice(places, min(CLIPS, len(places)), replace=False)
                    change[index] = profile.correction(offsets[some].mean(axis=0), len(some), space)
                scores.append(evaluation.report(truth, heard(change[clip]), labels).uar)
            found[f"{mood}, {name}"] = float(np.mean(scores))
    return found


if __name__ == "__main__":
    main()
