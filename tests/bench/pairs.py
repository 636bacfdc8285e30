"""What `bench-quality` runs over: pairs of a clip and a speech, or of a clip and itself."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np

from pipeline.quality.watch import LIMITS
from pipeline.reading.audio import SPEECH_RATE, load_speech
from pipeline.reading.probe import probe_video
from schemas.request import RenderOptions
from tests.bench import clips

OWN = ("own>", "own<")
"""Self re-enactment on other frames: learn from the first half and lend its picture to the words of
the second, and the other way round."""
OVER = ("over>", "over<")
"""Self re-enactment over the very frames: the whole picture, with the sound of the half alone that
is learnt from, says all its words, and the other half is compared with what was really said."""
WAYS = (*OWN, *OVER)
TALKING = ("v07", "v08", "v09", "v10")
"""Clips of the media folder whose sound is the person's own speech."""
LANGUAGES = {"en": "a06_ls_demo3.wav", "zh": "a01_musetalk_yongen_zh_48k_st.wav"}
_NEARLY_LOSSLESS = {"crf": "10", "preset": "veryfast"}
_CLOCK = Fraction(1, 90_000)
_HAIR_S = 0.001


@dataclass(frozen=True, slots=True)
class Pair:
    """One row of the table."""

    clip: Path
    speech: Path | str
    """A file, or one of `WAYS`."""
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
    learnt_s: float = 0.0
    """Seconds of the speech that were learnt from."""


def listed(path: Path) -> list[Pair]:
    """Pairs of a text file: `CLIP SPEECH` a line, where SPEECH may be one of `WAYS`.

    Paths are relative to the file; `#` starts a remark.
    """
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2:
            clip, speech = path.parent / words[0], words[1]
            named = speech if speech in WAYS else path.parent / speech
            found.append(Pair(clip, named, speech if speech in WAYS else Path(speech).stem[:12]))
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
            pairs += [Pair(clip, way, way) for way in WAYS]
    return pairs


def prepare(pair: Pair, folder: Path, seconds: float) -> Job:
    """Make the files of a pair."""
    if isinstance(pair.speech, Path):
        audio = clips.cut_speech(pair.speech, folder / "speech.wav", seconds)
        return Job(pair.clip, audio, None)
    middle = float(probe_video(pair.clip, LIMITS, RenderOptions()).duration) / 2
    halves = [(0.0, middle), (middle, 2 * middle)]
    seen, said = halves if pair.speech.endswith(">") else halves[::-1]
    if pair.speech in OWN:
        video = joined(pair.clip, folder / "half.mov", [seen], [seen])
        return Job(video, sound(pair.clip, folder / "speech.wav", [said]), pair.clip)
    video = joined(pair.clip, folder / "whole.mov", [seen, said], [seen])
    truth = joined(pair.clip, folder / "truth.mov", [seen, said], [seen, said])
    speech = sound(pair.clip, folder / "speech.wav", [seen, said])
    return Job(video, speech, truth, middle)


Stretch = tuple[float, float]
"""Begin and end, seconds of a clip."""


def joined(
    source: Path, target: Path, pictures: Sequence[Stretch], heard: Sequence[Stretch]
) -> Path:
    """Stretches of a clip's pictures one after the other, and from the start some of its sound.

    They are encoded anew, with hardly any loss. Packets cannot be copied instead: a half would
    begin at its first keyframe, which may be its last picture.
    """
    samples = np.concatenate([_samples(source, stretch) for stretch in heard])
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        shown = inside.streams.video[0]
        stream = outside.add_stream("libx264", options=_NEARLY_LOSSLESS)
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = _CLOCK
        track = outside.add_stream("pcm_s16le", rate=SPEECH_RATE, layout="mono")
        for frame, at in _pictures(source, pictures):
            frame.pts, frame.time_base = round(at / _CLOCK), _CLOCK
            frame.pict_type = av.video.frame.PictureType.NONE
            outside.mux(stream.encode(frame))
        outside.mux(stream.encode(None))
        block = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        block.sample_rate, block.pts, block.time_base = SPEECH_RATE, 0, Fraction(1, SPEECH_RATE)
        outside.mux(track.encode(block))
        outside.mux(track.encode(None))
    return target


def _pictures(source: Path, stretches: Sequence[Stretch]) -> Iterator[tuple[av.VideoFrame, float]]:
    """Frames of stretches with their seconds in the new clip."""
    origin = 0.0
    for start, end in stretches:
        with av.open(str(source)) as inside:
            shown = [frame.time for frame in islice(inside.decode(video=0), 1)]
        first = shown[0] or 0.0
        with av.open(str(source)) as inside:
            for frame in inside.decode(video=0):
                at = (frame.time or 0.0) - first - start
                if -_HAIR_S <= at < end - start - _HAIR_S:
                    yield frame, origin + at
        origin += end - start


def _samples(source: Path, stretch: Stretch) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """(N,) samples of a stretch of a clip's own sound, counted from its first picture."""
    speech = load_speech(source, LIMITS, under_picture=True)
    samples = speech.samples[round(stretch[0] * speech.rate) : round(stretch[1] * speech.rate)]
    return (samples * 32767).round().short().numpy()


def sound(source: Path, target: Path, stretches: Sequence[Stretch]) -> Path:
    """Stretches of a clip's own sound, one after the other, as a WAV."""
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        for stretch in stretches:
            file.writeframes(_samples(source, stretch).tobytes())
    return target


def only(pairs: list[Pair], names: tuple[str, ...]) -> Iterator[Pair]:
    """Those whose clip is named; all without a name."""
    return (pair for pair in pairs if not names or pair.key[0] in names)
