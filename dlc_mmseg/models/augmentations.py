"""Augmentation on batches of the training step: ClassMix, strong colour augmentation and masking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import kornia
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from dlc_mmseg.functional.class_mix import class_mix_mask, mix
from dlc_mmseg.functional.masking import block_mask


class MixedBatch(NamedTuple):
    """A batch of which some pixels come from the source domain.

    Attributes:
        images: Shape (B, C, H, W).
        labels: Shape (B, H, W): source labels where pasted, pseudo-labels elsewhere.
        weight: Shape (B, H, W): 1 where pasted, the pseudo-labels' weight elsewhere.
        pasted: Shape (B, H, W), bool: True where the pixel comes from the source.
    """

    images: Tensor
    labels: Tensor
    weight: Tensor
    pasted: Tensor


@MODELS.register_module()
class ClassMix(nn.Module):
    """Pastes half of the classes of each source image on a target image (ClassMix in DACS).

    Source: Tranheden et al., DACS: Domain Adaptation via Cross-domain Mixed Sampling, WACV 2021.

    Args:
        loss_weight: Weight of the loss on mixed images.
        ignore_index: Label that is no class.
        per_image: Draw from the classes of each image; False draws from those of the whole batch, as the
            original implementation does.

    Raises:
        ValueError: If ``loss_weight`` is negative.
    """

    def __init__(self, *, loss_weight: float = 1.0, ignore_index: int = 255, per_image: bool = True) -> None:
        super().__init__()
        if loss_weight < 0:
            raise ValueError(f'loss_weight is {loss_weight}: give a number >= 0')
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index
        self.per_image = per_image

    def forward(
        self,
        source_images: Tensor,
        source_labels: Tensor,
        target_images: Tensor,
        target_labels: Tensor,
        target_weight: Tensor,
        num_classes: int,
    ) -> MixedBatch:
        """Mix two batches of equal shape.

        Args:
            source_images: Shape (B, C, H, W).
            source_labels: Shape (B, H, W), ignore_index where unknown.
            target_images: Shape (B, C, H, W).
            target_labels: Pseudo-labels, shape (B, H, W).
            target_weight: Weights of the pseudo-labels, shape (B, H, W).
            num_classes: Number of classes K.

        Returns:
            The mixed batch.
        """
        pasted = self.draw(source_labels, num_classes)
        return MixedBatch(
            images=mix(pasted, source_images, target_images),
            labels=mix(pasted, source_labels, target_labels),
            weight=target_weight.masked_fill(pasted, 1),
            pasted=pasted,
        )

    def draw(self, source_labels: Tensor, num_classes: int) -> Tensor:
        """Mask of the pixels to paste, shape (B, H, W), bool, for labels of the same shape."""
        if self.per_image:
            return class_mix_mask(source_labels, num_classes, ignore_index=self.ignore_index)
        # one image as tall as the batch: its classes are the batch's
        stacked = source_labels.flatten(0, 1)[None]
        mask = class_mix_mask(stacked, num_classes, ignore_index=self.ignore_index)
        return mask.view_as(source_labels)


@MODELS.register_module()
class MaskedImageConsistency(nn.Module):
    """Hides square blocks of the target image; the student has to infer them from context (MIC).

    Source: Hoyer et al., MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation, CVPR 2023.

    Args:
        mask_ratio: Probability in [0, 1) that a block is hidden.
        block_size: Side of a block in pixels.
        loss_weight: Weight of the loss on masked images (lambda in the paper).
        update_statistics: Whether masked images enter the running statistics of the student's batch norms, as they do
            in the original; inference on whole images is better without them.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        *,
        mask_ratio: float = 0.7,
        block_size: int = 64,
        loss_weight: float = 1.0,
        update_statistics: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= mask_ratio < 1:
            raise ValueError(f'mask_ratio is {mask_ratio}: give a share in [0, 1)')
        if block_size < 1:
            raise ValueError(f'block_size is {block_size}: give a number of pixels >= 1')
        if loss_weight < 0:
            raise ValueError(f'loss_weight is {loss_weight}: give a number >= 0')
        self.mask_ratio = mask_ratio
        self.block_size = block_size
        self.loss_weight = loss_weight
        self.update_statistics = update_statistics

    def forward(self, images: Tensor) -> Tensor:
        """Images, shape (B, C, H, W), normalised, with hidden blocks set to 0 (the mean colour)."""
        return images * self.draw(images).to(images.dtype)

    def draw(self, images: Tensor) -> Tensor:
        """Mask of the pixels kept, shape (B, 1, H, W), bool, for images of shape (B, C, H, W)."""
        batch_size, _, height, width = images.shape
        return block_mask(
            batch_size,
            height,
            width,
            block_size=self.block_size,
            mask_ratio=self.mask_ratio,
            device=images.device,
        )


@MODELS.register_module()
class StrongAugmentation(nn.Module):
    """Colour jitter and Gaussian blur, drawn for each image; any number of channels.

    Brightness is additive and contrast multiplies the image, as in DACS' library (kornia 0.5); hue and
    saturation need three channels and are left out for others. The steps come in this order; the library draws
    an order for each batch. Pixel values stay in [0, 1] of the image range while colours change.

    Source: Tranheden et al., DACS, WACV 2021; probabilities as its code really applies them.

    Args:
        jitter_strength: Largest change s, in [0, 0.5]: brightness shift in [-s, s], contrast and saturation factor
            in [1 - s, 1 + s].
        hue_strength: Largest shift of the hue in whole turns, in [0, 0.5]. None takes half of ``jitter_strength``;
            the ancestors take all of it.
        jitter_probability: Probability in [0, 1] of a colour change.
        blur_probability: Probability in [0, 1] of a blur.
        blur_sigma: Range of the blur's standard deviation in pixels.
        value_range: Image value that counts as full brightness, before normalisation: 255 for 8 bit. Several numbers
            are those of the channels, in the order after ``bgr_to_rgb``. Colour changes clamp values to 0 and it.

    Raises:
        ValueError: If an argument is out of its range.
    """

    value_range: Tensor

    def __init__(
        self,
        *,
        jitter_strength: float = 0.2,
        hue_strength: float | None = None,
        jitter_probability: float = 0.8,
        blur_probability: float = 0.5,
        blur_sigma: tuple[float, float] = (0.15, 1.15),
        value_range: float | Sequence[float] = 255.0,
    ) -> None:
        super().__init__()
        for name, value in (('jitter_probability', jitter_probability), ('blur_probability', blur_probability)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} is {value}: give a probability in [0, 1]')
        hue_strength = jitter_strength / 2 if hue_strength is None else hue_strength
        for name, value in (('jitter_strength', jitter_strength), ('hue_strength', hue_strength)):
            if not 0 <= value <= 0.5:
                raise ValueError(f'{name} is {value}: give a strength in [0, 0.5]')
        if not 0 < blur_sigma[0] <= blur_sigma[1]:
            raise ValueError(f'blur_sigma is {blur_sigma}: give (low, high) with 0 < low <= high')
        full = torch.as_tensor(value_range, dtype=torch.float32).view(-1, 1, 1)
        if not full.numel() or not bool(((full > 0) & full.isfinite()).all()):
            raise ValueError(f'value_range is {value_range}: give the value of full brightness, 255 for 8 bit')
        self.jitter_strength = jitter_strength
        self.hue_strength = hue_strength
        self.jitter_probability = jitter_probability
        self.blur_probability = blur_probability
        self.blur_sigma = (float(blur_sigma[0]), float(blur_sigma[1]))
        self.register_buffer('value_range', full, persistent=False)

    def forward(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Augment normalised images.

        Args:
            images: Shape (B, C, H, W), normalised with ``mean`` and ``std``.
            mean: Shape (C, 1, 1), on the scale of ``value_range``.
            std: Shape (C, 1, 1), on the scale of ``value_range``.

        Returns:
            Shape (B, C, H, W), normalised the same way.
        """
        plain = (images * std + mean) / self.value_range
        changed = self._happens(images, self.jitter_probability)
        strengths = images.new_tensor([*[self.jitter_strength] * 3, self.hue_strength * 2 * torch.pi])
        shift = (torch.rand(len(strengths), len(images), device=images.device) * 2 - 1) * strengths[:, None]
        plain = _where(changed, _jitter, plain, shift.t())
        blurred = self._happens(images, self.blur_probability)
        low, high = self.blur_sigma
        sigma = low + (high - low) * torch.rand(len(images), 1, device=images.device)
        plain = _where(blurred, self._blur, plain, sigma)
        return (plain * self.value_range - mean) / std

    def _happens(self, images: Tensor, probability: float) -> Tensor:
        return torch.rand(len(images), device=images.device) < probability

    def _blur(self, images: Tensor, sigma: Tensor) -> Tensor:
        side = 2 * int(torch.tensor(4 * self.blur_sigma[1]).ceil()) + 1
        return kornia.filters.gaussian_blur2d(images, (side, side), sigma.expand(-1, 2), border_type='replicate')


def _where(chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor], images: Tensor, parameters: Tensor) -> Tensor:
    """Images of which the chosen ones, (B,), are changed with their parameters, (B, P); on a CPU only these are."""
    if images.device.type != 'cpu':  # without waiting for the device
        return torch.where(chosen.view(-1, 1, 1, 1), change(images, parameters), images)
    changed = images.clone()
    places = chosen.nonzero().squeeze(1)
    if len(places):
        changed[places] = change(images[places], parameters[places]).to(changed.dtype)  # autocast changes it
    return changed


def _jitter(images: Tensor, shift: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue (in radians) moved by a shift each, (B, 4)."""
    brightness, contrast, saturation, hue = shift.unbind(dim=1)
    images = kornia.enhance.adjust_brightness(images.clamp(0, 1), brightness)
    images = kornia.enhance.adjust_contrast(images, 1 + contrast)
    if images.shape[1] == 3:
        images = kornia.enhance.adjust_saturation(images, 1 + saturation)
        images = kornia.enhance.adjust_hue(images, hue)
    return images.clamp(0, 1)
