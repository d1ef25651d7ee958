"""Undertone's core: from a recording to an honest statement of the emotion it carries.

Data moves one way: `audio` → `features` → `recognizer` → `plots`; and for training
`corpora` → `splits` → `training` → `bundle`. Nothing here imports Streamlit, and nothing that
recognises imports TensorFlow.
"""
