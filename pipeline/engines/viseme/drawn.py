"""How far a lent mouth is drawn open, so that it is seen as far open as is asked.

A mouth that is warped to another opening keeps much of the look that it had, and the tracker reads
it as changed by less: openings by about three quarters of what was drawn, closings by four fifths.
So more is drawn than is asked, and the steps between lenders that were open otherwise become less.
"""

from __future__ import annotations

from torch import Tensor

OPENED, CLOSED = 0.29, 0.20
"""What is drawn beyond what is asked, for each io by which a lender is opened and closed. Fitted to
22 outputs of twenty people; fitted to the others' alone it makes sixteen of them better."""
LEAST_CLOSED = 0.005
"""The first of a closing needs nothing, io."""
MOST_OPENED, MOST_CLOSED = 0.06, 0.08
"""What is beyond these counts no more, io."""
SLIT = 0.012
"""Below this opening little is added, and to none nothing: closed lips stay closed, io."""
NARROW = 0.03
"""Up to this opening closings are drawn as asked: slits are read as too narrow anyway, io. From
twice of it on they count whole."""
WIDE, WIDEST = 0.10, 0.20
"""From the first on less is added, from the second on nothing, io: lips are not stretched beyond
speech."""


def drawn(asked: Tensor, lent: Tensor) -> Tensor:
    """Openings to draw, (F,) io, by those that are asked for and those of the mouths that lend."""
    change = asked - lent
    opened = OPENED * change.clamp(0, MOST_OPENED) * (asked / SLIT).clamp(0, 1)
    closed = (-change - LEAST_CLOSED).clamp(0, MOST_CLOSED)
    closed = CLOSED * closed * ((asked - NARROW) / NARROW).clamp(0, 1)
    return asked + (opened - closed) * ((WIDEST - asked) / (WIDEST - WIDE)).clamp(0, 1)
