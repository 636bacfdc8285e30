"""`python -m tests.bench [NAME …]`: benchmarks that print ratios measured in one run."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click


@click.group(invoke_without_command=True)
@click.pass_context
def bench(context: click.Context) -> None:
    """Without a name: speed, then memory."""
    if context.invoked_subcommand is None:
        context.invoke(speed)
        context.invoke(memory)


@bench.command()
@click.option("--seconds", default=15.0, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--engine", default="viseme", show_default=True)
@click.option("--lines", default=720, show_default=True)
def speed(seconds: float, threads: int, engine: str, lines: int) -> None:
    """Render beside plain decode + encode, 25 frames a second."""
    from tests.bench.speed import speed as run

    for line in run(seconds, threads, engine, lines):
        click.echo(line)


@bench.command()
@click.option("--sheet", type=click.Path(path_type=Path), default=None, help="JPEG to write")
def skins(sheet: Path | None) -> None:
    """The demo's portrait in other colours, with lipstick and with glasses."""
    from tests.bench.skins import skins as run

    for line in run(sheet):
        click.echo(line)


@bench.command()
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--engine", default="viseme", show_default=True)
def avatars(seconds: float, threads: int, engine: str) -> None:
    """A first and a second job on the same video, 720p25."""
    from tests.bench.avatars import avatars as run

    for line in run(seconds, threads, engine):
        click.echo(line)


@bench.command()
@click.option("--short", "short_s", default=10.0, show_default=True)
@click.option("--long", "long_s", default=600.0, show_default=True)
@click.option("--long-video", is_flag=True, help="the reference is as long as the speech")
@click.option("--lines", default=720, show_default=True)
@click.option("--talking", is_flag=True, help="the reference speaks, which keeps more of it")
def memory(short_s: float, long_s: float, long_video: bool, lines: int, talking: bool) -> None:
    """Peak memory of a long job over a short one."""
    from tests.bench.memory import memory as run

    for line in run(short_s, long_s, long_video, lines, talking):
        click.echo(line)


@bench.command()
@click.argument("clip", nargs=-1)
@click.option("--seconds", default=6.0, show_default=True, help="of each speech")
@click.option("--pairs", type=click.Path(path_type=Path), help="a list of `CLIP SPEECH` lines")
@click.option("--quick", is_flag=True, help="one language for each clip")
@click.option("--write", is_flag=True, help="put the table into BENCHMARKS.md")
def quality(
    clip: tuple[str, ...], seconds: float, pairs: Path | None, quick: bool, write: bool
) -> None:
    """Render pairs of a clip and a speech and evaluate the outputs from the files."""
    from tests.bench.quality import quality as run

    for line in run(seconds, clip, pairs, quick, write):
        click.echo(line)


@bench.command("lips")
@click.option("--write", is_flag=True, help="put the weights where they ship from")
@click.option("--folds", is_flag=True, help="compare thresholds on voices that are held out")
def lips_command(write: bool, folds: bool) -> None:
    """Teach the reading of closed lips by espeak-ng, and by festival and flite where they are."""
    from tests.bench.lips import lips as run

    for line in run(write, folds):
        click.echo(line)


@bench.command("labels")
@click.option("--files", default=50, show_default=True, help="of ours, and as many of others")
@click.option("--frames", default=60, show_default=True)
def labels_command(files: int, frames: int) -> None:
    """Look for labels in files of ours, half of them encoded anew, and in others' files."""
    from tests.bench.labels import labels as run

    for line in run(files, frames):
        click.echo(line)


@bench.command("label-cost")
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--threads", default=2, show_default=True)
def label_cost_command(seconds: float, threads: int) -> None:
    """Processor time of all labels beside the render they are in."""
    from tests.bench.label_cost import label_cost as run

    for line in run(seconds, threads):
        click.echo(line)


@bench.command()
@click.option("--jobs", default=200, show_default=True)
@click.option("--slots", default=4, show_default=True)
def overhead(jobs: int, slots: int) -> None:
    """Jobs/s of one replica with null renders beside the bare Kafka and S3 calls of a job."""
    from tests.bench.overhead import overhead as run

    for line in run(jobs, slots):
        click.echo(line)


@bench.command()
def plain() -> None:
    """How often plain FastStream starts jobs of seconds, on the broker of the tests."""
    from tests.bench.plain import plain as run

    for line in run():
        click.echo(line)


@bench.command()
def mapping() -> None:
    """Speech → mouth on unseen halves of talking clips, by what it is predicted from."""
    from tests.bench.mapping import mapping as run

    for line in run():
        click.echo(line)


@bench.command()
def closures() -> None:
    """p, b, m and pauses in 18 languages by espeak-ng, on good and bad recordings."""
    from tests.bench.closures import closures as run

    for line in run():
        click.echo(line)


@bench.command("noises")
@click.argument("speech", nargs=-1, type=click.Path(path_type=Path, exists=True))
def noises_command(speech: tuple[Path, ...]) -> None:
    """Plans of speech in made noises beside those of the clean speech."""
    from tests.bench.noises import noises as run

    for line in run(speech):
        click.echo(line)


@bench.command()
@click.option("--device", default=None, help="cpu, cuda, cuda:1, …; by default what is there")
@click.option("--seconds", type=float, default=None, help="of each render; 6 on a GPU, else 1")
@click.option("--frames", type=int, default=None, help="of each run of the networks; 1536, 64")
@click.option("--jobs", default="", help="renders at a time; 1,8,16 on a GPU, else 1,2")
@click.option("--processes", default="", help="that share it; 1,2,4 on a GPU, else 1,2")
@click.option("--engines", default="musetalk,musetalk-fast,wav2lip,viseme", show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, show_default=True)
@click.option("--budget", "budget_s", default=450.0, show_default=True, help="seconds for all")
@click.option("--write", type=click.Path(path_type=Path), help="a file that gets each line, too")
def gpu(
    device: str | None,
    seconds: float | None,
    frames: int | None,
    jobs: str,
    processes: str,
    engines: str,
    compiled: bool,
    budget_s: float,
    write: Path | None,
) -> None:
    """Whole renders in many processes, and networks alone; shrunken ones where there is no GPU."""
    from tests.bench.gpu import gpu as run
    from tests.bench.rows import also_into

    lines = run(
        device,
        seconds,
        frames,
        _counts(jobs),
        _counts(processes),
        tuple(engines.split(",")),
        compiled,
        budget_s,
    )
    for line in also_into(write, lines):
        click.echo(line)


@bench.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--frames", default=64, show_default=True, help="of each run")
@click.option("--compile/--no-compile", "compiled", default=True, show_default=True)
def networks(device: str, frames: int, compiled: bool) -> None:
    """MuseTalk's networks alone beside the published loop; a part of `gpu`."""
    from tests.bench.generation import generation

    for line in generation(device, not device.startswith("cuda"), frames, compiled):
        click.echo(line)


@bench.command("machinery")
@click.option("--seconds", default=4.0, show_default=True, help="of each render")
@click.option("--jobs", default="1,8,16", show_default=True, help="at a time")
@click.option("--engine", type=click.Choice(["musetalk", "wav2lip"]), default="musetalk")
@click.option("--lines", default=720, show_default=True, help="of the picture")
@click.option("--rounds", default=3, show_default=True, help="of which the least disturbed counts")
def machinery_command(seconds: float, jobs: str, engine: str, lines: int, rounds: int) -> None:
    """Whole renders with stand-ins for networks: what the host carries, and why."""
    from tests.bench.machinery import machinery as run

    for line in run(seconds, _counts(jobs) or (1,), engine, lines, rounds):
        click.echo(line)


@bench.command("scheduling")
@click.option("--seconds", default=6.0, show_default=True, help="of each render")
@click.option("--jobs", default="1,8,16", show_default=True, help="at a time")
@click.option("--lines", default=180, show_default=True, help="of the picture")
@click.option("--slower", default=4.0, show_default=True, help="times than on a GPU")
@click.option("--new", is_flag=True, help="references that no job has seen")
def scheduling_command(seconds: float, jobs: str, lines: int, slower: float, new: bool) -> None:
    """Whole renders beside a device of known speed: whether it is ever left without work."""
    from tests.bench.scheduling import scheduling as run

    for line in run(seconds, _counts(jobs) or (1,), lines, slower, new=new):
        click.echo(line)


def _counts(text: str) -> tuple[int, ...] | None:
    return tuple(int(count) for count in text.split(",")) if text else None


if __name__ == "__main__":
    bench()
