import threading
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

from ser_core import audio, live, profile
from ser_core.emotions import EMOTIONS
from ser_core.features import FeatureSpec
from ser_core.live import Moment, Sound, State
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like

RATE = audio.SAMPLE_RATE


@pytest.fixture(scope="module")
def swift() -> Recognizer:
    return Recognizer.from_name("swift")


@pytest.fixture
def listener() -> live.Listener:
    return live.Listener()


def mono(samples) -> np.ndarray:
    return np.asarray(samples, np.float32)[:, None]


def noise(seconds, amplitude):
    generator = np.random.default_rng(0)
    return amplitude * generator.standard_normal(int(seconds * RATE)).astype(np.float32)


def saying(probabilities, threshold=0.5, codes=()):
    """A recognizer that gives these answers, one after the other, whatever it hears."""
    answers = iter(probabilities)
    issues = [SimpleNamespace(code=code, severity="error") for code in codes]
    return SimpleNamespace(
        card=SimpleNamespace(threshold=threshold),
        predict=lambda clip: SimpleNamespace(
            model="saying",
            probabilities=next(answers),
            abstained=bool(codes),
            quality=SimpleNamespace(duration=clip.duration, issues=issues),
        ),
    )


def test_buffer_keeps_the_latest(listener):
    samples = np.arange(25 * RATE, dtype=np.float32)
    for block in np.split(samples, 50):
        listener.buffer.write(RATE, mono(block))
    kept, written = listener.buffer.read()
    np.testing.assert_array_equal(kept, samples[-10 * RATE :])
    assert written == len(samples)
    assert listener.buffer.seconds == 25
    np.testing.assert_array_equal(listener.buffer.read(3)[0], samples[-3 * RATE :])


def test_buffer_takes_a_block_longer_than_itself():
    buffer = live.Buffer(seconds=1)
    samples = np.arange(3 * RATE, dtype=np.float32)
    buffer.write(RATE, mono(samples))
    np.testing.assert_array_equal(buffer.read()[0], samples[-RATE:])


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_buffer_resamples_without_seams(rate, channels):
    time = np.arange(2 * rate) / rate
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    buffer = live.Buffer()
    for block in np.array_split(np.repeat(tone[:, None], channels, axis=1), 100):
        buffer.write(rate, block)
    heard = buffer.read()[0][RATE // 4 : -RATE // 4]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert spectrum.argmax() * RATE / len(heard) == pytest.approx(440, abs=1)
    # A seam would be a click, heard at all frequencies.
    assert spectrum[len(spectrum) // 2 :].max() < 1e-3 * spectrum.max()


def test_buffer_follows_a_change_of_rate():
    buffer = live.Buffer()
    for rate in (48_000, 16_000, 48_000):
        buffer.write(rate, np.full((rate, 1), 0.5, np.float32))
    assert buffer.seconds == pytest.approx(3, abs=0.05)
    assert np.median(buffer.read()[0]) == pytest.approx(0.5, abs=1e-3)


def test_pause_drops_what_comes(listener):
    listener.buffer.write(RATE, mono(np.full(RATE, 0.1)))
    listener.buffer.paused = True
    listener.buffer.write(RATE, mono(np.full(RATE, 0.2)))
    listener.buffer.paused = False
    listener.buffer.write(RATE, mono(np.full(RATE, 0.3)))
    assert sorted(set(listener.buffer.read()[0])) == [np.float32(0.1), np.float32(0.3)]
    assert listener.buffer.seconds == 2


def test_close_forgets_and_takes_no_more(listener):
    listener.buffer.write(RATE, mono(np.ones(RATE)))
    listener.end(State.STOPPED)
    listener.buffer.write(RATE, mono(np.ones(RATE)))
    assert listener.buffer.closed
    assert len(listener.buffer.read()[0]) == 0
    assert listener.buffer._ring.size == 0


def test_reader_never_sees_half_a_block():
    buffer = live.Buffer(seconds=0.1)
    blocks = [mono(np.arange(start, start + 320)) for start in range(0, 320 * 2_000, 320)]
    writer = threading.Thread(target=lambda: [buffer.write(RATE, block) for block in blocks])
    writer.start()
    while writer.is_alive():
        samples, written = buffer.read()
        assert np.all(np.diff(samples) == 1)
        assert written % 320 == 0
    writer.join()


def test_listeners_share_nothing():
    one, other = live.Listener(), live.Listener()
    one.buffer.write(RATE, mono(np.ones(RATE)))
    assert one.buffer.seconds == 1
    assert other.buffer.seconds == 0
    assert other.moments is not one.moments


@pytest.mark.parametrize(
    "samples, sound",
    [
        (np.zeros(4 * RATE, np.float32), Sound.SILENCE),
        (noise(4, 1e-4), Sound.SILENCE),
        (noise(4, 0.1), Sound.NOISE),
        (0.3 * np.sin(np.arange(4 * RATE) / 5).astype(np.float32), Sound.NOISE),
        (speech_like(4.0), Sound.SPEECH),
        (np.concatenate([noise(3.6, 1e-4), speech_like(0.35)]), Sound.BRIEF),
        (np.concatenate([speech_like(3.0), noise(0.8, 1e-4)]), Sound.SILENCE),
    ],
    ids=["nothing", "quiet room", "noise", "tone", "speech", "a syllable", "silent by now"],
)
def test_what_kind_of_sound_it_is(listener, swift, samples, sound):
    listener.buffer.write(RATE, mono(samples))
    moment = listener.hear(swift)
    assert moment.sound is sound
    assert bool(moment.probabilities) == (sound is Sound.SPEECH)
    assert moment.time == pytest.approx(len(samples) / RATE)
    assert sound is Sound.SPEECH or moment.label is None


def test_only_the_last_three_seconds_count(swift):
    answers = []
    for before in (speech_like(4.0, pitch=300.0), noise(4, 0.1)):
        listener = live.Listener()
        listener.buffer.write(RATE, mono(np.concatenate([before, speech_like(3.0)])))
        answers.append(listener.hear(swift).probabilities)
    assert answers[0] == answers[1]


def test_without_new_sound_there_is_no_new_moment(listener, swift):
    assert listener.hear(swift) is None
    listener.buffer.write(RATE, mono(speech_like(2.0)))
    first = listener.hear(swift)
    assert listener.hear(swift) is first
    assert len(listener.moments) == 1


def test_a_voice_that_is_known_is_allowed_for(swift):
    said = speech_like(3.0)
    prediction = swift.predict(audio.Clip(said, live.SAMPLE_RATE, "live"))
    heard_before = np.tile(list(prediction.probabilities.values()), (8, 1))
    someone = profile.get_to_know(np.tile(prediction.embedding, (8, 1)), heard_before, swift.bundle)
    heard = []
    for voice in (None, someone):
        listener = live.Listener()
        listener.buffer.write(live.SAMPLE_RATE, mono(said))
        heard.append(listener.hear(swift, voice).probabilities)
    assert heard[0] == prediction.probabilities != heard[1]
    assert heard[1] == swift.with_voice(prediction, someone).probabilities


def hear(listener, recognizer):
    listener.buffer.write(RATE, mono(speech_like(0.5)))
    return listener.hear(recognizer)


def test_answers_are_smoothed(listener):
    recognizer = saying([{"sad": 1.0, "calm": 0.0}, {"sad": 0.0, "calm": 1.0}] * 2)
    seen = [hear(listener, recognizer).probabilities["sad"] for _ in range(3)]
    assert seen == [1.0, 0.5, 0.75]


def test_silence_ends_the_smoothing(listener):
    recognizer = saying([{"sad": 1.0}, {"sad": 0.5}, {"sad": 0.2}])
    hear(listener, recognizer)
    listener.buffer.write(RATE, mono(np.zeros(RATE)))
    assert listener.hear(recognizer).sound is Sound.SILENCE
    assert hear(listener, recognizer).probabilities == {"sad": 0.2}


@pytest.mark.parametrize("threshold, label", [(0.5, "sad"), (0.61, None)])
def test_no_winner_below_the_threshold(listener, threshold, label):
    assert hear(listener, saying([{"sad": 0.6, "calm": 0.4}], threshold)).label == label


def test_what_is_no_speech_gets_no_emotion(listener):
    moment = hear(listener, saying([{"sad": 1.0}], codes=["music"]))
    assert (moment.sound, moment.probabilities, moment.label) == (Sound.NOISE, {}, None)


def test_moments_are_bounded(listener):
    assert listener.moments.maxlen * live.TICK == 3_600


def talking(seconds=3.0, samples=None):
    listener = live.Listener()
    listener.state("granted", 0.0)
    if samples is None:
        samples = speech_like(seconds)
    listener.buffer.write(RATE, mono(samples))
    return listener


def paused():
    listener = talking()
    listener.buffer.paused = True
    return listener


def closed(listener):
    listener.buffer.close()
    return listener


def ended():
    listener = talking()
    listener.end(State.STOPPED)
    return listener


@pytest.mark.parametrize(
    "listener, told, state",
    [
        (live.Listener(), None, State.ASKING),
        (live.Listener(), "denied", State.DENIED),
        (live.Listener(), "missing", State.MISSING),
        (live.Listener(), "busy", State.BUSY),
        (live.Listener(), "insecure", State.INSECURE),
        (live.Listener(), "granted", State.CONNECTING),
        (live.Listener(), "failed", State.FAILED),
        (closed(live.Listener()), "granted", State.FAILED),
        (talking(), "granted", State.LISTENING),
        (talking(samples=noise(3, 1e-4)), "granted", State.LISTENING),
        (talking(samples=np.zeros(3 * RATE)), "granted", State.MUTED),
        (talking(samples=np.zeros(RATE // 2)), "granted", State.LISTENING),
        (paused(), "granted", State.PAUSED),
        (talking(), "failed", State.LOST),
        (closed(talking()), "granted", State.LOST),
        (ended(), "granted", State.STOPPED),
        (ended(), "failed", State.STOPPED),
    ],
)
def test_state(listener, told, state):
    assert listener.state(told, listener.buffer._arrived or 0.0) is state


@pytest.mark.parametrize(
    "after, state",
    [(0.0, State.CONNECTING), (9.9, State.CONNECTING), (10.1, State.FAILED)],
)
def test_a_connection_has_ten_seconds(listener, after, state):
    assert listener.state("granted", 100.0) is State.CONNECTING
    assert listener.state("granted", 100.0 + after) is state


@pytest.mark.parametrize("after, state", [(1.0, State.LISTENING), (2.5, State.NO_SIGNAL)])
def test_no_signal_is_not_silence(after, state):
    listener = talking()
    assert listener.state("granted", listener.buffer._arrived + after) is state


def spoken(time, label="sad", probability=1.0):
    return Moment(time, Sound.SPEECH, {label: probability}, label)


def silent(time):
    return Moment(time, Sound.SILENCE, {}, None)


def test_over_time_has_a_row_each_half_second():
    moments = [spoken(0.5), silent(1.01), spoken(1.52, "calm", 0.7), spoken(2.0, "calm", 0.9)]
    values = live.over_time(moments, ["sad", "calm"], -1, 5)
    assert values.tolist() == [[0, 0], [1, 0], [0, 0], [0, 0.7], [0, 0.9], [0, 0]]


def test_a_gap_stays_blank():
    values = live.over_time([spoken(0.5), spoken(5.0)], ["sad"], 0, 10)
    assert values.ravel().tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1, 1]


def test_a_late_tick_leaves_no_hole():
    values = live.over_time([spoken(0.5), spoken(1.3), spoken(2.1)], ["sad"], 0, 4)
    assert values.ravel().tolist() == [1, 1, 1, 1]


def test_over_time_shows_the_end_of_a_long_visit():
    moments = [spoken(0.5 * tick, "sad" if tick <= 1_000 else "calm") for tick in range(1, 1_201)]
    values = live.over_time(moments, ["sad", "calm"], 960, 1_200)
    assert values[:40].tolist() == [[1, 0]] * 40
    assert values[40:].tolist() == [[0, 1]] * 200


def test_all_that_was_heard_is_a_timeline():
    moments = [silent(0.5), spoken(1.0), spoken(1.5), spoken(2.0, "calm", 0.3), spoken(2.4, "calm")]
    found = live.as_timeline(moments, ["calm", "sad"], threshold=0.5)
    assert found.duration == 2.4
    assert [(s.start, s.end, s.label) for s in found.segments] == [
        (0.5, 1.5, "sad"),
        (1.5, 2.0, None),
        (2.0, 2.4, "calm"),
    ]


def test_after_an_hour_what_is_forgotten_is_no_silence(listener, monkeypatch):
    monkeypatch.setattr(listener, "moments", deque(maxlen=4))
    model = saying([{"sad": 1.0}] * 10)
    for block in np.split(speech_like(5.0), 10):
        listener.buffer.write(RATE, mono(block))
        listener.hear(model)
    assert listener.card is model.card
    assert listener.since == 3.0
    found = live.as_timeline(listener.moments, ["sad"], threshold=0.5, since=listener.since)
    assert found.duration == 2.0
    assert [(s.start, s.end, s.label) for s in found.segments] == [(0.0, 2.0, "sad")]


@pytest.mark.parametrize("seconds", [0.0, 0.01, 1.0, 9.0, 25.0])
def test_pictures_are_always_of_ten_seconds(seconds):
    buffer = live.Buffer()
    if seconds:
        buffer.write(RATE, mono(speech_like(seconds)))
    seen = live.pictures(*buffer.read(), FeatureSpec())
    assert seen.lowest.shape == seen.highest.shape == (156,)
    assert seen.mel.shape == (156, 64)
    assert np.all(seen.lowest <= seen.highest)
    assert 0 <= seen.mel.min() and seen.mel.max() <= 1


def test_pictures_move_by_whole_columns():
    samples = speech_like(15.0)
    buffer = live.Buffer()
    buffer.write(RATE, mono(samples[: 12 * RATE]))
    before = live.pictures(*buffer.read(), FeatureSpec())
    buffer.write(RATE, mono(samples[12 * RATE : 12 * RATE + 3 * 1024 + 100]))
    after = live.pictures(*buffer.read(), FeatureSpec())
    np.testing.assert_array_equal(before.highest[3:], after.highest[:-3])
    np.testing.assert_allclose(before.mel[4:-1], after.mel[1:-4], atol=0.02)


def test_silence_looks_silent():
    quiet = live.pictures(noise(10, 1e-4), 10 * RATE, FeatureSpec())
    loud = live.pictures(speech_like(10.0), 10 * RATE, FeatureSpec())
    assert quiet.mel.max() < 0.2
    assert loud.mel.max() == 1


@pytest.mark.parametrize("amplitude, decibels", [(1.0, 0), (0.1, -20), (0.001, -60), (0, -100)])
def test_level(amplitude, decibels):
    assert live.level(np.full(100, amplitude, np.float32)) == pytest.approx(decibels, abs=0.01)


def test_level_of_nothing():
    assert live.level(np.empty(0, np.float32)) == -100


def test_every_emotion_of_the_model_can_be_drawn(swift):
    assert set(swift.card.labels) <= set(EMOTIONS)
