"""`python -m tests.support.servers [--if-possible] [--checkers]`: build or fetch the real servers.

With `--if-possible` nothing here fails the caller: a server that cannot be built is named with the
reason, and the tests fall back to the embedded one. `--checkers` builds the programs that check
deploy/ instead: promtool, helm, kubeconform and the schemas of Kubernetes and KEDA.
"""

from __future__ import annotations

import sys
import time

from tests.support.packages import ALL, CHECKERS, BuildFailed, ensure
from tests.support.resolve import docker_answers


def _say(text: str) -> None:
    sys.stderr.write(f"test servers: {text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Build all servers; exit code 1 when one is missing at the end and that was not allowed."""
    unknown = [a for a in arguments if a not in ("--if-possible", "--checkers")]
    if unknown:
        _say(f"unknown argument {unknown[0]!r}; there are --if-possible and --checkers")
        return 2
    if_possible, checkers = "--if-possible" in arguments, "--checkers" in arguments
    if if_possible and not checkers and docker_answers():
        _say("Docker answers; the tests use containers")
        return 0
    started = time.monotonic()
    failed = 0
    for package in CHECKERS if checkers else ALL:
        try:
            home = ensure(package, _say)
        except (BuildFailed, OSError) as error:
            failed += 1
            _say(f"{package.name} {package.version} is not available: {error}")
        else:
            _say(f"{package.name} {package.version} in {home}")
    took = time.monotonic() - started
    if took > 1:
        _say(f"took {took:.0f} s")
    if failed and if_possible:
        _say("tests that need what is missing skip with the reason, or fail by F2F_TEST_STRICT=1")
    return 1 if failed and not if_possible else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
