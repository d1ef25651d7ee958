"""How long sound takes to the screen on the Live page, and what a listener costs the server.

`python -m benchmarks.live` prints a table and writes `benchmarks/results/live.json`. Chromium hears
a file in which speech and silence take turns. Its own script notes when the sound leaves the
microphone, and when the page has painted what came of it; both on the same clock.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import expect, sync_playwright

from benchmarks.common import keep, machine
from benchmarks.stages import MODELS
from ser_core import audio
from tests.browser import serving

SPEECH, SILENCE = 3.0, 3.3  # seconds; no whole number of ticks, so that all delays occur

# Notes `[what, milliseconds]`: when sound begins at the microphone, and when the page shows it.
OBSERVER = """
window.noted = [];
const note = (what) => top.noted.push([what, performance.timeOrigin + performance.now()]);

const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (constraints) => {
  const stream = await ask(constraints);
  const context = new AudioContext();
  const meter = context.createScriptProcessor(1024, 1, 1);
  let quietSince = 0;
  meter.onaudioprocess = ({ inputBuffer }) => {
    const loud = inputBuffer.getChannelData(0).some((sample) => Math.abs(sample) > 0.02);
    if (loud && context.currentTime - quietSince > 1) note("sound");
    if (loud) quietSince = context.currentTime;
  };
  context.createMediaStreamSource(stream).connect(meter).connect(context.destination);
  return stream;
};

const shown = {};
function look() {
  const said = (part) => [...view.querySelectorAll(part)].map((it) => it.textContent);
  const now = {
    level: said(".meter .said").some((text) => text !== "silence"),
    answer: said(".now .said").some((text) => text !== "–"),
  };
  for (const what in now) {
    if (now[what] && !shown[what]) requestAnimationFrame(() => note(what));
    shown[what] = now[what];
  }
}
let view;
setInterval(() => {
  if (view?.isConnected) return;
  const roots = [...document.querySelectorAll("*")].map((it) => it.shadowRoot);
  view = roots.map((root) => root?.querySelector(".view")).find(Boolean);
  const all = { subtree: true, childList: true, characterData: true };
  if (view) new MutationObserver(look).observe(view, all);
}, 200);
"""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20, help="how often speech begins")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "turns.wav"
        soundfile.write(file, turns(), audio.SAMPLE_RATE)
        found = {model: measure(model, file, options.turns) for model in MODELS}
    result = {
        "what": "speech begins at Chromium's fake microphone; seconds until the page has painted "
        "its level, and the first answer, which needs half a second of speech",
        **found,
        "machine": machine(),
    }
    keep("live", result)
    print(json.dumps(result, indent=2))


def measure(model: str, file: Path, count: int) -> dict:
    """Return the delays, and what a listener costs, where a model hears live speech."""
    with (
        serving.server(UNDERTONE_LIVE_MODEL=model) as url,
        sync_playwright() as playwright,
    ):
        browser = serving.launch(playwright, microphone=file)
        page = browser.new_page()
        page.set_default_timeout(serving.PATIENCE)
        page.add_init_script(OBSERVER)
        page.goto(url)
        serving.settle(page)
        server = process_at(url)
        idle = costs(server, 10)
        serving.go_live(page, url)
        expect(page.get_by_role("meter")).to_be_visible()
        page.wait_for_timeout(5_000)
        busy = costs(server, count * (SPEECH + SILENCE))
        noted = page.evaluate("noted")
        browser.close()
    return {
        "level_s": distribution(delays(noted, "level")),
        "answer_s": distribution(delays(noted, "answer")),
        "server_cpu_per_cent": {"nobody": idle, "one listener": busy},
    }


def turns() -> np.ndarray:
    """Return a stretch of speech and one of near silence."""
    samples = audio.read(serving.SAMPLES / "low-and-slow.flac").samples
    voice = np.resize(audio.trim(audio.Clip(samples, audio.SAMPLE_RATE, "")).samples, 48_000)
    rest = 1e-4 * np.random.default_rng(0).standard_normal(int(SILENCE * audio.SAMPLE_RATE))
    return np.concatenate([voice, rest]).astype(np.float32)


def delays(noted: list[tuple[str, float]], what: str) -> list[float]:
    """Return the seconds from each beginning of sound to the next time that `what` appears."""
    begun, found = None, []
    for name, when in sorted(noted, key=lambda item: item[1]):
        if name == "sound":
            begun = when
        elif name == what and begun is not None:
            found.append((when - begun) / 1000)
            begun = None
    return found


def distribution(values: list[float]) -> dict[str, float]:
    """Return number, least, median, 95th percentile and most."""
    return {
        "n": len(values),
        "min": round(min(values), 2),
        "median": round(statistics.median(values), 2),
        "p95": round(float(np.percentile(values, 95)), 2),
        "max": round(max(values), 2),
    }


def process_at(url: str) -> int:
    """Return the process that serves an address."""
    port = url.rsplit(":", 1)[1]
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    line = next(line for line in listed.stdout.splitlines() if f"--server.port={port}" in line)
    return int(re.match(r"\s*(\d+)", line)[1])


def costs(pid: int, seconds: float) -> dict[str, float]:
    """Return the processor time that a process takes, in per cent of one core's.

    Streamlit runs a script in a thread of its own, which is gone afterwards: what no lasting thread
    has taken is the work of page and model.
    """
    begun, total = by_thread(pid), processor_seconds(Path(f"/proc/{pid}"))
    time.sleep(seconds)
    ended, total = by_thread(pid), processor_seconds(Path(f"/proc/{pid}")) - total
    lasting = sum(ended[thread] - begun[thread] for thread in begun.keys() & ended.keys())
    return {
        "model and page": round(100 * (total - lasting) / seconds, 1),
        "receiving sound, serving": round(100 * lasting / seconds, 1),
    }


def by_thread(pid: int) -> dict[str, float]:
    """Return the processor time that each thread has taken so far."""
    found = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has just ended
            found[folder.name] = processor_seconds(folder)
    return found


def processor_seconds(folder: Path) -> float:
    """Return the processor time that a process or thread has taken so far."""
    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
