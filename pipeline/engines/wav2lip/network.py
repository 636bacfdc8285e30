"""The Wav2Lip generator for 96, 256 and 288 px, from one description of each.

Every convolution is followed by batch norm and ReLU; blocks of equal shape add their input before
the ReLU; the decoder sees the encoder's maps from the smallest to the largest beside its own.
Layer table of the 96 px network: Prajwal et al. 2020; of the 256 px one: LiveTalking's
wav2lip256 (Apache-2.0); of the 288 px one: primepake/wav2lip_288x288, `wav2lipv2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Down:
    """One encoder stage: a convolution, then blocks of equal shape."""

    channels: int
    blocks: int
    kernel: int = 3
    stride: int = 2
    padding: int = 1
    pointwise: bool = False
    """A 1 x 1 convolution follows instead of blocks."""


@dataclass(frozen=True, slots=True)
class Up:
    """One decoder stage: a transposed convolution, then blocks of equal shape."""

    channels: int
    blocks: int
    kernel: int = 3
    stride: int = 2
    padding: int = 1
    extra: int = 1
    """Output padding."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One published size of the network."""

    side: int
    """Side of the picture, px."""
    down: tuple[Down, ...]
    up: tuple[Up, ...]


def _last(kernel: int) -> Down:
    return Down(512, 0, kernel, stride=1, padding=0, pointwise=True)


_FIRST = Down(16, 0, kernel=7, stride=1, padding=3)
_BODY = (Down(64, 3), Down(128, 2), Down(256, 2), Down(512, 1))
_UP_BODY = (Up(384, 2), Up(256, 2), Up(128, 2), Up(64, 2))

VARIANTS: dict[int, Variant] = {
    96: Variant(
        96,
        (_FIRST, Down(32, 2), *_BODY, _last(3)),
        (Up(512, 1, 3, 1, 0, 0), Up(512, 2), *_UP_BODY),
    ),
    256: Variant(
        256,
        (_FIRST, Down(32, 2), *_BODY, Down(512, 1), _last(4)),
        (Up(512, 1, 4, 1, 0, 0), Up(512, 1), Up(512, 2), *_UP_BODY),
    ),
    288: Variant(
        288,
        (_FIRST, Down(32, 1, kernel=5, padding=2), Down(32, 2), *_BODY, _last(3), _last(3)),
        (
            Up(512, 1, 3, 1, 0, 0),
            Up(512, 2, extra=0),
            Up(512, 2, extra=0),
            *_UP_BODY,
            Up(64, 2),
        ),
    ),
}


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU; adds its input before the ReLU where it is residual."""

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int,
        stride: int | tuple[int, int] = 1,
        padding: int = 0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(cin, cout, kernel, stride, padding), nn.BatchNorm2d(cout)
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H', W')."""
        y: Tensor = self.conv_block(x)
        return torch.relu(y + x if self.residual else y)


class UpBlock(nn.Module):
    """Transposed convolution, batch norm, ReLU."""

    def __init__(self, cin: int, stage: Up) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ConvTranspose2d(
                cin, stage.channels, stage.kernel, stage.stride, stage.padding, stage.extra
            ),
            nn.BatchNorm2d(stage.channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H', W')."""
        return torch.relu(self.conv_block(x))


class Wav2Lip(nn.Module):
    """The generator; `width` is channels over the published ones, smaller ones serve tests."""

    def __init__(self, variant: Variant, width: float = 1.0) -> None:
        super().__init__()
        self.side = variant.side
        self.face_encoder_blocks = nn.ModuleList(_encoder(variant.down, width))
        self.audio_encoder = nn.Sequential(*_audio_encoder(width))
        self.face_decoder_blocks = nn.ModuleList(_decoder(variant, width))
        skip = _scaled(variant.down[0].channels, width)
        last = _scaled(variant.up[-1].channels, width) + skip
        hidden = _scaled(32, width)
        self.output_block = nn.Sequential(
            ConvBlock(last, hidden, 3, padding=1), nn.Conv2d(hidden, 3, 1), nn.Sigmoid()
        )

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Paint mouths.

        Args:
            mel: (B, 1, 80, 16).
            faces: (B, 6, side, side) 0 to 1, BGR: the face with a black lower half, the face.

        Returns:
            (B, 3, side, side) 0 to 1, BGR.
        """
        maps: list[Tensor] = []
        x = faces
        for block in self.face_encoder_blocks:
            x = block(x)
            maps.append(x)
        x = self.audio_encoder(mel)
        for block in self.face_decoder_blocks:
            x = torch.cat([block(x), maps.pop()], dim=1)
        out: Tensor = self.output_block(x)
        return out


def variant_of(names: Sequence[str], last_kernel: int) -> Variant | None:
    """The variant that a checkpoint belongs to.

    Args:
        last_kernel: kernel size of the first convolution of its last face encoder block.
    """
    blocks = {name.split(".")[1] for name in names if name.startswith("face_encoder_blocks.")}
    return {(7, 3): VARIANTS[96], (8, 4): VARIANTS[256], (9, 3): VARIANTS[288]}.get(
        (len(blocks), last_kernel)
    )


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _equal(channels: int, count: int) -> list[nn.Module]:
    return [ConvBlock(channels, channels, 3, padding=1, residual=True) for _ in range(count)]


def _encoder(stages: Sequence[Down], width: float) -> list[nn.Module]:
    cin, out = 6, list[nn.Module]()
    for stage in stages:
        cout = _scaled(stage.channels, width)
        block: list[nn.Module] = [ConvBlock(cin, cout, stage.kernel, stage.stride, stage.padding)]
        block += [ConvBlock(cout, cout, 1)] if stage.pointwise else _equal(cout, stage.blocks)
        out.append(nn.Sequential(*block))
        cin = cout
    return out


def _audio_encoder(width: float) -> list[nn.Module]:
    a, b, c, d, e = (_scaled(n, width) for n in (32, 64, 128, 256, 512))
    return [
        ConvBlock(1, a, 3, padding=1),
        *_equal(a, 2),
        ConvBlock(a, b, 3, (3, 1), 1),
        *_equal(b, 2),
        ConvBlock(b, c, 3, 3, 1),
        *_equal(c, 2),
        ConvBlock(c, d, 3, (3, 2), 1),
        *_equal(d, 1),
        ConvBlock(d, e, 3),
        ConvBlock(e, e, 1),
    ]


def _decoder(variant: Variant, width: float) -> list[nn.Module]:
    top = _scaled(512, width)
    out: list[nn.Module] = [nn.Sequential(ConvBlock(top, top, 1))]
    cin = top
    skips = [_scaled(stage.channels, width) for stage in reversed(variant.down)]
    for stage, skip in zip(variant.up, skips, strict=False):
        cout = _scaled(stage.channels, width)
        shrunk = Up(cout, stage.blocks, stage.kernel, stage.stride, stage.padding, stage.extra)
        out.append(nn.Sequential(UpBlock(cin + skip, shrunk), *_equal(cout, stage.blocks)))
        cin = cout
    return out
