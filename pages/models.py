"""Models: which there are, how well they hear, what they are made of, and which one is in use."""

import streamlit as st

from pages.parts import models_board, models_file, models_one
from pages.parts.entrance import through_app
from pages.parts.hearing import plain, recognizer, sorry
from ser_core import shelf
from ser_core.errors import UndertoneError

through_app()

st.set_page_config(page_title="Models · Undertone", layout="wide")
st.title("Which model listens?", anchor=False)
st.markdown(
    "A model is what a training leaves behind: a network that has learned to tell emotions apart. "
    "Here you see how well each one hears people it has never met. The one you choose answers on "
    "the other pages."
)
models = shelf.models()
try:
    used = recognizer().card.name
except UndertoneError as error:
    st.error(sorry(error))
    used = ""

models_one.show_use(used)
for reason in shelf.damaged().values():
    st.warning(plain(f"Left out: {reason}."))
for name in shelf.hidden():
    st.warning(
        f"The training in the folder “{plain(name)}” cannot be seen, because a model that came "
        "with Undertone has this name; rename that folder."
    )
if models:
    models_board.show(models, used)
    models_one.show(models, used)
models_file.add()
