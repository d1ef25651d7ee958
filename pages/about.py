"""About: what it hears, how well, where it fails, and what it is not for."""

import streamlit as st

from pages.parts.entrance import through_app
from pages.parts.hearing import sorry
from ser_core import plots, shelf
from ser_core.bundle import read_card
from ser_core.card import headline, results_in_words
from ser_core.corpora import CORPORA
from ser_core.errors import UndertoneError
from ser_core.locations import find_model
from ser_core.splits import PROTOCOLS
from ser_core.wording import share

through_app()
st.set_page_config(page_title="About · Undertone", layout="centered")

WHOM = {"female": "women", "male": "men"}

try:
    card, problem = read_card(find_model(shelf.active().name)), None
except UndertoneError as error:
    card, problem = None, error

st.title("About Undertone", anchor=False)

st.header("What it hears", anchor=False)
which = f"which of {len(card.labels)} emotions" if card else "which emotion"
acted = card is None or set(card.training.corpora) <= set(CORPORA)
st.markdown(
    "How something is said, not what is said: pitch, stress, rhythm and timbre. From these a "
    f"small neural network tells {which} a phrase sounds most like. "
    + (
        "It learned from actors who portrayed emotions in English, so it knows **how emotion is "
        "performed, not what anyone feels**."
        if acted
        else "It knows **how emotion sounds in what it learned from, not what anyone feels**."
    )
)

st.header("How well", anchor=False)
if problem:
    st.error(sorry(problem))
elif card.evaluation:
    results = results_in_words(card, PROTOCOLS)
    st.table(results, alt="Test results of the model, by protocol", hide_header=False)
    st.caption(
        "Mean ± standard deviation, where there were several trainings. *Right* is the share of "
        "clips that it heard as labelled. *UAR* is that averaged over the emotions, so that "
        "frequent ones do not count for more. *Answered* is how often it did not say “I can't "
        "tell”."
    )
    on_actors = (
        "Measured on people who act in a studio, most of them in North American English; of "
        "RAVDESS, people are right about 2 times in 3 (67%, as printed by Luna-Jiménez et al.). "
    )
    st.markdown(
        f"{on_actors if acted else ''}Believe the rows about unseen speakers: a model that met the "
        "test's voices in training looks far better than it is. Guessing would be right 1 time in "
        f"{len(card.labels)}."
    )
    if (unseen := headline(card)) and unseen.recall:
        recall = dict(sorted(unseen.recall.items(), key=lambda item: -item[1]))
        told = f"How often each emotion was recognised in unseen speakers ({unseen.protocol})"
        if len(recall) > 1:
            easiest, *_, hardest = recall
            told += f": {easiest} most often, {hardest} least"
        whose = [
            f"{share(unseen.uar_by_sex[sex])} for {people}"
            for sex, people in WHOM.items()
            if sex in unseen.uar_by_sex
        ]
        if whose:
            told += f". Averaged over the emotions, {' and '.join(whose)}"
        st.subheader("Which emotions, and whose", anchor=False)
        st.markdown(f"{told}.")
        st.plotly_chart(
            plots.probabilities(recall, counted=True),
            config={"displayModeBar": False},
            alt=", ".join(f"{name} {share(right)}" for name, right in recall.items()),
        )
else:
    st.markdown("This model has not been tested, so its answers deserve no trust yet.")

st.header("Where it fails", anchor=False)
taught_by = "It learned from adults who act, in English, and say a few set sentences."
st.markdown(
    "- Everyday speech. Actors exaggerate, and people mostly do not.\n"
    "- Other languages, accents and cultures, and the voices of children and old people. "
    f"{taught_by if acted else ''}\n"
    "- Rooms, microphones and people unlike those it learned from, even when they act. "
    "Undertone's model “deep”, trained without the corpus in question, recognised 51% of RAVDESS, "
    "49% of SAVEE, 45% of TESS and 34% of CREMA-D, the last guessed from spectrograms "
    "(*cross-corpus*, averaged over six emotions, one training each; guessing would be right 17% "
    "of the time). Knowing the voice from eight clips, it was 57%, 50%, 62% and 37%: see “Your "
    "voice” on the page Recognize.\n"
    "- Noise, music, echo, or several people at once.\n"
    "- Irony, and whatever is in the words alone.\n\n"
    "When no emotion stands out, or too little can be heard, it says *I can't tell*. "
    "When it does answer, it can still be wrong."
)

st.header("What it must not be used for", anchor=False)
st.markdown(
    "Decisions about people. In the European Union, systems that infer emotions at work or in "
    "education are prohibited, medical and safety reasons aside: the AI Act, "
    "[Regulation (EU) 2024/1689](https://eur-lex.europa.eu/eli/reg/2024/1689/oj), "
    "Article 5(1)(f). A guess about a voice is no evidence of what anyone feels, means or "
    "intends, and listening to someone needs their consent."
)

st.header("Privacy", anchor=False)
st.markdown(
    "Everything happens on the computer that runs Undertone: yours, unless somebody has opened "
    "this page to you. It passes nothing on and keeps no recording: what you record, upload or say "
    "on the Live page is in memory only and forgotten soon after you close the page, and so is "
    "what it has got to know of your voice. It asks no other server for anything, except when you "
    "get recordings on the Explore page: then their publisher is asked for them; and when sound "
    "from the Live page has to go through a relay that whoever runs Undertone has named."
)

st.header("Licences", anchor=False)
st.markdown(
    "The code is free under the MIT licence. The weights of the models that come with it are for "
    "non-commercial use only, because most of the recordings that they learned from are:\n\n"
    + "\n".join(
        f"- [{corpus.TITLE}]({corpus.HOME}) ({corpus.LICENCE}): {corpus.CITATION}"
        for corpus in CORPORA.values()
    )
    + "\n\nThe model “deep” rests on [CAM++](https://github.com/modelscope/3D-Speaker) "
    "(Apache-2.0), which has learned to tell speakers of Chinese and English apart. Whether "
    "somebody speaks at all is told by [Silero VAD](https://github.com/snakers4/silero-vad) (MIT). "
    "The sample voices are made by espeak-ng."
)
