import ast
import importlib.util
import json
import re
import shlex
from dataclasses import asdict

import click
import numpy as np
import pandas as pd
import pytest
import typer

from ser_core import bundle, cli, heldout, recipe, splits, teacher, warm_start
from ser_core.card import headline, results_table, with_voice
from ser_core.errors import UndertoneError
from ser_core.locations import MODELS, find_model
from tests.helpers import ROOT

README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["deep", "swift"])
def test_the_results_are_the_cards(name):
    card = bundle.read_card(find_model(name))
    assert results_table(card) in README
    assert f"{card.parameters:,} parameters" in README
    assert headline(card).protocol == "ravdess-5fold"


def test_the_cards_results_are_the_measured_ones():
    for path in MODELS.glob("*/card.json"):
        card = bundle.read_card(path.parent)
        for row in card.evaluation:
            protocol = row.protocol.partition("+")[0]
            path = ROOT / "benchmarks" / "results" / f"{card.name}-{protocol}.json"
            measured = json.loads(path.read_text())
            assert measured["recipe"] == card.training.recipe
            plain = json.loads(json.dumps(asdict(row)))
            assert plain in [measured["summary"], *measured["voices"]]


@pytest.mark.parametrize("name", ["deep", "swift"])
def test_what_is_said_of_folds_and_emotions_was_measured(name):
    path = ROOT / "benchmarks" / "results" / f"{name}-ravdess-5fold.json"
    folds = json.loads(path.read_text())["folds"]
    uar = [100 * fold["uar"] for fold in folds]
    assert f"ranges from {min(uar):.0f} to {max(uar):.0f}" in " ".join(README.split())
    recall = headline(bundle.read_card(find_model(name))).recall
    best, worst = max(recall, key=recall.get), min(recall, key=recall.get)
    said = f"{best} is recalled best ({recall[best]:.0%}), {worst} worst ({recall[worst]:.0%})"
    assert said in " ".join(README.split()).replace(" %", "%")


def test_what_is_said_of_calibration_was_measured():
    from benchmarks.chance import errors
    from benchmarks.common import RESULTS

    said, hours = " ".join(README.split()), []
    deep, swift = (100 * errors(heldout.read(find_model(name))) for name in ("deep", "swift"))
    assert (
        f"would show {deep[0, 1]:.1f} (`deep`) and {swift[0, 1]:.1f} (`swift`) on these 1,440 "
        f"clips by chance; the mean of the folds' is {deep[1, 0]:.1f} and {swift[1, 0]:.1f}, "
        f"where chance makes {deep[1, 1]:.1f} and {swift[1, 1]:.1f}"
    ) in said
    for name, found in (("deep", deep), ("swift", swift)):
        assert found[0, 0] == pytest.approx(100 * headline(bundle.read_card(find_model(name))).ece)
        measured = json.loads((RESULTS / f"{name}-ravdess-5fold.json").read_text())
        hours.append(sum(fold["seconds"] for fold in measured["folds"]) / 3600)
    assert f"{hours[0]:.1f} h of fitting for `deep`, the five {hours[1]:.1f} h for `swift`" in said


def test_what_is_said_of_other_corpora_was_measured():
    from benchmarks.common import RESULTS

    measured = json.loads((RESULTS / "deep-cross-corpus.json").read_text())
    known = [0, 1, 2, 4, 8, 16]
    protocols = [with_voice("cross-corpus", clips) if clips else "cross-corpus" for clips in known]
    folds = [*({"protocol": "cross-corpus"} | fold for fold in measured["folds"])]
    folds += measured["voice_folds"]
    for fold, corpus in enumerate(("RAVDESS", "TESS", "CREMA-D, guessed", "SAVEE")):
        of_corpus = {each["protocol"]: each for each in folds if each["fold"] == fold}
        figures = [of_corpus[name] for name in protocols]
        cells = [f"{100 * each['uar']:.1f} ({100 * each['ece']:.0f})" for each in figures]
        assert f"| {corpus} | {figures[0]['n']:,} | {' | '.join(cells)} |" in README
    savee = json.loads((RESULTS / "deep-savee-loso.json").read_text())
    *first, last = (f"{100 * fold['uar']:.0f}" for fold in savee["folds"])
    assert f"{', '.join(first)} and {last}" in " ".join(README.split())
    said, summary = " ".join(README.split()), measured["summary"]
    answered = [
        f"{100 * each['coverage']:.0f} and {100 * each['selective_accuracy']:.0f}"
        for each in measured["folds"]
    ]
    assert f"(of RAVDESS {answered[0]}, of TESS {answered[1]}, of SAVEE {answered[3]}, of" in said
    assert f"CREMA-D {answered[2]})" in said
    assert f"answers {100 * summary['coverage']:.0f} %, of which" in said
    assert f"which {100 * summary['selective_accuracy']:.0f} % are right" in said
    rows = {row["protocol"]: row for row in (summary, *measured["voices"])}
    means = " | ".join(f"{100 * rows[name]['uar']:.1f}" for name in protocols)
    assert f"| mean |  | {means} |" in README


def test_what_is_said_of_moods_that_are_believed_was_measured():
    from benchmarks.common import RESULTS
    from benchmarks.moods import table

    assert table(json.loads((RESULTS / "moods.json").read_text())) in README


def test_what_is_said_of_three_seeds_was_measured():
    from benchmarks.common import RESULTS

    file = RESULTS / "cnn-bilstm-four-ravdess-5fold.json"
    measured = json.loads(file.read_text())
    seeds = [[fold for fold in measured["folds"] if fold["seed"] == seed] for seed in range(3)]
    uar = [100 * np.mean([fold["uar"] for fold in folds]) for folds in seeds]
    assert np.mean(uar) == pytest.approx(100 * measured["summary"]["uar"])
    assert [fold["epoch"] for fold in seeds[2]].count(4) == 4
    said = " ".join(README.split())
    assert f"two have a UAR of {uar[0]:.0f} and {uar[1]:.0f}; under the third" in said
    assert f"best heard after four rounds, in four folds of five: {uar[2]:.0f}." in said


def test_the_speeds_are_the_benchmarks():
    from benchmarks.common import RESULTS
    from benchmarks.predict import table

    assert table(json.loads((RESULTS / "predict.json").read_text())) in README


def test_the_epochs_are_the_benchmarks():
    from benchmarks.common import RESULTS
    from benchmarks.epoch import table

    assert table(json.loads((RESULTS / "epoch.json").read_text())) in README


def test_what_is_said_of_scale_was_measured():
    from benchmarks.batch import comparison, estimates, table
    from benchmarks.common import RESULTS

    result = json.loads((RESULTS / "batch.json").read_text())
    text = (ROOT / "docs" / "scale.md").read_text("utf-8")
    for figures in (result["swift"], result["deep"]):
        assert table(figures) in text and figures["machine"] in text
    assert comparison(result) in text
    assert estimates(result) in text
    live = json.loads((RESULTS / "live.json").read_text())
    said = " ".join(text.split())
    assert f"a listener on Live costs {_listener(live['deep'])} of a core" in said
    assert f"with `UNDERTONE_LIVE_MODEL=swift` {_listener(live['swift'])}" in said


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f}"


def _page(result: dict) -> list[str]:
    measures = ("answer_ms", "click_ms", "train_ms", "models_ms")
    alone, training = (
        [_seconds(result[when][key]) for key in measures] for when in ("alone", "while training")
    )
    return [
        f"{alone[0]} s after the upload has finished (median), another picture of it {alone[1]} s "
        f"after the click, another view of the Train page {alone[2]} s, what is inside a model "
        f"{alone[3]} s",
        f"while `swift` is being trained, {', '.join(training[:3])} and {training[3]} s",
    ]


def _growth(result: dict) -> list[str]:
    swift, deep = ([result[model][f"{n} min"] for n in (1, 10, 60)] for model in ("swift", "deep"))
    mb = [[f"{each['peak_memory_mb']}" for each in figures] for figures in (swift, deep)]
    usual = result["usual"]["60 min"]
    return [
        f"takes one core {swift[2]['s']:.1f} s with `swift`, start included, and "
        f"{deep[2]['s']:.1f} s with `deep`",
        f"the usual pipeline {usual['s']:.0f} s and {usual['peak_memory_mb'] / 1000:.1f} GB",
        *(f"{', '.join(each[:2])} and {each[2]} MB" for each in mb),
    ]


def _listener(figures: dict) -> str:
    return f"{sum(figures['server_cpu_per_cent']['one listener'].values()):.0f} %"


def _live(result: dict) -> list[str]:
    level, answer = result["deep"]["level_s"], result["deep"]["answer_s"]
    return [
        f"{level['median']:.2f} s after the sound (95 %: {level['p95']:.2f} s)",
        f"{answer['median']:.2f} s ({answer['p95']:.2f} s;",
        f"A listener costs the server {_listener(result['deep'])} of a core, and "
        f"{_listener(result['swift'])} where `swift` listens",
    ]


def _load(result: dict) -> list[str]:
    took, mb = result["answer_s"], result["server_mb"]
    assert not result["errors"] and not result["answers_of_somebody_else"]
    return [
        f"{took['n']} answers, each to its own recording, {took['median']:.1f} s after the upload "
        f"began (median; 95 %: {took['p95']:.1f} s)",
        f"from {mb['before']} MB to {mb['most']}",
        f"back at {mb['after']}",
    ]


def _speech(result: dict) -> list[str]:
    clips, passed = (
        {
            kind: sum(each[key] for each in result[kind].values())
            for kind in ("speech", "other sounds")
        }
        for key in ("clips", "passed")
    )
    other = "other sounds"
    return [
        f"Of {clips['speech']} recordings of RAVDESS, TESS and SAVEE it keeps "
        f"{100 * passed['speech'] / clips['speech']:.1f} %",
        f"of {clips[other]} generated noises, tones and tunes it refuses "
        f"{100 - 100 * passed[other] / clips[other]:.0f} %",
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "stages",
            lambda result: [
                f"takes {result['swift']['floors']['all together']:.1f} of the "
                f"{result['swift']['stages']['all together']:.1f} ms that `swift` needs",
                f"{result['deep']['floors']['all together']:.1f} of the "
                f"{result['deep']['stages']['all together']:.1f} of `deep`",
            ],
        ),
        ("growth", _growth),
        (
            "batch",
            lambda result: [
                f"hears {result['swift']['batch']['clips_per_s']:.0f} clips a second on both "
                f"cores with `swift`, {result['deep']['batch']['clips_per_s']:.0f} with `deep`",
                f"the usual pipeline {result['usual']['clips_per_s']:.0f}",
            ],
        ),
        ("page", _page),
        ("live", _live),
        (
            "explore",
            lambda result: [
                f"after {_seconds(result['filter_ms'])} s and the whole table after "
                f"{_seconds(result['complete_ms'])} s"
            ],
        ),
        ("load", _load),
        ("speech", _speech),
    ],
)
def test_what_is_said_of_waiting_and_memory_was_measured(name, told):
    from benchmarks.common import RESULTS

    said = " ".join(README.split())
    for words in told(json.loads((RESULTS / f"{name}.json").read_text("utf-8"))):
        assert words in said


def test_what_is_said_of_decoding_apart_was_measured():
    from benchmarks.common import RESULTS
    from benchmarks.decode import FORMATS

    result = json.loads((RESULTS / "decode.json").read_text())
    figures = [(result[name]["apart_ms"], result[name]["here_ms"]) for name in FORMATS]
    (mp3, here), (m4a, m4a_here), (opus, opus_here) = figures
    told = " ".join((ROOT / "docs" / "scale.md").read_text("utf-8").split())
    assert f"an MP3 of 4 s takes {mp3:.0f} ms instead of {here:.0f}, an M4A {m4a:.0f}" in told
    assert f"instead of {m4a_here:.0f}, Opus in WebM {opus:.0f} instead of {opus_here:.0f}" in told


def test_the_systems_are_the_measured_ones():
    from benchmarks.systems import RESULTS, published, table

    rows = json.loads(RESULTS.read_text())
    assert table(rows) in README
    assert [row["recipe"] for row in rows] == published()
    for row in rows:
        assert row["digest"] == recipe.load(row["recipe"]).digest, "measured as it is now"


def test_own_recordings_in_a_folder_an_emotion_can_be_trained_as_is_told():
    command = re.search(r"ser_core train swift (--set data\.corpus=mine [^#]*)", README)[1]
    loaded = recipe.load("swift", re.findall(r"--set (\S+)", command))
    assert loaded.data.corpus == "mine" and loaded.training.start == "swift"
    count = int(re.search(r"of eight emotions, that takes (\d+)", README)[1])
    emotion = [loaded.labels[index % 8] for index in range(count)]
    manifest = pd.DataFrame({"emotion": emotion}).assign(speaker="", corpus="mine", sex="")
    how = {"seed": 0, "validation_speakers": loaded.training.validation_speakers}
    split = splits.holdout(manifest, **how)
    warm_start.check(loaded, manifest, split)
    teacher.check(loaded, manifest, split)
    with pytest.raises(UndertoneError, match=f"it takes {count} in all"):
        splits.holdout(manifest[1:], **how)


@pytest.mark.parametrize("line", README.splitlines())
def test_every_file_named_in_the_readme_is_there(line):
    for word in line.replace("`", " ").replace("(", " ").replace(")", " ").split():
        if word.startswith(("assets/", "benchmarks/", "docs/", "models/")):
            assert (ROOT / word.rstrip(".,;")).exists(), word


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md"])
def test_every_link_leads_somewhere(document):
    for file in ROOT.glob(document):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", file.read_text("utf-8")):
            assert (file.parent / target).exists(), f"{file.name}: {target}"


DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*/README.md")]
TEXTS = "\n".join(document.read_text("utf-8") for document in DOCUMENTS).replace("\\\n", " ")


@pytest.mark.parametrize("line", sorted(set(re.findall(r"python -m ser_core ([^`\n#|…]+)", TEXTS))))
def test_every_command_that_is_told_can_be_given(line):
    command, words = typer.main.get_command(cli.app), shlex.split(re.sub(r"[\[\]]", "", line))
    while isinstance(command, click.Group):
        _, command, words = command.resolve_command(click.Context(command), words)
    command.make_parser(click.Context(command)).parse_args(args=words)  # or it complains


@pytest.mark.parametrize("name", sorted(set(re.findall(r"python -m (benchmarks[\w.]*)", TEXTS))))
def test_every_benchmark_that_is_told_is_there(name):
    assert importlib.util.find_spec(name)


def test_every_module_has_a_line_and_imports_nothing_of_those_below_it():
    text = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## Every module")[2]
    line_of = {
        name.rstrip("/"): number
        for number, line in enumerate(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))
        for name in re.findall(r"`([\w/]+)`", line)
    }
    modules = {
        path: path.relative_to(ROOT / "ser_core").parts[0].removesuffix(".py")
        for path in (ROOT / "ser_core").rglob("*.py")
        if path.parent.name != "ser_core" or not path.name.startswith("__")
    }
    assert set(line_of) == set(modules.values())
    for path, name in modules.items():
        for used in imported(ast.parse(path.read_text("utf-8"))):
            assert line_of[used] <= line_of[name], f"{name} imports {used}"


def imported(node: ast.AST) -> set[str]:
    """Return the modules of `ser_core` that code imports, at whatever time it runs."""
    found = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom) and (child.module or "").startswith("ser_core"):
            inside = child.module.split(".")[1:]
            found |= {inside[0]} if inside else {each.name for each in child.names}
        found |= imported(child)
    return found
