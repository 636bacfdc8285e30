"""The two networks of SyncNet v2; names of the tensors as in the published checkpoint."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

EMBEDDING = 1024


class SyncNet(nn.Module):
    """Embeds a fifth of a second of sound and of mouth in one space."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _audio_layers()
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = _lip_layers()

    def audio(self, mfcc: Tensor) -> Tensor:
        """Embed sound: (B, 1, 13, 20) float32 MFCC, 100 columns a second, to (B, 1024)."""
        return cast(Tensor, self.netfcaud(self.netcnnaud(mfcc).flatten(1)))

    def lip_features(self, lips: Tensor) -> Tensor:
        """(B, 512) of lips (B, 3, 5, 224, 224) float32 BGR, 0 to 255, 25 a second."""
        return cast(Tensor, self.netcnnlip(lips).flatten(1))

    def lip(self, lips: Tensor) -> Tensor:
        """Embed mouths, (B, 3, 5, 224, 224) as `lip_features`, to (B, 1024)."""
        return cast(Tensor, self.netfclip(self.lip_features(lips)))


def _audio_layers() -> nn.Sequential:
    return nn.Sequential(
        *_conv2d(1, 64, 3, padding=1),
        nn.MaxPool2d(1, 1),
        *_conv2d(64, 192, 3, padding=1),
        nn.MaxPool2d(3, (1, 2)),
        *_conv2d(192, 384, 3, padding=1),
        *_conv2d(384, 256, 3, padding=1),
        *_conv2d(256, 256, 3, padding=1),
        nn.MaxPool2d(3, 2),
        *_conv2d(256, 512, (5, 4), padding=0),
    )


def _lip_layers() -> nn.Sequential:
    pool = (1, 3, 3), (1, 2, 2)
    return nn.Sequential(
        *_conv3d(3, 96, (5, 7, 7), stride=(1, 2, 2), padding=(0, 0, 0)),
        nn.MaxPool3d(*pool),
        *_conv3d(96, 256, (1, 5, 5), stride=(1, 2, 2)),
        nn.MaxPool3d(*pool, (0, 1, 1)),
        *_conv3d(256, 256, (1, 3, 3)),
        *_conv3d(256, 256, (1, 3, 3)),
        *_conv3d(256, 256, (1, 3, 3)),
        nn.MaxPool3d(*pool),
        *_conv3d(256, 512, (1, 6, 6), padding=(0, 0, 0)),
    )


def _conv2d(cin: int, cout: int, kernel: int | tuple[int, int], padding: int) -> list[nn.Module]:
    return [nn.Conv2d(cin, cout, kernel, padding=padding), nn.BatchNorm2d(cout), nn.ReLU()]


def _conv3d(
    cin: int,
    cout: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int] = (1, 1, 1),
    padding: tuple[int, int, int] = (0, 1, 1),
) -> list[nn.Module]:
    conv = nn.Conv3d(cin, cout, kernel, stride, padding)
    return [conv, nn.BatchNorm3d(cout), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING)
    )


def as_lips(pictures: Tensor) -> Tensor:
    """(N - 4, 3, 5, 224, 224) uint8, a view, of (N ≥ 5, 3, 224, 224) uint8 BGR mouth crops."""
    return pictures.unfold(0, 5, 1).permute(0, 1, 4, 2, 3)


def load_syncnet(weights: dict[str, Tensor], device: str = "cpu") -> SyncNet:
    """SyncNet with its weights, all of them and no others.

    Raises:
        RuntimeError: a name is missing or unknown, or a shape differs; the message lists them.
    """
    with torch.device("meta"):
        network = SyncNet()
    network.load_state_dict(weights, strict=True, assign=True)
    return network.requires_grad_(False).float().eval().to(device)  # some are saved in halves
