"""The fit of the small network that reads closed lips."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.speech.lip_probe import LipReading, smooth

_WIDTH, _AROUND, _KINDS = 64, 5, 3
_PIECE = 200
"""Frames that are taught at once."""
_BATCH, _EPOCHS, _RATE, _DECAY = 16, 8, 3e-3, 1e-2
_LEAST_SPREAD = 0.05
_INPUT_DROP, _DROP = 0.1, 0.2
_TINT, _NOISE = 0.3, 0.15
"""Noise on the standardised inputs that is the same in a whole piece, as a voice is, and that is
not: without it the network learns the voices that teach."""


def fit(lessons: Iterable[tuple[Tensor, Tensor]]) -> LipReading:
    """Softmax regression by a small network, on inputs that are standardised.

    Args:
        lessons: inner outputs (S, 576) and kinds (S,) of each.
    """
    torch.manual_seed(0)
    cut = [(x[: len(y) // _PIECE * _PIECE].reshape(-1, _PIECE, x.shape[1]), y) for x, y in lessons]
    x = torch.cat([part for part, _ in cut]).float()
    y = torch.cat([kinds[: part.shape[0] * _PIECE].reshape(-1, _PIECE) for part, kinds in cut])
    flat = x.reshape(-1, x.shape[2])
    mean, spread = flat.mean(0), flat.std(0).clamp(min=_LEAST_SPREAD)
    net = _Net(x.shape[2])
    _teach(net, (x - mean) / spread, y)
    inner = net.inner.weight.detach() / spread
    return LipReading(
        inner=inner,
        inner_bias=net.inner.bias.detach() - inner @ mean,
        around=net.around.weight.detach(),
        around_bias=_there(net.around.bias),
        kinds=net.kinds.weight.detach(),
        kinds_bias=net.kinds.bias.detach(),
    )


def _there(bias: Tensor | None) -> Tensor:
    """The bias of a convolution, which torch types as optional."""
    assert bias is not None
    return bias.detach()


class _Net(torch.nn.Module):
    """`LipReading` while it learns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(width, _WIDTH)
        self.around = torch.nn.Conv1d(_WIDTH, _WIDTH, _AROUND, padding=_AROUND // 2)
        self.kinds = torch.nn.Linear(_WIDTH, _KINDS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) to (B, S, 3)."""
        y = F.dropout(F.gelu(self.inner(F.dropout(x, _INPUT_DROP))), _DROP)
        y = y + F.gelu(self.around(y.transpose(1, 2))).transpose(1, 2)
        found: Tensor = smooth(self.kinds(F.dropout(y, _DROP)))
        return found


def _teach(net: _Net, x: Tensor, y: Tensor) -> None:
    search = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    steps = _EPOCHS * -(-len(x) // _BATCH)
    slower = torch.optim.lr_scheduler.OneCycleLR(search, _RATE, total_steps=steps)
    for _ in range(_EPOCHS):
        for rows in torch.split(torch.randperm(len(x)), _BATCH):
            tint = _TINT * torch.randn(len(rows), 1, x.shape[2])
            noisy = x[rows] + tint + _NOISE * torch.randn(len(rows), _PIECE, x.shape[2])
            loss = F.cross_entropy(net(noisy).flatten(0, 1), y[rows].flatten())
            search.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            search.step()
            slower.step()
