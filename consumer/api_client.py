"""A client of the gateway for other services. Needs `schemas` and `httpx2`, nothing else of ours.

async with Face2Face("http://127.0.0.1:8385") as f2f:
    result = await f2f.generate(audio="speech.wav", video="face.mp4")
    await result.save("out.mp4")
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
from pydantic import ValidationError

from schemas.events import Completed, Failed, Progress
from schemas.http import JobView, Problem
from schemas.render import ErrorFacts

CONNECT_S = 10.0
ANSWER_S = 60.0
"""Longest silence of the gateway; its event stream sends a sign every few seconds."""
RECONNECTS = 10
"""Event streams in a row that may break off without a word."""
PAUSE_S = 1.0

Event = Progress | Completed | Failed
OnProgress = Callable[[Progress], None]


class Face2FaceError(Exception):
    """Base of what this client raises on purpose."""


class CallRefused(Face2FaceError):
    """The gateway did not accept a call; `problem` says why and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail} {problem.advice}".strip())
        self.problem = problem


class JobFailed(Face2FaceError):
    """The job ended without a video; `failed` is its event."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(f"{failed.error.code}: {failed.error.message}")
        self.failed = failed

    @property
    def error(self) -> ErrorFacts:
        """Code, stage, message, and whether the same request may work later."""
        return self.failed.error


class GatewayUnreachable(Face2FaceError):
    """No connection, or it broke off again and again."""


@dataclass(frozen=True, slots=True)
class Result:
    """A finished job."""

    completed: Completed
    client: Face2Face

    @property
    def job_id(self) -> str:
        """Its id."""
        return self.completed.job_id

    async def stream(self) -> AsyncIterator[bytes]:
        """The MP4's bytes, piece by piece, straight from the store."""
        async for piece in self.client.download(self.completed):
            yield piece

    async def save(self, path: str | Path) -> Path:
        """Write the MP4 to a file, which appears whole or not at all."""
        target = Path(path)
        half = target.with_name(f".{target.name}.part")
        try:
            with half.open("wb") as out:
                async for piece in self.stream():
                    await asyncio.to_thread(out.write, piece)
            half.replace(target)
        finally:
            half.unlink(missing_ok=True)
        return target

    async def read(self) -> bytes:
        """The whole MP4."""
        return b"".join([piece async for piece in self.stream()])


class Face2Face:
    """Speech and a reference video in, a lip-synced MP4 out.

    Args:
        url: of the gateway, http(s)://host:port.
        api_key: where the gateway asks for one.
    """

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx2.Timeout(ANSWER_S, connect=CONNECT_S)
        self._http = httpx2.AsyncClient(base_url=url, headers=headers, timeout=timeout)
        self._store = httpx2.AsyncClient(timeout=timeout)  # another host: the key is not for it

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._store.aclose()

    async def generate(
        self,
        audio: str | Path,
        video: str | Path,
        *,
        on_progress: OnProgress | None = None,
        **request: Any,
    ) -> Result:
        """Send a job and wait for its end. Being cancelled leaves the job running.

        Args:
            audio: speech: a file, or a location (s3://, https://).
            video: reference, likewise; both are files, or both are locations.
            on_progress: called with each sign of life.
            request: other fields of the request: job_id, engine, options, metadata, …

        Raises:
            CallRefused: the gateway did not accept it.
            JobFailed: it ended without a video.
            GatewayUnreachable: no connection.
        """
        job = await self.submit(audio, video, **request)
        async for event in self.events(job.job_id):
            if isinstance(event, Completed):
                return Result(event, self)
            if isinstance(event, Failed):
                raise JobFailed(event)
            if on_progress is not None:
                on_progress(event)
        raise GatewayUnreachable(f"no outcome of job {job.job_id!r} was heard")

    async def submit(self, audio: str | Path, video: str | Path, **request: Any) -> JobView:
        """Send a job; returns as soon as it is accepted.

        Raises:
            CallRefused: the gateway does not take it.
            ValueError: one input is a file and the other one a location.
        """
        given = {"audio": audio, "video": video}
        located = [isinstance(each, str) and "://" in each for each in given.values()]
        if all(located):
            body = {**request, "audio_url": str(audio), "video_url": str(video)}
            return await self._view("POST", "/v1/jobs", json=body)
        if any(located):
            raise ValueError("give two files or two locations")
        with ExitStack() as stack:
            files = {
                name: (Path(path).name, stack.enter_context(Path(path).open("rb")))
                for name, path in given.items()
            }
            data = {"request": json.dumps(request)} if request else None
            return await self._view("POST", "/v1/jobs", files=files, data=data)

    async def job(self, job_id: str) -> JobView:
        """What is known about a job now.

        Raises:
            CallRefused: the job is not known.
        """
        return await self._view("GET", f"/v1/jobs/{job_id}")

    async def cancel(self, job_id: str) -> JobView:
        """Ask the service to stop a job.

        Raises:
            CallRefused: the job is not known.
        """
        return await self._view("DELETE", f"/v1/jobs/{job_id}")

    async def events(self, job_id: str) -> AsyncIterator[Event]:
        """Everything about a job from now on, its outcome last; connects again when cut.

        Raises:
            CallRefused: the job is not known.
            GatewayUnreachable: the events broke off `RECONNECTS` times in a row without a word.
        """
        silent = 0
        while silent < RECONNECTS:
            silent += 1
            try:
                async for event in self._listen(job_id):
                    silent = 0
                    yield event
                    if not isinstance(event, Progress):
                        return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(PAUSE_S)
        raise GatewayUnreachable(f"the events of job {job_id!r} break off again and again")

    async def download(self, completed: Completed) -> AsyncIterator[bytes]:
        """The bytes of a result, from a URL that is made for this call.

        Raises:
            CallRefused: the job is not known any more.
            GatewayUnreachable: there is no URL for it, or the store does not serve it.
        """
        view = await self.job(completed.job_id)
        if view.completed is None or view.completed.download_url is None:
            raise GatewayUnreachable(f"job {completed.job_id!r} has no download URL")
        try:
            async with self._store.stream("GET", view.completed.download_url) as answer:
                if not answer.is_success:
                    raise GatewayUnreachable(f"the store answers {answer.status_code}")
                async for piece in answer.aiter_bytes():
                    yield piece
        except httpx2.TransportError as error:
            raise GatewayUnreachable(f"the download broke off: {type(error).__name__}") from error

    async def _listen(self, job_id: str) -> AsyncIterator[Event]:
        kinds: dict[str, type[Event]] = {
            "progress": Progress,
            "completed": Completed,
            "failed": Failed,
        }
        path = f"/v1/jobs/{job_id}/events"
        async with self._http.stream("GET", path) as answer:
            if not answer.is_success:
                await answer.aread()
                _check(answer)
            kind = ""
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind in kinds:
                    yield kinds[kind].model_validate_json(value)

    async def _view(self, method: str, path: str, **sent: Any) -> JobView:
        try:
            answer = await self._http.request(method, path, **sent)
        except httpx2.TransportError as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise GatewayUnreachable(f"no answer from {self._http.base_url}: {reason}") from error
        _check(answer)
        return JobView.model_validate_json(answer.content)


def _check(answer: httpx2.Response) -> None:
    if answer.is_success:
        return
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        problem = Problem(
            title=answer.reason_phrase,
            status=answer.status_code,
            code="HTTP",
            detail=f"{answer.url.path} answers {answer.status_code}",
            advice="Check that the URL is the gateway's.",
        )
    raise CallRefused(problem)
