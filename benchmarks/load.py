"""Many visitors at once: whether each gets its own answer, how long that takes, and what it needs.

`python -m benchmarks.load` serves the app on this machine, lets visitors upload recordings and
listeners talk and be silent over WebRTC while a model trains, prints a summary and writes
`benchmarks/results/load.json`. All visitors speak Streamlit's own protocol; no browser is needed.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aioice.ice
import numpy as np
import soundfile
import soxr
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer

from benchmarks.live import distribution, process_at
from benchmarks.visitor import Visitor
from ser_core import audio
from ser_core.recognizer import Recognizer
from tests.browser import serving
from tests.helpers import TOY, speech_like

RESULTS = Path(__file__).parent / "results"
PATIENCE = 120.0  # seconds, after which an answer counts as none
THINKING = (1.0, 5.0)  # seconds between an answer and the next upload
FIRST = 60.0  # seconds for which a first crowd stays
FORGETTING = 150.0  # seconds; the visit of a closed tab is kept for 120

# These listeners are made of aioice, too, which hangs up on who is half a second late six times;
# a browser does not.
aioice.ice.CONSENT_FAILURES = 10_000


@dataclass
class Seen:
    """What happened.

    Attributes:
        openings: seconds from coming to the whole first page; all come at once.
        latencies: seconds from the first byte of an upload to everything that is shown of it.
        errors: what went wrong, and
        crossed: which answers were not those of one's own recording; sentences.
        moments: by listener, how often what was on the page, looked at twice a second.
        memory: seconds since the start and MB of the server, again and again.
    """

    openings: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    crossed: list[str] = field(default_factory=list)
    moments: dict[str, Counter] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long they stay")
    parser.add_argument("--visitors", type=int, default=25, help="who upload")
    parser.add_argument("--listeners", type=int, default=8, help="who are live")
    options = parser.parse_args()
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        toy_corpus(Path(folder) / "ravdess")
        places = {"SER_DATA_DIR": folder, "SER_RUNS_DIR": f"{folder}/runs"}
        # As the README would have it where there are so many.
        many = {"UNDERTONE_LOG": "info", "UNDERTONE_LIVE_MODEL": "swift"}
        with serving.server(**places, **many) as url:
            changed = (*TOY, "training.epochs=99999", "training.patience=99999")
            settings = [word for setting in changed for word in ("--set", setting)]
            training = subprocess.Popen(
                [sys.executable, "-m", "ser_core", "train", "swift", *settings],
                env=os.environ | places,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                asyncio.run(crowd(url, options, Path(folder), seen))
                ended_by_itself = training.poll()
            finally:
                training.terminate()
                training.wait()
        epochs = (Path(folder) / "runs" / "swift" / "events.jsonl").read_text().count('"epoch"')
    result = {
        "what": f"for {options.seconds:.0f} s, {options.visitors} visitors upload clips of 2 to "
        f"4 s, wait for the answer with its charts and go on after {THINKING[0]:.0f} to "
        f"{THINKING[1]:.0f} s, {options.listeners} listeners are live, every other one silent, and "
        "a model trains; all on one machine with those who measure, after as many who came for "
        f"{FIRST:.0f} s and are forgotten",
        "page_s": distribution(seen.openings),
        "answer_s": distribution(seen.latencies),
        "errors": seen.errors,
        "answers_of_somebody_else": seen.crossed,
        "live_moments": seen.moments,
        "training": {"epochs": epochs, "exit_code": ended_by_itself},
        "server_mb": {
            "before": seen.memory[0][1],
            "most": max(mb for _, mb in seen.memory),
            "after": seen.memory[-1][1],
            "by_second": seen.memory,
        },
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "load": [round(load, 1) for load in os.getloadavg()],
    }
    (RESULTS / "load.json").write_text(json.dumps(result, ensure_ascii=False) + "\n")
    result["server_mb"].pop("by_second")
    print(json.dumps(result, indent=2, ensure_ascii=False))


async def crowd(url: str, options: argparse.Namespace, folder: Path, seen: Seen) -> None:
    """Let everybody come, stay, and go, twice; watch the memory until they are forgotten."""
    recognizer = Recognizer.from_name()

    async def everybody(seconds: float, seen: Seen) -> None:
        end = time.monotonic() + seconds
        numbers = range(options.visitors)
        visits = [upload_often(url, number, end, recognizer, seen) for number in numbers]
        visits += [listen(url, number, end, folder, seen) for number in range(options.listeners)]
        for visit, outcome in enumerate(await asyncio.gather(*visits, return_exceptions=True)):
            if isinstance(outcome, BaseException):
                seen.errors.append(f"visit {visit}: {type(outcome).__name__}: {outcome}")
        await asyncio.sleep(FORGETTING)

    # The first crowd makes what stays: models, threads, caches. What the second leaves is lost.
    await everybody(FIRST, Seen())
    watching = asyncio.create_task(watch_memory(process_at(url), seen))
    await everybody(options.seconds, seen)
    watching.cancel()


async def upload_often(
    url: str, number: int, end: float, recognizer: Recognizer, seen: Seen
) -> None:
    """Upload one recording after the other, each of its own, and compare what is shown of it."""
    rng = random.Random(number)
    came = time.perf_counter()
    async with Visitor(url) as visitor:
        await asyncio.wait_for(visitor.until(lambda: visitor.idle), PATIENCE)
        seen.openings.append(time.perf_counter() - came)
        take = 0
        while not take or time.monotonic() < end:
            name, content = f"visitor-{number}-take-{take}.wav", recording(rng)
            expected = await asyncio.to_thread(lambda: recognizer.predict(audio.read(content)))  # noqa: B023
            if not expected.label:
                continue  # nothing would be drawn that could be compared
            started = time.perf_counter()
            await asyncio.wait_for(visitor.upload(name, content), PATIENCE)
            shown = await asyncio.wait_for(visitor.until(lambda: answer(visitor, name)), PATIENCE)  # noqa: B023
            seen.latencies.append(time.perf_counter() - started)
            if not np.allclose(shown, right := sorted(expected.probabilities.values()), atol=1e-5):
                seen.crossed.append(f"{name}: {shown} instead of {right}")
            seen.errors += visitor.failures
            visitor.failures.clear()
            take += 1
            await asyncio.sleep(rng.uniform(*THINKING))


def answer(visitor: Visitor, name: str) -> list[float] | None:
    """Return the probabilities on a page, rising, once it is all about that recording."""
    on_page = visitor.shown()
    if not visitor.idle or not any(it.text.body == name for it in on_page):
        return None
    charts = [json.loads(it.plotly_chart.spec) for it in on_page if it.HasField("plotly_chart")]
    bars = [trace["x"] for chart in charts for trace in chart["data"] if trace["type"] == "bar"]
    # The pictures come last.
    return sorted(bars[0]) if bars and len(charts) > 1 else None


async def listen(url: str, number: int, end: float, folder: Path, seen: Seen) -> None:
    """Talk, or be silent, on the Live page."""
    talks = number % 2 == 0
    sound = speech_like(8.0, 120.0 + 20 * number, seed=number)
    silence = 1e-4 * np.random.default_rng(number).standard_normal(len(sound))
    file = folder / f"listener-{number}.wav"
    soundfile.write(file, sound if talks else silence, audio.SAMPLE_RATE)
    moments = seen.moments[f"{number}, {'talking' if talks else 'silent'}"] = Counter()
    peer = RTCPeerConnection()
    try:
        async with Visitor(url) as visitor:
            await visitor.go("live")
            await visitor.press("Start listening")
            asked = await asyncio.wait_for(visitor.until(lambda: told(visitor, "ask")), PATIENCE)
            peer.addTrack(MediaPlayer(str(file), loop=True).audio)
            await peer.setLocalDescription(await peer.createOffer())
            offer = {"ask": asked, "word": "granted", "offer": peer.localDescription.sdp}
            await visitor.tell("microphone", "told", offer)
            sdp = await asyncio.wait_for(visitor.until(lambda: told(visitor, "answer")), PATIENCE)
            await peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
            while time.monotonic() < end:
                await asyncio.sleep(0.5)
                headings = [it.heading for it in visitor.shown() if it.HasField("heading")]
                words = " ".join(it.body for it in headings if it.tag == "h2")
                found = serving.ANSWER.search(words)
                moments["an emotion, or that it cannot tell" if found else words or "nothing"] += 1
                if found and not talks:
                    seen.crossed.append(f"listener {number} was silent, but heard {words}")
            if "What was heard" in moments:
                said = [it.alert.body for it in visitor.shown() if it.HasField("alert")]
                seen.errors.append(f"listener {number} was cut off: {' '.join(said)}")
            if talks and "an emotion, or that it cannot tell" not in moments:
                seen.errors.append(f"listener {number} was never heard")
            seen.errors += visitor.failures
    finally:
        await peer.close()


def told(visitor: Visitor, key: str):
    """Return what the script says to the microphone, once it says something."""
    part = visitor.component("microphone")
    return part and json.loads(part.json or part.mixed.json)[key]


def recording(rng: random.Random) -> bytes:
    """Return a WAV file like no other: a sample, slower or faster, with a breath of noise."""
    file = rng.choice(sorted(serving.SAMPLES.glob("*.flac")))
    samples, rate = soundfile.read(file, dtype="float32")
    samples = soxr.resample(samples, rate, int(rate * rng.uniform(0.8, 1.25)))
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(samples))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples + 1e-3 * noise, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


async def watch_memory(pid: int, seen: Seen) -> None:
    """Note every five seconds what the server holds in memory."""
    started = time.monotonic()
    while True:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        seen.memory.append((round(time.monotonic() - started), round(mb)))
        await asyncio.sleep(5)


def toy_corpus(folder: Path) -> None:
    """Write recordings that a small model can be trained on."""
    for actor in range(1, 9):
        (folder / f"Actor_{actor:02d}").mkdir(parents=True)
        for emotion, pitch in {1: 90.0, 3: 340.0, 4: 130.0, 5: 230.0}.items():
            for take in (1, 2):
                samples = speech_like(1.2, pitch * (0.97 + 0.01 * actor), seed=10 * actor + take)
                name = f"Actor_{actor:02d}/03-01-{emotion:02d}-01-01-{take:02d}-{actor:02d}.flac"
                soundfile.write(folder / name, samples, audio.SAMPLE_RATE)


if __name__ == "__main__":
    main()
