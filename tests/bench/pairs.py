"""What `bench-quality` runs over: pairs of a clip and a speech, or of a clip and itself."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from pipeline.audio import load_speech
from pipeline.probe import probe_video
from pipeline.quality.watch import LIMITS
from schemas.request import RenderOptions
from tests.bench import clips

OWN = ("own>", "own<")
"""Self re-enactment: learn from the first half and say the second, and the other way round."""
TALKING = ("v07", "v08", "v09", "v10")
"""Clips of the media folder whose sound is the person's own speech."""
LANGUAGES = {"en": "a06_ls_demo3.wav", "zh": "a01_musetalk_yongen_zh_48k_st.wav"}
LONGEST_S = 10.0
"""Seconds of a half that are said."""
GAP_S = 0.2
"""Seconds between the halves: pictures are cut in the order of decoding, which is some ahead."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One row of the table."""

    clip: Path
    speech: Path | str
    """A file, or one of `OWN`."""
    name: str
    """Of the speech, in the table."""

    @property
    def key(self) -> tuple[str, str]:
        """How a row is found again."""
        return self.clip.stem.split("_")[0], self.name


@dataclass(frozen=True, slots=True)
class Job:
    """Files of one render and its evaluation."""

    video: Path
    audio: Path
    truth: Path | None


def listed(path: Path) -> list[Pair]:
    """Pairs of a text file: `CLIP SPEECH` a line, where SPEECH may be `own>` or `own<`.

    Paths are relative to the file; `#` starts a remark.
    """
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2:
            clip, speech = path.parent / words[0], words[1]
            named = speech if speech in OWN else path.parent / speech
            found.append(Pair(clip, named, speech if speech in OWN else Path(speech).stem[:12]))
    return found


def default(quick: bool) -> list[Pair]:
    """Pairs of the media folder; without one, the demo's own.

    Args:
        quick: one language for each clip, in turn, instead of all.
    """
    media = sorted(clips.MEDIA.glob("v*.mp4"))
    if not media:
        assets = clips.ASSETS
        return [Pair(assets / "reference.mp4", assets / "speech.flac", "demo")]
    languages = [(name, clips.MEDIA / file) for name, file in LANGUAGES.items()]
    pairs = []
    for n, clip in enumerate(media):
        chosen = [languages[n % len(languages)]] if quick else languages
        pairs += [Pair(clip, path, name) for name, path in chosen]
        if clip.stem.startswith(TALKING):
            pairs += [Pair(clip, way, way) for way in OWN]
    return pairs


def prepare(pair: Pair, folder: Path, seconds: float) -> Job:
    """Make the files of a pair."""
    if isinstance(pair.speech, Path):
        audio = clips.cut_speech(pair.speech, folder / "speech.wav", seconds)
        return Job(pair.clip, audio, None)
    middle = float(probe_video(pair.clip, LIMITS, RenderOptions()).duration) / 2
    seen, said = (0.0, middle), (middle + GAP_S, 2 * middle)
    if pair.speech == "own<":
        seen, said = (middle, 2 * middle), (0.0, middle - GAP_S)
    video = part(pair.clip, folder / "half.mp4", *seen)
    audio = sound(pair.clip, folder / "speech.wav", said[0], min(said[1], said[0] + LONGEST_S))
    return Job(video, audio, pair.clip)


def part(source: Path, target: Path, start: float, end: float) -> Path:
    """A stretch of a clip by copying packets, from the keyframe at or after its start."""
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        streams = [inside.streams.video[0], *inside.streams.audio[:1]]
        copies = {s.index: outside.add_stream_from_template(s) for s in streams}
        origin: float | None = 0.0 if start == 0 else None
        for packet in inside.demux(streams):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            at = float(packet.pts * packet.time_base)
            picture = packet.stream.type == "video"
            if origin is None and picture and packet.is_keyframe and at >= start:
                origin = at
            if origin is None or at < origin or float(packet.dts * packet.time_base) >= end:
                continue
            shift = round(origin / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = copies[packet.stream.index]
            outside.mux(packet)
    return target


def sound(source: Path, target: Path, start: float, end: float) -> Path:
    """A stretch of a clip's own sound as a WAV, counted from its first picture."""
    speech = load_speech(source, LIMITS, under_picture=True)
    samples = speech.samples[round(start * speech.rate) : round(end * speech.rate)]
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(speech.rate)
        file.writeframes((samples * 32767).round().short().numpy().tobytes())
    return target


def only(pairs: list[Pair], names: tuple[str, ...]) -> Iterator[Pair]:
    """Those whose clip is named; all without a name."""
    return (pair for pair in pairs if not names or pair.key[0] in names)
