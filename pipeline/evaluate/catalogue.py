"""What is measured: the name, unit, direction, bar and source of every figure.

io is the distance of the outer eye corners; aperture is the mean of five gaps between the inner
lips, in io. "out / reference" is the output's figure over the reference's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "near 0", "neither"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of figure."""

    name: str
    unit: str
    better: Better
    what: str
    """One sentence for people."""
    source: str
    """Where the definition comes from, and what it is computed of."""
    bar: float | None = None
    """What a good output reaches: at least it, at most it, or at most it away from 0."""
    digits: int = 3

    def met(self, value: float) -> bool | None:
        """Whether a value reaches the bar; None without a bar."""
        if self.bar is None or self.better == "neither":
            return None
        if self.better == "higher":
            return value >= self.bar
        return (abs(value) if self.better == "near 0" else value) <= self.bar


_ASKED = "aperture planned from the speech (pipeline.speech) against the mesh of the output"
_PHONES = "phones as the engine hears them (pipeline.speech) against the mesh of the output"
_SPHINX = "phones by pocketsphinx, English, which the engine does not use; mesh of the output"
_MESH = "mesh of 478 points, MediaPipe's face landmarks with attention"
_PIXELS = "luma of output and reference, frame by frame of the timeline"
_CHUNG = "Chung and Zisserman 2016, Prajwal et al. 2020; SyncNet v2 of the given checkpoint"
_OWN = "mesh of the output against the mesh of the person really saying it"
_CONTAINER = "decoded time stamps of both streams"

KINDS = (
    Kind("aperture_r", "1", "higher", "The mouth opens as the speech asks, without a lag.",
         f"Pearson's r; {_ASKED}"),
    Kind("aperture_best_r", "1", "higher", "The same at the best lag within 300 ms.",
         f"Pearson's r; {_ASKED}", 0.95),
    Kind("aperture_lag_ms", "ms", "near 0", "That lag; positive when the picture is late.",
         _ASKED, None, 0),
    Kind("aperture_lag_frames", "frames", "near 0", "That lag in frames of the output.",
         _ASKED, 1.0, 2),
    Kind("energy_r", "1", "higher",
         "The mouth opens when the sound is loud: a signal that knows nothing of our phones.",
         "Pearson's r of sound level, smoothed over 45 ms, and the mesh of the output, best lag"),
    Kind("energy_lag_ms", "ms", "neither", "The lag of that.",
         "as energy_r", None, 0),
    Kind("independent_r", "1", "higher",
         "The mouth opens as another recogniser's phones would have it; English only.",
         f"Pearson's r at the best lag; {_SPHINX}"),
    Kind("independent_lag_ms", "ms", "neither", "The lag of that.", _SPHINX, None, 0),
    Kind("independent_closures", "spans", "neither",
         "How many p, b and m another recogniser hears; English only.", _SPHINX, None, 0),
    Kind("independent_closure_rate", "share", "higher",
         "Those of them in which the opening falls under 15 % of the speaker's range.", _SPHINX),
    Kind("closures", "spans", "neither", "How many p, b and m were seen.", _PHONES, None, 0),
    Kind("closure_rate", "share", "higher",
         "p, b and m in which the opening falls under 15 % of the speaker's range.",
         _PHONES, 0.95),
    Kind("closure_rate_tight", "share", "higher",
         "p, b and m in which the opening falls under .02 io.", _PHONES, 0.95),
    Kind("open_vowels_io", "io", "neither", "Median opening at the widest frame of open vowels.",
         _PHONES, None, 4),
    Kind("silences", "spans", "neither", "Pauses of more than 200 ms.",
         "sound level alone", None, 0),
    Kind("silence_rest_rate", "share", "higher",
         "Pauses in which the mouth is closed or as at rest in the reference.",
         "median opening of the middle third of the pause; mesh of the output", 1.0),
    Kind("silence_worst_io", "io", "lower", "How far the worst of them is above that.",
         "as silence_rest_rate", None, 4),
    Kind("own_r", "1", "higher",
         "Self re-enactment: the mouth opens as the person's own did at the same words.",
         f"Pearson's r of aperture; {_OWN}", 0.50),
    Kind("own_best_r", "1", "higher", "The same at the best lag within 300 ms.",
         f"Pearson's r of aperture; {_OWN}"),
    Kind("own_lag_ms", "ms", "near 0", "That lag.", _OWN, None, 0),
    Kind("own_lip_distance_io", "io", "lower",
         "Mean distance of 40 lip points from the person's own, the heads aligned.",
         _OWN, 0.017, 4),
    Kind("own_energy_r", "1", "neither", "Baseline: r of a mouth that follows the loudness alone.",
         "sound level, smoothed over 45 ms, against the person's own mesh"),
    Kind("own_energy_lag_ms", "ms", "neither",
         "How late the person's own mouth is behind the loudness: sound off its picture shows.",
         "as own_energy_r", None, 0),
    Kind("own_still_distance_io", "io", "neither",
         "Baseline: lip distance of a mouth that keeps the person's mean shape as the head turns.",
         "the person's own mesh", None, 4),
    Kind("own_energy_distance_io", "io", "neither",
         "Baseline: of a mouth that follows the loudness alone, as well as in hindsight it can.",
         "the person's own mesh and the sound level", None, 4),
    Kind("lip_acceleration", "io/frame²", "neither", "How much the lips shake or snap.",
         f"mean second difference of 40 points, the head's motion removed; {_MESH}", None, 5),
    Kind("lip_acceleration_ratio", "out / reference", "lower",
         "The same against the reference speaking.", f"as lip_acceleration; {_MESH}", 1.1),
    Kind("lip_roughness_ratio", "out / reference", "lower",
         "Shaking for the amount of motion: also fair where the reference hardly talks.",
         f"mean second over mean first difference; {_MESH}", 1.1),
    Kind("chin_acceleration_ratio", "out / reference", "lower", "The chin likewise.",
         f"8 points; {_MESH}", 1.1),
    Kind("stable_acceleration_ratio", "out / reference", "lower",
         "Points that speech leaves alone: the mesh's own jitter.",
         f"20 points; {_MESH}"),
    Kind("flicker_mean", "grey levels", "neither", "Change of the lower face between frames.",
         "mean absolute difference of 96 x 96 luma, aligned by the skull", None, 2),
    Kind("flicker_ratio", "out / reference", "lower", "The same against the reference.",
         "as flicker_mean"),
    Kind("flicker_p95_ratio", "out / reference", "lower", "Its 95th percentile over frames.",
         "as flicker_mean"),
    Kind("sharpness", "grey levels", "neither", "Detail in the box around the mouth.",
         "mean |Laplacian| of luma", None, 2),
    Kind("sharpness_ratio", "out / reference", "higher", "The same against the reference.",
         f"mean |Laplacian|; {_PIXELS}", 0.95),
    Kind("outside_psnr_db", "dB", "higher", "The picture outside the lower face is untouched.",
         f"peak signal to noise, all frames pooled, lower face and .45 io left out; {_PIXELS}",
         45.0, 2),
    Kind("outside_worst_db", "dB", "higher", "The same of the worst frame.",
         "as outside_psnr_db", None, 2),
    Kind("start_difference_ms", "ms", "near 0", "Sound starts so much later than the picture.",
         _CONTAINER, 20.0, 1),
    Kind("end_difference_ms", "ms", "near 0", "Sound ends so much later than the picture.",
         _CONTAINER, 20.0, 1),
    Kind("speech_difference_ms", "ms", "near 0", "The picture is longer than the speech.",
         "decoded samples of the speech against frames", None, 1),
    Kind("lse_c", "1", "higher", "LSE-C: how sure SyncNet is of its best offset.", _CHUNG),
    Kind("lse_d", "1", "lower", "LSE-D: distance of mouth and sound there.", _CHUNG),
    Kind("lse_offset_frames", "frames of 25 a second", "near 0", "That offset.", _CHUNG, 1.0, 0),
    Kind("lse_c_reference", "1", "neither", "LSE-C of the reference with its own sound.", _CHUNG),
    Kind("lse_d_reference", "1", "neither", "LSE-D likewise.", _CHUNG),
)  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}

GROUPS: dict[str, tuple[str, ...]] = {
    "Sync, closures, rest": tuple(
        kind.name
        for kind in KINDS
        if kind.name.startswith(("aperture", "energy", "indep", "clos", "open", "silence"))
    ),
    "Against the person's own mouth": tuple(k.name for k in KINDS if k.name.startswith("own_")),
    "Motion": tuple(
        k.name for k in KINDS if k.name.startswith(("lip_", "chin_", "stable_", "flicker"))
    ),
    "Picture": tuple(k.name for k in KINDS if k.name.startswith(("sharpness", "outside"))),
    "Lengths": tuple(k.name for k in KINDS if k.name.endswith("difference_ms")),
    "SyncNet": tuple(k.name for k in KINDS if k.name.startswith("lse_")),
}
"""Kinds under the headings of a report."""
