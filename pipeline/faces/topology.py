"""Which of the 478 points is what: the published topology of MediaPipe's face mesh.

"Left" and "right" are the picture's, not the person's. Rings run from the left corner to the right
corner; upper and lower rings share their corners.
"""

from __future__ import annotations

LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# Two more rings lie between the outer and the inner one, with the same numbering.
LIPS_SECOND_UPPER = (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306)
LIPS_SECOND_LOWER = (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306)
LIPS_THIRD_UPPER = (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292)
LIPS_THIRD_LOWER = (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292)
LIP_GAPS = tuple(zip(LIPS_INNER_UPPER[3:-3], LIPS_INNER_LOWER[3:-3], strict=True))
"""The five middle pairs of the inner ring, upper and lower: their mean distance is the aperture."""
LIP_CORNERS = (LIPS_OUTER_UPPER[0], LIPS_OUTER_UPPER[-1])

EYE_LEFT_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
EYE_LEFT_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
EYE_RIGHT_UPPER = (362, 398, 384, 385, 386, 387, 388, 466, 263)
EYE_RIGHT_LOWER = (362, 382, 381, 380, 374, 373, 390, 249, 263)
EYE_CORNERS_OUTER = (33, 263)
"""Their distance is `io`, the unit of length of a face."""

STABLE = (
    *(6, 168, 197, 195, 5, 8, 9, 122, 351, 193, 417, 245, 465, 188, 412, 174, 399, 196, 419),
    *(3, 248, 236, 456, 198, 420, 131, 360, 134, 363, 51, 281, 45, 275, 220, 440, 115, 344),
    *(33, 133, 362, 263, 130, 359, 226, 446, 143, 372, 35, 265, 127, 356, 234, 454),
)
"""Points that neither speech nor blinking moves, to align frames: nose, eye corners, temples."""
