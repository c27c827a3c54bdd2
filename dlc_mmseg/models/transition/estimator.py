"""What every estimator of the transition matrix shares: its evidence, its loss and the settings of its optimizer."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mmseg.registry import MODELS
from torch import Tensor, nn

from dlc_mmseg.models.transition.views import Points, Views


class Evidence(Protocol):
    """One iteration's evidence of T."""

    def loss(self, transition: Tensor, prior: Tensor) -> Tensor:
        """How badly T (K, K) and prior (K,) explain it: a scalar, 0 at best, with gradient to both."""
        ...


class TransitionEstimator(nn.Module):
    """What a `NoiseTransitionMatrix` is fitted to, and how fast.

    The losses of estimators differ in scale and curvature, so that each brings the weight and the optimizer settings
    that suit its own: exchanging the estimator exchanges all of them.

    Args:
        num_classes: Number of classes K; `NoiseTransitionMatrix` fills it in.
        loss_weight: Weight of the estimator's loss beside the regularisers, >= 0.
        learning_rate: First rate of Adam on the logits of T and of the prior, > 0; None takes `default_rate`.
        betas: Adam's decay rates.
        eps: Added to the denominator of Adam's steps, > 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        loss_weight: float,
        learning_rate: float | None,
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        super().__init__()
        if not 0 <= loss_weight < math.inf:
            raise ValueError(f'loss_weight is {loss_weight}: give a number >= 0')
        if learning_rate is not None and not 0 < learning_rate < math.inf:
            raise ValueError(f'learning_rate is {learning_rate}: give a number > 0, or leave it out')
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f'betas is {betas}: give two numbers in [0, 1)')
        if not 0 < eps < math.inf:
            raise ValueError(f'eps is {eps}: give a number > 0')
        self.num_classes = num_classes
        self.loss_weight = loss_weight
        self.learning_rate = learning_rate
        self.betas = betas
        self.eps = eps

    @abstractmethod
    def default_rate(self, total_iterations: int | None) -> float:
        """First rate of Adam where none is given.

        Args:
            total_iterations: Iterations of the run, None where unknown.
        """

    def draw(self, features: Sequence[Tensor], labels: Tensor, valid: Tensor) -> Points | None:
        """Pixels of the target batch whose features the estimator asks for.

        Args:
            features: Outputs of the teacher's backbone, each (B, D, h, w), shallow to deep.
            labels: Pseudo-labels, shape (B, H, W).
            valid: Shape (B, H, W), bool; pixels that may be drawn.

        Returns:
            None: nothing is asked for, nor taken from the random generator.
        """
        return None

    @abstractmethod
    def forward(self, points: Points | None, views: Views, initial: Tensor) -> Evidence:
        """The evidence of an iteration; with several processes that of all of them.

        Args:
            points: As from `draw`.
            views: Predictions beside labels, see `Views`.
            initial: T before anything was learnt, shape (K, K).
        """


def build_estimator(config: str | type[TransitionEstimator] | Mapping[str, Any], num_classes: int) -> Any:
    """Build the estimator that a config names, and refuse arguments that are none of its own.

    Args:
        config: A registered type with its arguments, or the type alone for its defaults. Of a name in lower case, such
            as ``confusion``, the ending is left out.
        num_classes: Number of classes K.

    Returns:
        The `TransitionEstimator`.

    Raises:
        ValueError: If the type is no estimator, or an argument is not one of its arguments.
    """
    arguments = dict(config) if isinstance(config, Mapping) else {'type': config}
    kind = arguments.get('type')
    name = f'{kind.capitalize()}Estimator' if isinstance(kind, str) and kind.islower() else kind
    found = MODELS.get(name) if isinstance(name, str) else name
    if not (inspect.isclass(found) and issubclass(found, TransitionEstimator)):
        raise ValueError(f"estimator has the type {kind!r}: give 'ConfusionEstimator' or 'ConsensusEstimator'")
    own = set(inspect.signature(found).parameters) - {'num_classes'}
    foreign = [key for key in arguments if key not in own | {'type', '_scope_'}]
    if foreign:
        raise ValueError(
            f'estimator {found.__name__} has no argument {", ".join(foreign)}, only {", ".join(sorted(own))}: leave it '
            f'out; to replace an inherited estimator as a whole write estimator={found.__name__!r}, or '
            f'estimator=dict(_delete_=True, type={found.__name__!r}, ...)'
        )
    return MODELS.build({**arguments, 'type': found, 'num_classes': num_classes})
