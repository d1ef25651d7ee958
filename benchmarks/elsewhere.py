"""What shipped models make of corpora that they have never heard, and of voices they know.

`python -m benchmarks.elsewhere` scores them on SAVEE and TESS (a minute on a core), prints a table
and writes `benchmarks/results/elsewhere.json`. `python -m ser_core evaluate --corpus savee
--voice 8` does the same for one model and corpus.
"""

import json
from pathlib import Path

from ser_core import bundle, scoring
from ser_core.recognizer import Recognizer, find_model

RESULT = Path(__file__).parent / "results/elsewhere.json"
MODELS = ("deep", "swift")
CORPORA = ("savee", "tess")
VOICES = (4, 8, 16)


def main() -> None:
    """Score, print, write."""
    found = [
        measured(model, corpus, clips, score)
        for model in MODELS
        for corpus in CORPORA
        if corpus not in bundle.read_card(find_model(model)).training.corpora
        for clips, score in zip((0, *VOICES), scores(model, corpus), strict=True)
    ]
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))


def scores(model: str, corpus: str) -> list[scoring.Score]:
    """Return a model's scores on a corpus, first without knowing any voice."""
    manifest = scoring.corpus_manifest(corpus)
    return scoring.score(Recognizer.from_name(model), manifest, voices=VOICES)


def measured(model: str, corpus: str, clips: int, score: scoring.Score) -> dict:
    """Return one row of the result."""
    assert score.protocol.startswith("unseen speakers"), "it would be no test"
    report = score.report
    return {
        "model": model,
        "corpus": corpus,
        "voice": clips,
        "labels": len(report.labels),
        "n": report.n,
        "uar": report.uar,
        "accuracy": report.accuracy,
        "ece": report.ece,
        "answered": score.answered,
        "selective_accuracy": score.selective_accuracy,
    }


def table(found: list[dict]) -> str:
    """Return rows for the README."""
    lines = [
        "| model | corpus | voice known from | UAR | ECE | answered | right when answered |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        shares = (row[key] for key in ("uar", "ece", "answered", "selective_accuracy"))
        known = f"{row['voice']} clips" if row["voice"] else "–"
        cells = " | ".join(f"{100 * share:.1f}" for share in shares)
        lines.append(f"| `{row['model']}` | {row['corpus'].upper()} | {known} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
