"""What standardised features are worth to the neighbours and to the SVM, as published and as ours.

`python -m benchmarks.unscaled` prints accuracy under `random-80-20`, mean and sd over three seeds;
it takes a minute once the recordings have their features.
"""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser_core import dataset, evaluation, recipe, splits

CLASSIFIERS = {
    "SVM, C 1": lambda: SVC(C=1),
    "SVM, C 1, gamma auto": lambda: SVC(C=1, gamma="auto"),
    "SVM, C 10": lambda: SVC(C=10),
    "5 neighbours": lambda: KNeighborsClassifier(5),
}


def main() -> None:
    """Score each classifier on features as they are, and standardised."""
    loaded = recipe.load("svm")
    data = dataset.load(loaded)
    rows = np.arange(len(data.truth))
    values = evaluation.mean_by_clip(data.features.values, data.features.clip, rows)
    for name, made in CLASSIFIERS.items():
        for how, steps in (("as they are", ()), ("standardised", (StandardScaler(),))):
            found = []
            for seed in range(3):
                split = splits.split(
                    data.manifest, "random-80-20", 0, seed=seed, validation_speakers=2
                )
                model = make_pipeline(*steps, made())
                model.fit(values[split.train], data.truth[split.train])
                found.append(model.score(values[split.test], data.truth[split.test]))
            mean, sd = 100 * np.mean(found), 100 * np.std(found, ddof=1)
            print(f"{name}, features {how}: {mean:.1f} ± {sd:.1f}", flush=True)


if __name__ == "__main__":
    main()
