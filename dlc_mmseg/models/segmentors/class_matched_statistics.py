"""Statistics of target images weighted to the class shares of the source.

Weights of student and teacher score alike; the statistics decide. Those of target images bring what a change of light
and sensor needs, and destroy what a change of class shares needs: a batch norm takes a target with fewer buildings
for a darker one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dlc_mmseg.functional.norm_statistics import (
    Moments,
    class_share_weights,
    merged_moments,
    shifted_posterior,
    weighted_moments,
    weights_on_grid,
)
from dlc_mmseg.models.segmentors.batch_statistics import borrowed_statistics, matching_norms, running_statistics
from dlc_mmseg.models.segmentors.teacher_statistics import TeacherStatistics


@MODELS.register_module()
class ClassMatchedStatistics(TeacherStatistics):
    """Running statistics of target images whose pixels are weighted to the class shares of the source.

    The teacher first looks at the target batch with the statistics of the source (the student's, which then come from
    source images alone). A few steps of EM for label shift turn its probabilities into a posterior and class shares of
    the target. The share of class k in the source over that in the target is what a pixel of class k counts: so the
    target gets the class shares of the source, and what still differs is light and sensor. The second pass normalises
    with running statistics of the target so weighted.

    The student learns from target images with these statistics too, not with those of each mixed or masked batch: the
    function that is trained is the one that predicts. Its own running statistics stay those of the source.

    Repeating this with the new statistics does not help: target statistics draw the predicted shares to those of the
    source, until all ratios are 1 and `BatchStatistics` are back. Nor do many steps of EM, which lose classes where the
    gap is large.

    The teacher's own running statistics are the result, so that it predicts and is exported as any network. Batch norms
    that the student keeps frozen are left alone. Class shares of the source are those that training draws.

    Args:
        num_classes: Number of classes K; the segmentor fills it in.
        momentum: Share of a new batch in the running statistics and class shares, in (0, 1]; early batches count
            evenly.
        em_steps: Steps of EM, >= 0; 0 takes the probabilities as they are.
        max_ratio: Largest ratio of class shares, and inverse of the smallest, >= 1.
        student_on_target: What the student normalises target images with: the teacher's ``running`` statistics, or
            those of each mixed or masked ``batch``.

    Attributes:
        source_shares: Class shares of the source, buffer of shape (K,).
        target_shares: Class shares of the target after each step of EM, buffer of shape (em_steps + 1, K).

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs_target = True
    source_shares: Tensor
    target_shares: Tensor
    mass: Tensor
    source_batches: Tensor
    target_batches: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        momentum: float = 0.02,
        em_steps: int = 3,
        max_ratio: float = 20.0,
        student_on_target: Literal['running', 'batch'] = 'running',
    ) -> None:
        super().__init__(num_classes)
        if not 0 < momentum <= 1:
            raise ValueError(f'momentum is {momentum}: give the share of a new batch, in (0, 1]')
        if max_ratio < 1:
            raise ValueError(f'max_ratio is {max_ratio}: give a number >= 1')
        if em_steps < 0:
            raise ValueError(f'em_steps is {em_steps}: give a number >= 0')
        self.momentum = momentum
        self.em_steps = em_steps
        if student_on_target not in ('running', 'batch'):
            raise ValueError(f"student_on_target is {student_on_target!r}: choose 'running' or 'batch'")
        self.max_ratio = max_ratio
        self.student_on_target = student_on_target
        self._said = False
        self.register_buffer('source_shares', torch.full((num_classes,), 1 / num_classes))
        self.register_buffer('target_shares', torch.full((em_steps + 1, num_classes), 1 / num_classes))
        self.register_buffer('mass', torch.ones(()))
        self.register_buffer('source_batches', torch.zeros((), dtype=torch.long))
        self.register_buffer('target_batches', torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def see_source(self, labels: Tensor) -> None:
        """Update the class shares of the source."""
        others = labels.flatten().clamp(max=self.num_classes)  # one more bin, without waiting for the device
        counts = torch.bincount(others, minlength=self.num_classes + 1)[: self.num_classes].to(self.source_shares)
        self.source_batches += 1
        self._follow(self.source_shares, counts, self.source_batches)

    @torch.no_grad()
    def pixel_weights(
        self, teacher: nn.Module, student: nn.Module, predict: Callable[[], Tensor], valid: Tensor
    ) -> Tensor | None:
        """Weights from what the teacher predicts with the source's statistics."""
        pairs = matching_norms(teacher, student)
        if not pairs:
            if not self._said:
                print_log('no batch norms to adapt: ClassMatchedStatistics changes nothing', logger='current')
                self._said = True
            return None
        with borrowed_statistics(pairs):
            probs = predict().float().softmax(dim=1)
        posterior = probs.mul_(valid[:, None].to(probs.dtype))  # pixels that do not count have no class
        self.target_batches += 1
        for step, shares in enumerate(self.target_shares):
            if step:
                posterior = shifted_posterior(probs, self.source_shares, self.target_shares[step - 1])
            self._follow(shares, posterior.sum((0, 2, 3)), self.target_batches)
        shares = self.target_shares[-1]
        weights = class_share_weights(posterior, self.source_shares, shares, max_ratio=self.max_ratio)
        return weights * valid

    @contextmanager
    def labelling(self, teacher: nn.Module, student: nn.Module, weights: Tensor | None) -> Iterator[None]:
        """Update the running statistics layer by layer, before each layer normalises with them."""
        if weights is None:
            yield
            return
        mean_weight = weights.mean()
        pooled = mean_weight.clone()
        all_reduce(pooled, op='mean')
        rate = self._rate(self.target_batches)
        self.mass.lerp_(pooled, rate)
        share = (rate * mean_weight / self.mass.clamp(min=torch.finfo(torch.float32).tiny)).clamp(max=1.0)

        grids: dict[torch.Size, Tensor] = {}  # most layers share theirs with others

        def update(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(norm, _BatchNorm)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            place = inputs[0].shape[:1] + inputs[0].shape[2:]
            if place not in grids:
                grids[place] = weights_on_grid(weights, inputs[0])
            seen = weighted_moments(inputs[0], grids[place])
            merged = merged_moments(Moments(norm.running_mean, norm.running_var), seen, share)
            norm.running_mean.copy_(merged.mean)
            norm.running_var.copy_(merged.var)

        handles = [norm.register_forward_pre_hook(update) for norm, _ in matching_norms(teacher, student)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def learning(self, teacher: nn.Module, student: nn.Module, *, update: bool) -> Iterator[None]:
        """Normalise with the teacher's running statistics, if so configured; the student's own stay as they are."""
        if self.student_on_target == 'batch':
            with running_statistics(student, update=False):
                yield
            return
        pairs = matching_norms(teacher, student)
        with borrowed_statistics([(source, norm) for norm, source in pairs]):
            for _, source in pairs:
                source.eval()
            try:
                yield
            finally:
                for _, source in pairs:
                    source.train()

    def _rate(self, batches: Tensor) -> Tensor:
        return (1.0 / batches.float()).clamp(min=self.momentum, max=1.0)

    def _follow(self, shares: Tensor, mass: Tensor, batches: Tensor) -> None:
        """Move running shares towards a batch's, pooled over all processes; a batch without any changes nothing."""
        all_reduce(mass)
        total = mass.sum()
        found = torch.where(total > 0, mass / total.clamp(min=torch.finfo(mass.dtype).tiny), shares)
        shares.lerp_(found, self._rate(batches))
