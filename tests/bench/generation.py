"""Frames per second of MuseTalk's networks alone: the published loop beside ours, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from pipeline.batching.cuda import give_back_memory, is_cuda
from pipeline.batching.ways import ways
from pipeline.engines.musetalk.engine import tuned
from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.musetalk.painter import LATENT, Painter
from pipeline.engines.musetalk.windows import TOKENS
from tests.bench.networks import GFLOP, random_networks
from tests.bench.rows import NETWORK_STREAMS, TIMES_LOOP, Asked, reason, row, verdict

LOOP_BATCH = 8
"""Of the published inference loop."""


def wait(device: str) -> None:
    """Until the device has done all that was asked of it."""
    if is_cuda(device):
        torch.cuda.synchronize()


def peak_tflops(device: str, side: int, dtype: torch.dtype) -> float:
    """TFLOP/s of one large matrix product on random data."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = _seconds(lambda: a @ b, 10, device)
    return 2 * side**3 / seconds / 1e12


def straight_loop(networks: Networks, device: str, frames: int) -> float:
    """Frames/s of the published loop: batch 8, one launch at a time, pictures to the host.

    Per batch: positions are added, one UNet pass, decode, scale, clamp, copy to the host, and there
    float32, 255, round, 8 bits, RGB to BGR.
    """
    dtype = networks.unet.dtype
    latents = torch.randn(LOOP_BATCH, *LATENT, device=device).to(dtype)
    width = int(networks.unet.config.cross_attention_dim)
    tokens = torch.randn(LOOP_BATCH, TOKENS, width, device=device).to(dtype)
    step = torch.zeros((), dtype=torch.int64, device=device)

    @torch.no_grad()
    def batch() -> None:
        out = networks.unet(latents, step, encoder_hidden_states=tokens).sample
        picture = networks.decoder.decode(out / networks.decoder.config.scaling_factor).sample
        unit = (picture / 2 + 0.5).clamp(0, 1).detach().cpu().permute(0, 2, 3, 1).float().numpy()
        (unit * 255).round().astype("uint8")[..., ::-1]

    return LOOP_BATCH / _seconds(batch, max(1, frames // LOOP_BATCH), device)


def ours(painter: Painter, lanes: int, frames: int) -> float:
    """Frames/s of the shared painter, `frames` for each of `lanes` jobs, offered as jobs do."""
    width = int(painter.networks.unet.config.cross_attention_dim)
    latents = torch.randn(*LATENT).to(painter.dtype)
    tokens = torch.randn(TOKENS, width, device=painter.device)
    face = (latents, tokens)
    reach = 2 * painter.limit
    wait(painter.device)
    start = time.perf_counter()
    opened = [painter.paint() for _ in range(lanes)]
    offered = [0] * lanes
    for _ in range(0, frames, painter.limit):
        for n, lane in enumerate(opened):
            while offered[n] < frames and lane.outstanding < reach:
                lane.submit([face] * painter.limit)
                offered[n] += painter.limit
        for lane in opened:
            for _ in range(painter.limit):
                lane.take()
    wait(painter.device)
    seconds = time.perf_counter() - start
    for lane in opened:
        lane.close()
    return sum(offered) / seconds


def generation(device: str, shrunken: bool, frames: int, compiled: bool) -> Iterator[str]:
    """The table, line by line; a line that fails is said and the others follow."""
    dtype = torch.float16 if is_cuda(device) else torch.float32
    peaks: list[float] = []

    def peak() -> str:
        peaks.append(peak_tflops(device, 8192 if is_cuda(device) else 1024, torch.bfloat16))
        return f"{peaks[0]:.0f} TFLOP/s"

    yield row("bf16 matrix product", peak)
    for name in ("musetalk", "musetalk-fast"):
        try:
            networks = random_networks(name == "musetalk-fast", device, dtype, shrunken)
            loop = straight_loop(networks, device, frames // 4)
            yield f"  {name:<14} published loop, batch {LOOP_BATCH}        {loop:8.1f} frames/s"
            painter = Painter(
                tuned(networks, innermost=is_cuda(device)), device, compiled=compiled, name=name
            )
            start = time.perf_counter()
            painter.warm()
            took = time.perf_counter() - start
            yield f"  {name:<14} ready after {took:5.1f} s: {_ways(name)}"
        except Exception as error:  # noqa: BLE001 - the other networks may do better
            yield f"  {name:<14} networks failed: {reason(error)}"
            continue
        for lanes in (1, 8, 16):
            measure = partial(_shared, name, painter, lanes, frames, loop, peaks)
            yield row(f"{name:<14} {lanes:>2} jobs in shared batches", measure)
        del painter, networks
        give_back_memory()


def _shared(
    name: str, painter: Painter, lanes: int, frames: int, loop: float, peaks: list[float]
) -> str:
    ours(painter, lanes, 2 * painter.limit)
    rate = ours(painter, lanes, max(2 * painter.limit, frames // lanes))
    on_gpu = is_cuda(painter.device)
    line = (
        f"    {rate:8.1f} frames/s  {rate / loop:5.2f} x the loop  {rate / 25:5.1f} streams of 25"
    )
    if on_gpu and peaks:
        line += f"  {100 * rate * GFLOP[name] / 1e3 / peaks[0]:4.1f} % of the matrix peak"
    asked = [
        Asked(what, found, least[name])
        for what, found, least in (
            ("x the loop", rate / loop, TIMES_LOOP),
            ("streams", rate / 25, NETWORK_STREAMS),
        )
        if name in least
    ]
    return line + verdict(asked, on_gpu)


def _ways(name: str) -> str:
    """How the engine's networks go: a slower way is another figure."""
    of = [f"{network} {way}" for network, way in ways().items() if network.startswith(f"{name} ")]
    return ", ".join(of) or "as they are, on the processors"


def _seconds(run: Callable[[], object], times: int, device: str) -> float:
    for _ in range(2):
        run()
    wait(device)
    start = time.perf_counter()
    for _ in range(times):
        run()
    wait(device)
    return (time.perf_counter() - start) / times
