import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1.element_tree import Element

from ser_core import bundle, comparison, heldout, importing, jobs, locations, shelf
from ser_core.card import headline, voices
from ser_core.locations import find_model
from ser_core.wording import share
from tests.helpers import ROOT
from tests.pages.conftest import interrupted
from tests.pages.test_recognize import TITLES
from tests.test_outcome import with_a_test

SWIFT = find_model("swift")


@pytest.fixture(autouse=True)
def only_swift(tmp_path, monkeypatch):
    """As if swift, tested by a random split, too, were all there is; see `test_other_models`."""
    folder = shutil.copytree(SWIFT, tmp_path / "models" / "swift")
    card = bundle.read_card(folder)
    leaky = replace(card.evaluation[0], protocol="random-80-20", uar=0.8)
    bundle.write_card(replace(card, evaluation=(*card.evaluation, leaky)), folder)
    monkeypatch.setattr(locations, "MODELS", folder.parent)


@pytest.fixture
def mine(runs):
    """A trained model: swift under another name, wrong in a tenth of its held-out answers more."""
    folder = shutil.copytree(SWIFT, runs / "mine" / "model")
    table = heldout.read(folder)
    labels = list(heldout.labels_of(table))
    values = table[labels].to_numpy().copy()
    spoilt = np.random.default_rng(0).random(len(table)) < 0.1
    values[spoilt] = np.roll(values[spoilt], 1, axis=1)
    table[labels] = values
    heldout.write([table], folder / bundle.HELDOUT)
    card = bundle.read_card(folder)
    rows = tuple(replace(row, uar=0.9 * row.uar) for row in card.evaluation)
    bundle.write_card(replace(card, name="mine", evaluation=rows), folder)
    return folder


@pytest.fixture
def page(unopened):
    return unopened.switch_page("pages/models.py")


def said(app) -> str:
    assert not app.exception
    shown = [*app.markdown, *app.caption, *app.warning, *app.info, *app.header, *app.subheader]
    return " ".join(item.value for item in shown)


def button(app, label):
    return next(found for found in app.button if found.label == label)


def beside(app, label):
    """Return what is shown just before a button, for it may be out of sight elsewhere."""
    shown = [node for node in app.main if isinstance(node, Element)]
    return shown[shown.index(button(app, label)) - 1]


def labels(app) -> list[str]:
    return [found.label for found in app.button]


def toasts(app) -> list[str]:
    return [toast.value for toast in app.toast]


def look_at(app, name):
    return app.selectbox(key="look-at").select(name).run()


def test_one_model_is_shown_whole(runs, page):
    words = said(page.run())
    assert "**swift** is in use" in words and "A closer look at swift" in words
    table = page.table[0].value
    assert list(table["Model"]) == ["**swift** (in use)"]
    takes = page.table[1].value
    size = sum(file.stat().st_size for file in find_model("swift").iterdir())
    assert takes["On disk"][0] == f"{size / 1e6:.1f}\u00a0MB"
    assert takes["Answers in"][0].endswith("\u00a0ms")
    assert takes["Learned from"][0] == "RAVDESS, SAVEE, TESS, CREMA\\-D (113\u00a0voices)"
    assert takes["Licence"][0] == (
        "CC BY\\-NC\\-ND 4\\.0 and CC BY\\-NC\\-SA 4\\.0 and ODbL 1\\.0 and research use, after "
        "registration"
    )
    assert re.fullmatch(r"62\.4% \(\d\d–\d\d%\)", table["UAR"][0])
    # More columns would be cut off on a phone.
    assert list(table) == ["Model", "Right", "UAR", "Answered", "Right when answered"]
    assert "There are 8 emotions to choose from." in words
    assert "Is one really better?" not in words
    assert button(page, "In use").disabled
    assert not {"Rename it", "Delete it"} & set(labels(page)), "shipped models stay"
    assert "CC BY\\-NC\\-SA 4\\.0" in words and "as it sounds in these recordings" in words
    facts = {metric.label: metric.value for metric in page.metric}
    assert facts["Weights"] == "827,913" and facts["Answers in"].endswith(" ms")
    assert "This is the fastest" in words and "A training goes on" not in words


@pytest.mark.parametrize(
    ("refitted", "says"),
    [
        (
            False,
            ("1 other speaker, who decided", "3 min; of its rounds, the best was kept, number 7"),
        ),
        (True, ("1 of them, kept aside", "3 min: 7 rounds without those, then as many with all")),
    ],
)
def test_what_a_training_took_and_who_tuned_it(mine, page, refitted, says):
    card = bundle.read_card(mine)
    about = {"epochs": 7, "seconds": 180.0, "validation_speakers": ("a",), "refitted": refitted}
    bundle.write_card(replace(card, training=replace(card.training, **about)), mine)
    page.run()
    words = said(look_at(page, "mine"))
    assert all(each in words for each in says)


def test_how_fast_it_answers_while_a_training_goes_on_is_not_kept(runs, page, monkeypatch):
    for busy, seconds in (True, 1.164), (False, 0.037):
        monkeypatch.setattr(jobs, "running", lambda busy=busy: ["toy"] * busy)
        took = comparison.Latency(seconds, 3, 3.0)
        monkeypatch.setattr(comparison, "latency", lambda *_, took=took: took)
        assert ("A training goes on here" in said(page.run())) == busy
        value = next(metric.value for metric in page.metric if metric.label == "Answers in")
        assert value == ("1164 ms" if busy else "37.0 ms")


def test_unseen_speakers_are_the_default(runs, page):
    page.run()
    chosen = page.selectbox[0]
    assert chosen.value == "ravdess-5fold"
    assert chosen.options[0].startswith("Unseen speakers")
    assert chosen.options[-1].endswith("(random-80-20)")
    chosen.select("random-80-20").run()
    assert "That flatters every model" in said(page)


def test_a_protocol_without_single_answers_says_so(runs, page):
    folder = locations.MODELS / "swift"
    card = bundle.read_card(folder)
    known = replace(card.evaluation[0], protocol="ravdess-5fold+voice(8)")
    bundle.write_card(replace(card, evaluation=(*card.evaluation, known)), folder)
    page.run()
    page.selectbox[0].select("ravdess-5fold+voice(8)").run()
    assert page.table[0].value["UAR"][0].endswith("%"), "no range in brackets"
    assert "No such range for swift" in said(page)


def test_models_are_ranked_and_compared(mine, page):
    words = said(page.run())
    table = page.table[0].value
    assert list(table["Model"]) == ["**swift** (in use)", "**mine**"]
    assert "swift is better by " in words and "chance alone would do that in" in words
    assert "24 speakers" in words
    assert page.selectbox(key="second-model").options == ["mine"]
    alt = page.get("plotly_chart")[0].proto.alt
    uar = bundle.read_card(SWIFT).evaluation[0].uar
    assert f"swift: UAR {share(uar)}" in alt and f"mine: UAR {share(0.9 * uar)}" in alt


def test_a_model_stands_beside_others_on_the_group_that_tested_it(mine, page):
    card, table = bundle.read_card(mine), heldout.read(mine)
    group = table[(table.protocol == "ravdess-5fold") & (table.fold == 1) & (table.seed == 0)]
    heldout.write([group.assign(protocol="ravdess-5fold#2")], mine / bundle.HELDOUT)
    own = replace(card.evaluation[0], protocol="ravdess-5fold#2", seeds=1, uar=0.123)
    bundle.write_card(replace(card, evaluation=(own,)), mine)
    page.run()
    assert "Not measured this way: mine" in said(page)
    page.selectbox(key="protocol").select("ravdess-5fold#2").run()
    shown = page.table[0].value
    assert list(shown["Model"]) == ["**swift** (in use)", "**mine**"]
    assert shown["UAR"][1] == "12.3%" and shown["Answered"][0] == "–"
    assert shown["Answered"][1].endswith("%") and "fold 2 alone" in page.selectbox[0].options[1]


def test_guessing_is_drawn_for_each_number_of_emotions(mine, page):
    card = bundle.read_card(mine)
    rows = tuple(replace(row, labels=4) for row in card.evaluation)
    bundle.write_card(replace(card, evaluation=rows), mine)
    page.run()
    assert not page.exception
    layout = json.loads(page.get("plotly_chart")[0].proto.spec)["layout"]
    assert [shape["x0"] for shape in layout["shapes"]] == [1 / 4, 1 / 8]
    assert sorted(page.table[0].value["Emotions"]) == ["4", "8"]


def test_a_model_without_results_deserves_no_trust(runs, mine, page):
    (mine / bundle.HELDOUT).unlink()
    bundle.write_card(replace(bundle.read_card(mine), evaluation=(), files={}), mine)
    assert "Not measured this way: mine" in said(page.run())
    look_at(page, "mine")
    page.session_state.look = "All results"
    assert "has not been tested" in said(page.run())


def test_the_results_of_a_model_are_drawn(page):
    folder = locations.MODELS / "swift"
    card = bundle.read_card(folder)
    rows = [
        replace(card.evaluation[0], protocol=f"ravdess-5fold+voice({clips})", uar=0.6 + clips / 100)
        for clips in (1, 8, 16)
    ]
    bundle.write_card(replace(card, evaluation=(*card.evaluation, *rows)), folder)
    page.session_state.look = "All results"
    page.run()
    words, card = said(page), bundle.read_card(folder)
    row, (known, _) = headline(card), voices(card, "ravdess-5fold")
    specs = [json.loads(chart.proto.spec)["data"] for chart in page.get("plotly_chart")]
    curve = next(traces[0] for traces in specs if traces[0].get("mode") == "lines+markers+text")
    assert curve["x"] == ["0", "1", "8", "16"]
    assert curve["y"] == pytest.approx([row.uar, 0.61, 0.68, 0.76])
    assert curve["y"] == [row.uar, *known.values()]
    emotions, people = (frame.value for frame in page.dataframe)
    assert dict(zip(emotions.Emotion, emotions.Recall, strict=True)) == {
        name: round(100 * value) for name, value in row.recall.items()
    }
    assert len(people) == 24 and people.UAR.mean() == pytest.approx(100 * row.uar, abs=1)
    assert set(people.Recordings) == {60 * row.seeds}
    assert f"(ECE) of a run: {row.ece:.1%}" in words and "women" in words


@pytest.mark.parametrize("protocol", [None, "random-80-20", "ravdess-5fold"])
def test_the_test_of_its_own_training_is_told(runs, toy_run, page, protocol):
    run = shutil.copytree(toy_run, runs / "toy")
    if protocol:
        with_a_test(run, protocol)
    page.run()
    look_at(page, "toy")
    page.session_state.look = "All results"
    page.run()
    assert ("has not been tested" in said(page)) == (protocol is None)
    tried = f"Tried on 16 recordings of 2 people.*{protocol}"
    assert bool(re.search(tried, said(page).replace("\\", ""))) == (protocol is not None)
    assert ("mean over emotions (UAR)" in said(page)) == (protocol is not None)


def test_a_toy_that_was_trained_here_is_shown(runs, toy_run, page):
    shutil.copytree(toy_run, runs / "toy")
    page.run()
    look_at(page, "toy")
    assert next(m.value for m in page.metric if m.label == "Emotions") == "4"
    page.session_state.look = "What is inside"
    page.run()
    assert "receptive field" in said(page)
    weights = page.dataframe[0].value["Weights"].sum()
    assert f"{weights:,}" == next(m.value for m in page.metric if m.label == "Weights")


def test_a_model_is_used_everywhere_and_given_back(mine, page):
    page.run()
    look_at(page, "mine")
    button(page, "Use this model").click().run()
    assert toasts(page) == ["“mine” listens now, for everybody."]
    assert "**mine** is in use" in said(page)
    assert shelf.active().name == "mine"
    page.switch_page("pages/recognize.py").run()
    page.pills[0].select(TITLES[0]).run()
    assert "“mine”" in page.caption[-1].value and not toasts(page)
    entry = next(iter(page.session_state.history.values()))
    assert entry.prediction.model == "mine"
    page.switch_page("pages/about.py").run()
    assert not page.exception
    page.switch_page("pages/models.py").run()
    button(page, "Back to swift").click().run()
    assert "**swift** is in use" in said(page) and shelf.active().name == "swift"
    assert "Back to mine" not in labels(page)
    page.switch_page("pages/recognize.py").run()
    assert not page.exception, "what another model has heard is still shown"


def test_other_visitors_are_told(mine, app):
    app.run()
    shelf.activate("mine")  # somebody else
    app.run()
    assert toasts(app) == ["“mine” is the model that listens from now on."]
    app.run()
    assert not toasts(app), "once is enough"


def test_a_voice_of_another_model_is_a_sentence(runs, toy_run, app):
    shutil.copytree(toy_run, runs / "toy")
    for title in TITLES[:3]:
        app.pills[0].select(title).run()
    app.session_state.profiles = True
    app.run()
    for option in app.multiselect[0].options:
        app.multiselect[0].select(option)
    app.run()
    button(app, "Get to know this voice").click().run()
    shelf.activate("toy")
    app.pills[0].select(TITLES[3]).run()
    assert not app.exception
    assert "made for “swift”" in app.warning[0].value
    app.session_state.voice = replace(app.session_state.voice, model="[here](evil)")
    app.run()
    assert r"“\[here\]\(evil\)”" in app.warning[0].value, "what a stranger wrote, and no link"


def test_a_model_that_is_gone_is_replaced_with_a_sentence(runs, mine, app):
    shelf.activate("mine")
    shutil.rmtree(runs / "mine")
    app.run()
    assert len(toasts(app)) == 1
    assert "“mine” that was chosen is not there any more; “swift” listens" in toasts(app)[0]
    app.pills[0].select(TITLES[0]).run()
    assert "“swift”" in app.caption[-1].value and not toasts(app)
    assert "is not there any more" in said(app.switch_page("pages/models.py").run())


def test_a_damaged_model_is_replaced_with_a_sentence(mine, app):
    shelf.activate("mine")
    (mine / "model.onnx").write_bytes(b"damaged")
    app.run()
    assert len(toasts(app)) == 1 and "cannot be used" in toasts(app)[0]
    page = app.switch_page("pages/models.py").run()
    assert "cannot be used" in said(page) and "**swift** is in use" in said(page)
    look_at(page, "mine")
    assert "sha256" in page.error[0].value
    button(page, "Use this model").click().run()
    assert "sha256" in page.error[0].value and "**swift** is in use" in said(page)
    assert "sha256" in beside(page, "Use this model").value and len(page.error) == 2


@pytest.mark.parametrize("trouble", ["damaged", "gone"])
def test_whatever_befalls_a_model_the_usual_one_is_next(mine, runs, app, trouble):
    shutil.copytree(SWIFT, locations.MODELS / "deep")
    shelf.activate("mine")
    if trouble == "damaged":
        (mine / "model.onnx").write_bytes(b"damaged")
    else:
        shutil.rmtree(runs / "mine")
    app.run()
    assert app.session_state["in-use"] == "deep"


def test_if_the_usual_model_is_damaged_too_the_quick_one_listens(mine, app):
    shutil.copytree(SWIFT, locations.MODELS / "deep")
    shelf.activate("mine")
    for folder in (mine, locations.MODELS / "deep"):
        (folder / "model.onnx").write_bytes(b"damaged")
    app.run()
    assert app.session_state["in-use"] == "swift" and "“mine” cannot be used" in toasts(app)[0]


def test_a_damaged_model_for_live_speech_is_replaced_by_the_one_in_use(mine, unopened, monkeypatch):
    monkeypatch.setenv("UNDERTONE_LIVE_MODEL", "mine")
    (mine / "model.onnx").write_bytes(b"damaged")
    page = unopened.switch_page("pages/live.py").run()
    assert not page.exception and not page.error
    assert "“mine” cannot be used" in toasts(page)[0] and "“swift” listens" in toasts(page)[0]
    assert "Heard by the model “swift”." in [caption.value for caption in page.caption]
    assert page.session_state["in-use"] == "swift"


def test_a_card_that_cannot_be_read_is_left_out(runs, mine, page):
    (mine / "card.json").write_text("{}")
    assert "Left out" in said(page.run())
    assert not page.error


def test_a_hidden_training_is_told(runs, page):
    shutil.copytree(SWIFT, runs / "swift" / "model")
    assert "cannot be seen" in said(page.run())


def test_a_model_is_renamed(runs, mine, page):
    shelf.activate("mine")
    page.run()
    assert page.text_input[0].label == "New name"
    page.text_input[0].set_value("yours")
    button(page, "Rename it").click().run()
    assert "**yours** is in use" in said(page)
    assert (runs / "yours").is_dir() and not (runs / "mine").exists()
    assert not toasts(page), "nothing but the name has changed"
    page.text_input[0].set_value("swift")
    button(page, "Rename it").click().run()
    assert "already" in page.error[0].value and (runs / "yours").is_dir()
    assert beside(page, "In use") == page.error[0]
    assert not page.run().error


def test_what_a_renamed_model_has_heard_is_still_shown(mine, app):
    shelf.activate("mine")
    app.run().pills[0].select(TITLES[0]).run()
    shelf.rename("mine", "yours")
    app.run()
    assert not app.exception and app.header


def test_a_model_is_deleted_after_a_second_word(runs, mine, page):
    page.run()
    look_at(page, "mine")
    assert "This deletes **mine**" in said(page)
    button(page, "Delete it").click().run()
    assert not (runs / "mine").exists() and "A closer look at swift" in said(page)


def test_a_name_that_is_given_again_brings_no_old_answer_back(runs, mine, toy_run, app):
    app.pills[0].select(TITLES[0]).run()
    app.session_state.compare = True

    def emotions():
        app.run()
        assert not app.exception
        return app.get("plotly_chart")[-1].proto.alt.split("; ")[-1].count("%")

    assert emotions() == 8
    shelf.delete("mine")
    shutil.copytree(toy_run, runs / "mine")
    assert emotions() == 4


def test_what_was_heard_by_a_model_that_is_replaced_is_no_more_than_shown(runs, mine, toy_run, app):
    def explained():
        assert not app.exception
        return "What the answer hung on" in str(app.get("button_group"))

    shelf.activate("mine")
    app.run().pills[0].select(TITLES[0]).run()
    assert explained()
    shelf.activate("swift")
    shelf.delete("mine")
    shutil.copytree(toy_run, runs / "mine")
    shelf.activate("mine")
    app.run()
    assert app.header and not explained()
    app.pills[0].set_value(None).run()
    app.pills[0].select(TITLES[0]).run()
    assert explained()
    old, new = app.session_state.history.values()
    assert (len(old.prediction.probabilities), len(new.prediction.probabilities)) == (8, 4)


def test_a_model_that_cannot_be_deleted_says_so_beside_the_button(mine, page):
    page.run()
    look_at(page, "mine")
    shelf.activate("mine")  # somebody else, meanwhile
    button(page, "Delete it").click().run()
    assert "in use" in page.error[0].value and beside(page, "In use") == page.error[0]


def test_a_refused_way_back_is_told_beside_its_button(mine, page):
    shelf.activate("mine")
    shelf.activate("swift")
    page.run()
    (mine / "model.onnx").write_bytes(b"damaged")
    button(page, "Back to mine").click().run()
    shown = [node for node in page.main if isinstance(node, Element)]
    assert "sha256" in page.error[0].value
    assert shown.index(page.error[0]) < shown.index(button(page, "Back to mine"))


def test_the_model_in_use_is_not_deleted(mine, page):
    shelf.activate("mine")
    assert "Use another model first" in said(page.run())
    assert "Delete it" not in labels(page)


def test_a_locked_shelf_shows_and_changes_nothing(mine, page, monkeypatch):
    shelf.activate("mine")
    monkeypatch.setenv("UNDERTONE_TRAINING", "off")
    words = said(page.run())
    assert "Models cannot be changed here" in words and not page.file_uploader
    assert labels(page) == ["Prepare the file"]
    assert "LiteRT" not in page.radio[0].options and "ONNX" in page.radio[0].options


def test_an_export_is_prepared_and_downloaded(mine, page):
    page.run()
    look_at(page, "mine")
    assert not page.get("download_button")
    button(page, "Prepare the file").click().run()
    assert not page.exception
    [download] = page.get("download_button")
    assert download.proto.label.startswith("Download (")
    page.radio[0].set_value("keras").run()
    assert not page.get("download_button"), "that is another file"


def archive(folder) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for path in folder.iterdir():
            made.write(path, path.name)
    return buffer.getvalue()


@pytest.mark.parametrize("others", [0, 1])
def test_a_model_is_added(runs, page, others):
    for number in range(others):
        shutil.copytree(SWIFT, runs / f"other-{number}" / "model")
    page.run().file_uploader[0].upload("theirs.zip", archive(SWIFT)).run()
    assert not page.error and "“theirs\\.zip” is added, as “swift\\-2”" in page.success[0].value
    assert shelf.find("swift-2").origin is shelf.Origin.IMPORTED
    assert page.selectbox(key="look-at").value == "swift-2"
    assert "nobody here has checked them" in said(page)


def test_the_whole_card_is_shown_and_a_strangers_as_it_is_written(runs, page):
    page.run()
    page.session_state.look = "The whole card"
    page.run()
    assert "#### Robustness" in said(page) and "| white noise" in said(page)
    assert "license:" not in said(page) and not page.code
    page.file_uploader[0].upload("theirs.zip", archive(SWIFT)).run()
    assert "# swift" in page.code[0].value and "#### Robustness" not in said(page)


def test_a_click_meanwhile_adds_no_model_twice(runs, page, monkeypatch):
    page.run()
    with interrupted(monkeypatch, importing, "take_in_apart") as imports:
        page.file_uploader[0].upload("theirs.zip", archive(SWIFT)).run()
    assert not page.exception and len(imports) == 1
    assert [path.name for path in runs.iterdir()] == ["swift-2"]
    assert "“theirs\\.zip” is added, as “swift\\-2”" in page.success[0].value
    assert page.selectbox(key="look-at").value == "swift-2"


@pytest.mark.parametrize("change", ["Rename it", "Delete it"])
def test_what_was_added_is_told_until_it_is_changed(runs, page, change):
    page.run().file_uploader[0].upload("theirs.zip", archive(SWIFT)).run()
    assert page.run().success
    page.text_input(key="new-name").set_value("yours")
    button(page, change).click().run()
    assert not page.exception and not page.success


def test_a_hostile_archive_is_a_sentence(runs, mine, page, tmp_path):
    card = json.loads((mine / "card.json").read_text())
    (mine / "card.json").write_text(json.dumps(card | {"labels": ["<script>", "b"]}))
    content = archive(mine)
    shutil.rmtree(runs / "mine")
    page.run().file_uploader[0].upload("evil*.zip", content).run()
    assert not page.exception
    sentence = page.error[0].value.replace("\\", "")
    assert sentence.startswith("Sorry, “evil*.zip” is not added: card.json: labels: ")
    assert list(runs.iterdir()) == []
    page.file_uploader[0].upload("fine.zip", archive(SWIFT)).run()
    assert not page.error


def test_without_any_model_there_is_one_sentence(runs, page, tmp_path, monkeypatch):
    from ser_core import locations

    monkeypatch.setattr(locations, "MODELS", tmp_path / "none")
    st.cache_resource.clear()
    page.run()
    assert not page.exception and len(page.error) == 1


def test_the_page_loads_no_tensorflow(mine):
    code = """
import sys
from pages.parts import entrance
entrance.through_app = lambda: None
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("app.py", default_timeout=600).run().switch_page("pages/models.py").run()
page.session_state.look = "What is inside"
next(b for b in page.button if b.label == "Prepare the file").click().run()
assert not page.exception and page.dataframe and page.get("download_button")
sys.exit(bool({"tensorflow", "keras"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
