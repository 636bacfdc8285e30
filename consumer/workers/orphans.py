"""What ended children leave behind, where this process inherits it.

The first process of a container, which a replica is in Kubernetes, becomes the parent of every
orphan in it. Nobody else waits for those, so each stays in the table of processes until no more
fit. They are found by the process group of the child that left them: nothing else is waited for,
least of all a child that somebody here still waits for himself.
"""

from __future__ import annotations

import os


class Orphans:
    """Processes in the groups of children that have ended."""

    def __init__(self) -> None:
        self._groups: set[int] = set()

    def expect(self, group: int) -> None:
        """A process group's leader has ended and was waited for; others in it may end later."""
        self._groups.add(group)

    def reap(self) -> None:
        """Wait for those that have ended by now; never for one that has not."""
        for group in tuple(self._groups):
            try:
                while os.waitpid(-group, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:  # none, or none that is ours
                self._groups.discard(group)
