"""Head pose and pose-free shape: a 3-D similarity fit of skull points to their clip mean.

Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE
PAMI 13(4), 1991. The mesh's depth is on the scale of its x, so that a weak perspective holds:
picture = scale · rotation · shape + origin, of which x and y are seen. Shapes are in io, with the
base of the nose at the same place in every frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.batch import Batch
from pipeline.engines.viseme.points import FACE, NOSE_BASE, STABLE, places
from pipeline.engines.viseme.under_lip import under_lip
from pipeline.faces.topology import EYE_CORNERS_OUTER

ROUNDS = 3
"""Passes of fitting all frames to the mean and taking the mean again."""
NOSE_SHARE = 0.5
"""How far the shape follows the base of the nose rather than the fit of the skull alone."""


@dataclass(frozen=True, slots=True)
class Heads(Batch):
    """A batch of heads."""

    scale: Tensor
    """(B,) pixels per io."""
    rotation: Tensor
    """(B, 3, 3)."""
    origin: Tensor
    """(B, 3) pixels."""
    shape: Tensor
    """(B, K, 3) io, in the order of `points.FACE`."""
    misfit: Tensor
    """(B,) io by which the skull's points miss the mean head: large where the mesh is wrong."""
    slip: Tensor
    """(B, 3) io by which origin and shape follow the base of the nose instead of the skull."""

    def angles(self) -> Tensor:
        """(B, 3) yaw, pitch and roll against the clip's mean head, degrees."""
        r = self.rotation
        yaw = torch.atan2(r[:, 0, 2], r[:, 2, 2])
        pitch = torch.asin((-r[:, 1, 2]).clamp(-1, 1))
        roll = torch.atan2(r[:, 1, 0], r[:, 1, 1])
        return torch.rad2deg(torch.stack([yaw, pitch, roll], dim=1))

    def project(self, shape: Tensor) -> Tensor:
        """Where a shape (B, K, 3) lies in these heads' pictures: (B, K, 2) pixels."""
        turned = shape @ self.rotation.transpose(1, 2)
        return (turned * self.scale[:, None, None] + self.origin[:, None])[..., :2]


@dataclass(frozen=True, slots=True)
class Skull(Batch):
    """The mean head of a clip, about the mean place of the base of its nose."""

    stable: Tensor
    """(len(STABLE), 3) io."""


def similarity(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The scale, rotation and shift that best bring `source` onto `target`.

    Args:
        source: (B, K, D).
        target: (B, K, D).

    Returns:
        (B,), (B, D, D), (B, D): target ≈ scale · rotation · source + shift.
    """
    middle_s, middle_t = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    s, t = source - middle_s, target - middle_t
    left, singular, right = torch.linalg.svd(t.transpose(1, 2) @ s)
    sign = torch.ones_like(singular)
    sign[:, -1] = torch.sign(torch.linalg.det(left @ right))
    rotation = (left * sign.unsqueeze(1)) @ right
    scale = (singular * sign).sum(1) / (s * s).sum((1, 2)).clamp_min(1e-12)
    moved = (middle_s @ rotation.transpose(1, 2))[:, 0] * scale.unsqueeze(1)
    return scale, rotation, middle_t[:, 0] - moved


def mean_skull(points: Tensor) -> Skull:
    """The mean head of some frames, by (B, 478, 3) pixels, B ≥ 1."""
    stable = points[:, list(STABLE)].double()
    mean = stable[len(stable) // 2]
    for _ in range(ROUNDS):
        scale, rotation, shift = similarity(stable, mean.expand_as(stable))
        mean = _moved(stable, scale, rotation, shift).mean(0)
    scale, rotation, shift = similarity(stable, mean.expand_as(stable))
    eyes = _moved(points[:, list(EYE_CORNERS_OUTER)].double(), scale, rotation, shift).mean(0)
    nose = _moved(points[:, list(NOSE_BASE)].double(), scale, rotation, shift).mean((0, 1))
    upright = _upright(eyes)
    io = (eyes[1] - eyes[0]).norm()
    return Skull(((mean - nose) @ upright.T / io).float())


def fit_heads(points: Tensor, skull: Skull) -> Heads:
    """Pose and shape of each frame, by (B, 478, 3) pixels."""
    stable = points[:, list(STABLE)].double()
    target = skull.stable.double().expand_as(stable)
    scale, rotation, origin = similarity(target, stable)
    face = points[:, list(FACE)].double()
    shape = (face - origin[:, None]) @ rotation / scale[:, None, None]
    skulls = (stable - origin[:, None]) @ rotation / scale[:, None, None]
    misfit = (skulls - target).square().sum(2).mean(1).sqrt()
    slip = shape[:, places(NOSE_BASE)].mean(1) * NOSE_SHARE
    turned = (rotation @ slip.unsqueeze(2))[..., 0] * scale.unsqueeze(1)
    return Heads(
        scale.float(),
        rotation.float(),
        (origin + turned).float(),
        under_lip((shape - slip[:, None]).float()),
        misfit.float(),
        slip.float(),
    )


def _moved(points: Tensor, scale: Tensor, rotation: Tensor, shift: Tensor) -> Tensor:
    return (points @ rotation.transpose(1, 2)) * scale[:, None, None] + shift[:, None]


def _upright(eyes: Tensor) -> Tensor:
    """(3, 3) rotation in the picture plane that lays the eye line level."""
    across = eyes[1] - eyes[0]
    angle = torch.atan2(across[1], across[0])
    c, s = torch.cos(angle), torch.sin(angle)
    turn = torch.eye(3, dtype=eyes.dtype, device=eyes.device)
    turn[0, 0], turn[0, 1], turn[1, 0], turn[1, 1] = c, s, -s, c
    return turn
