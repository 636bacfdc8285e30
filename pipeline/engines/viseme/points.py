"""Which points of the face mesh the engine reads, and their places in its short list.

Lips and eyes are those of `pipeline.faces.topology`. The other numbers, too, are MediaPipe's
canonical face model's (`canonical_face_model_uv_visualization.png`); lines run from the picture's
left to its right.
"""

from __future__ import annotations

from pipeline.faces.topology import (
    EYE_CORNERS_OUTER,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
    LIPS_SECOND_LOWER,
    LIPS_SECOND_UPPER,
    LIPS_THIRD_LOWER,
    LIPS_THIRD_UPPER,
)

STABLE = (
    *(10, 109, 338, 67, 297, 103, 332, 151, 108, 337, 9, 8, 168, 6, 197, 195),
    *(122, 351, 196, 419, 188, 412, 193, 417, 245, 465, 128, 357, 33, 133, 263, 362),
    *(130, 359, 243, 463, 127, 356, 162, 389, 234, 454, 116, 345, 117, 346, 118, 347),
    *(227, 447, 111, 340, 143, 372),
)
"""Skull points that speech leaves in place: forehead, nose bridge, eye corners, temples."""

UPPER_RINGS = (LIPS_OUTER_UPPER, LIPS_SECOND_UPPER, LIPS_THIRD_UPPER, LIPS_INNER_UPPER)
LOWER_RINGS = (LIPS_OUTER_LOWER, LIPS_SECOND_LOWER, LIPS_THIRD_LOWER, LIPS_INNER_LOWER)

NOSE_BASE = (2, 97, 326, 98, 327)
"""Below the nose; moves with the skull, not with the lips."""
PHILTRUM = (164, 167, 393, 165, 391)
CHEEKS = (203, 423, 205, 425, 206, 426, 216, 436, 207, 427, 187, 411, 147, 376, 50, 280, 36, 266)
BESIDE = (186, 410, 92, 322, 57, 287, 212, 432, 43, 273, 106, 335)
"""Skin around the corners of the mouth."""
BELOW = (18, 200, 199, 83, 313, 201, 421, 204, 424, 202, 422, 214, 434, 210, 430, 208, 428)
"""Skin between the lower lip and the chin."""
JAW = (58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288)
"""The face's outline from one angle of the jaw to the other."""
CHIN = 152

OUTLINE = (*(2, 326, 327, 423, 425, 411), *reversed(JAW[1:-1]), *(187, 205, 203, 98, 97))
"""Around the lower face, without the nose."""


def _unique(*groups: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(point for group in groups for point in group))


LIPS = _unique(*UPPER_RINGS, *LOWER_RINGS)
FACE = _unique(LIPS, NOSE_BASE, PHILTRUM, CHEEKS, BESIDE, BELOW, JAW, EYE_CORNERS_OUTER)
"""Points whose shape the engine edits: the short list."""
PLACE = {point: place for place, point in enumerate(FACE)}
"""From a mesh number to its place in `FACE`."""


def places(*groups: tuple[int, ...]) -> list[int]:
    """Places in `FACE` of some mesh points, without repeats."""
    return [PLACE[point] for point in _unique(*groups)]
