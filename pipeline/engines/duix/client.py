"""Submit, wait, fetch: one task of the container from its beginning to one certain end.

Other clients poll for ever when a task is lost ("stuck at 20 %"). Here every wait has an end: the
job's own (`on_tick` raises), silence of the service, a task that is gone without a file, or one
that stands still.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from pipeline.engines.duix import contract
from pipeline.engines.duix.contract import Answer, Task, Unintelligible
from pipeline.errors import EngineFailed, EngineUnavailable, PipelineError
from pipeline.types import OnTick, Tick
from schemas.codes import Stage
from schemas.request import RenderOptions

MAX_ANSWER = 1024 * 1024
STAGE = "generate"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what, seconds."""

    poll: float = 2.0
    call: float = 30.0
    """One HTTP call; the service answers between two pieces of work."""
    silent: float = 60.0
    """Without a usable answer."""
    locked: float = 30.0
    """Of refusals by its lock."""
    gone: float = 10.0
    """Of answers that there is no such task, while no file appears either."""
    still: float = 600.0
    """Without a change of progress, and besides `still_per_second` for each second of speech."""
    still_per_second: float = 60.0


class DuixClient:
    """Speaks to one container.

    Args:
        url: of the service, `http://host:port`.
        temp: its folder of files, as seen here.
    """

    def __init__(self, url: str, temp: Path, patience: Patience | None = None) -> None:
        self._url = url.rstrip("/")
        self._temp = temp
        self._patience = patience or Patience()
        # No proxy of the environment stands between us and a container beside us.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def run(
        self,
        code: str,
        files: tuple[str, str],
        options: RenderOptions,
        speech_s: float,
        on_tick: OnTick,
    ) -> Path:
        """Have one task rendered; the result's path.

        Args:
            code: our id of the task, safe as a file name.
            files: names of speech and reference in `temp`.
            options: mapped by `contract.submission`.
            on_tick: called at every poll.

        Raises:
            EngineUnavailable: no usable answer for too long.
            EngineFailed: the service refused, failed or lost the task, or it stands still.
        """
        self._submit(code, contract.submission(code, *files, options), on_tick)
        still = self._patience.still + self._patience.still_per_second * speech_s
        return self._follow(code, still, on_tick)

    def _submit(self, code: str, body: bytes, on_tick: OnTick) -> None:
        """Hand the task in; a busy service is waited for as long as the job may take."""
        silence = _Clock(self._patience.silent)
        lock = _Clock(self._patience.locked)
        while True:
            on_tick(Tick(STAGE, 0, 100))
            try:
                answer = self._call("/easy/submit", body)
            except (OSError, http.client.HTTPException, Unintelligible) as error:
                if silence.over():
                    raise self._unavailable(error) from error
                # The answer may be lost and the task taken: a second one would only be busy.
                if self._known(code):
                    return
            else:
                silence.reset()
                if answer.code == contract.ACCEPTED:
                    return
                self._check_refusal(answer, lock)
            self._pause()

    def _check_refusal(self, answer: Answer, lock: _Clock) -> None:
        """Return where another try makes sense."""
        if answer.code == contract.BUSY:
            lock.reset()
            return
        if answer.code == contract.LOCKED and not lock.over():
            return
        raise self._failed(f"the Duix service refused the task: {answer.code} {answer.msg}")

    def _known(self, code: str) -> bool:
        try:
            return self._query(code) is not None
        except (OSError, http.client.HTTPException, Unintelligible):
            return False

    def check(self) -> None:
        """Ask for a task that nobody has; changes nothing.

        Raises:
            EngineUnavailable: no service answers there as this one would.
        """
        try:
            self._query("none")
        except (OSError, http.client.HTTPException, Unintelligible) as error:
            raise self._unavailable(error) from error

    def _follow(self, code: str, still_s: float, on_tick: OnTick) -> Path:
        silence, gone = _Clock(self._patience.silent), _Clock(self._patience.gone)
        still = _Clock(still_s)
        seen = (0, "")
        while True:
            on_tick(Tick(STAGE, min(99, seen[0]), 100))
            try:
                task = self._query(code)
            except (OSError, http.client.HTTPException, Unintelligible) as error:
                if silence.over():
                    raise self._unavailable(error) from error
            else:
                silence.reset()
                if task is None:
                    found = self._file(code, "")
                    if found is not None:
                        return found
                    if gone.over():
                        raise self._failed(
                            "the Duix service lost the task, probably by a restart, and left no "
                            "result"
                        )
                else:
                    gone.reset()
                    if task.status in (contract.DONE, contract.FAILED):
                        return self._end(code, task)
                    if (task.progress, task.msg) != seen:
                        seen = (task.progress, task.msg)
                        still.reset()
            if still.over():
                raise self._failed(
                    f"the task stands still at {seen[0]} % ({seen[1]}) for {still_s:.0f} s"
                )
            self._pause()

    def _end(self, code: str, task: Task) -> Path:
        """The task was told to be over, which is told only once."""
        if task.status == contract.FAILED:
            raise self._failed(f"the Duix service failed: {task.msg or 'it gives no reason'}")
        wait = _Clock(self._patience.gone)
        while True:
            found = self._file(code, task.result)
            if found is not None:
                return found
            if wait.over():
                raise self._failed(
                    f"the Duix service names result {task.result!r}, which is not in "
                    f"{str(self._temp)!r}; is DUIX_DATA_DIR the folder that it shares?"
                )
            self._pause()

    def _file(self, code: str, named: str) -> Path | None:
        """The result, once it does not grow any more."""
        path = self._temp / f"{code}-r.mp4"
        if not path.is_file() and named:
            path = self._temp / Path(named).name  # never outside the folder
        if not path.is_file() or path.is_symlink():
            return None
        size = path.stat().st_size
        self._pause()
        return path if size and path.stat().st_size == size else None

    def _query(self, code: str) -> Task | None:
        """The task; None when the service knows none (10004), whatever the reason."""
        answer = self._call(f"/easy/query?{urllib.parse.urlencode({'code': code})}")
        if answer.code == contract.NO_TASK:
            return None
        if answer.code != contract.ACCEPTED:
            raise Unintelligible(f"a query was answered by {answer.code} {answer.msg}")
        return contract.read_task(answer)

    def _call(self, path: str, body: bytes | None = None) -> Answer:
        request = urllib.request.Request(
            self._url + path, data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with self._opener.open(request, timeout=self._patience.call) as answer:
                return contract.read_answer(answer.read(MAX_ANSWER))
        except urllib.error.HTTPError as error:
            raise Unintelligible(f"the service answers HTTP {error.code}") from error

    def _pause(self) -> None:
        time.sleep(self._patience.poll)

    def _unavailable(self, error: Exception) -> PipelineError:
        reason = getattr(error, "reason", None) or error
        return EngineUnavailable(
            f"the Duix service at {self._url} gives no usable answer ({reason}); "
            "check DUIX_INTERNAL_URL and its container",
            stage=Stage.GENERATE,
            url=self._url,
        )

    def _failed(self, text: str) -> PipelineError:
        return EngineFailed(text, stage=Stage.GENERATE, url=self._url)


class _Clock:
    """Over when it was not reset for so long."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: float | None = None

    def over(self) -> bool:
        """Start with the first question; true when the limit has passed since."""
        if self._since is None:
            self._since = time.monotonic()
        return time.monotonic() - self._since > self._limit_s

    def reset(self) -> None:
        """Begin anew."""
        self._since = None
