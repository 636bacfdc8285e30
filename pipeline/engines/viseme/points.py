"""Which points of the 478-point face mesh the engine reads, and their places in its short list.

Numbers are those of MediaPipe's canonical face model (`canonical_face_model_uv_visualization.png`).
Contours run from the picture's left to its right; the subject's right corner of the mouth is 61.
"""

from __future__ import annotations

STABLE = (
    *(10, 109, 338, 67, 297, 103, 332, 151, 108, 337, 9, 8, 168, 6, 197, 195),
    *(122, 351, 196, 419, 188, 412, 193, 417, 245, 465, 128, 357, 33, 133, 263, 362),
    *(130, 359, 243, 463, 127, 356, 162, 389, 234, 454, 116, 345, 117, 346, 118, 347),
    *(227, 447, 111, 340, 143, 372),
)
"""Skull points that speech leaves in place: forehead, nose bridge, eye corners, temples."""

OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
MIDDLE_UPPER = (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306)
MIDDLE_LOWER = (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306)
NEXT_UPPER = (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292)
NEXT_LOWER = (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292)
INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
UPPER_RINGS = (OUTER_UPPER, MIDDLE_UPPER, NEXT_UPPER, INNER_UPPER)
LOWER_RINGS = (OUTER_LOWER, MIDDLE_LOWER, NEXT_LOWER, INNER_LOWER)
GAPS = ((81, 178), (82, 87), (13, 14), (312, 317), (311, 402))
"""Pairs of inner-lip points whose mean distance is the aperture."""

EYES = (33, 263)
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
FACE = _unique(LIPS, NOSE_BASE, PHILTRUM, CHEEKS, BESIDE, BELOW, JAW, EYES)
"""Points whose shape the engine edits: the short list."""
PLACE = {point: place for place, point in enumerate(FACE)}
"""From a mesh number to its place in `FACE`."""


def places(*groups: tuple[int, ...]) -> list[int]:
    """Places in `FACE` of some mesh points, without repeats."""
    return [PLACE[point] for point in _unique(*groups)]
