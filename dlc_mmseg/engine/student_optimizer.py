"""Builds the optimizer from the parameters of the student, so that MMEngine warns of no frozen one of the teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from dlc_mmseg.models.branchwise_parallel import unwrapped


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class StudentOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor for the part of a model that learns.

    `DefaultOptimWrapperConstructor` warns of every parameter that needs no gradient, which with a teacher is one line
    per layer. This one looks at ``model.student`` only; names, and with them what ``custom_keys`` match, stay the
    same (``student.backbone...``). A model without a student, or with other parameters that learn, is taken whole.

    Other constructors do their work on the student through this one, names of parameters then beginning below it
    (``backbone...``), as in a plain segmentor. Layer-wise learning rates of a BEiT, for example::

        optim_wrapper = dict(
            constructor='StudentOptimWrapperConstructor',
            paramwise_cfg=dict(
                constructor='LearningRateDecayOptimizerConstructor', num_layers=12, decay_rate=0.9,
                decay_type='layer_wise'),
            ...)

    Args:
        optim_wrapper_cfg: Config of the wrapper with its optimizer, as in MMEngine.
        paramwise_cfg: Multipliers of rate and decay, as in MMEngine; with ``constructor``, the arguments of that one.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        settings = dict(paramwise_cfg or {})
        inner = settings.pop('constructor', None)
        super().__init__(optim_wrapper_cfg, None if inner else paramwise_cfg)
        self._root = ''
        self._inner: Callable[[nn.Module], OptimWrapper] | None = None
        if inner is not None:
            arguments = {'optim_wrapper_cfg': optim_wrapper_cfg, 'paramwise_cfg': settings}
            self._inner = OPTIM_WRAPPER_CONSTRUCTORS.build({'type': inner, **arguments})

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer's wrapper.

        Args:
            model: The model, or a distributed wrapper around it.

        Returns:
            The wrapper, with its optimizer.

        Raises:
            ValueError: If another constructor is asked for and more than the student learns.
        """
        model = unwrapped(model)
        if self._inner is not None:
            return self._inner(_student(model))
        self._root = 'student' if _learns_in_student_only(model) else ''
        return super().__call__(model.get_submodule(self._root))

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, prefix: str = '', is_dcn_module: float | None = None
    ) -> None:
        """Add the parameters of a module and of its children, under their full names.

        Args:
            params: Parameter groups, extended in place.
            module: The module.
            prefix: Its name; empty for the root.
            is_dcn_module: Whether its parent is a deformable convolution.
        """
        super().add_params(params, module, prefix or self._root, is_dcn_module)


def _student(model: nn.Module) -> nn.Module:
    """What learns, as a plain segmentor."""
    if not isinstance(getattr(model, 'student', None), nn.Module):
        return model
    if not _learns_in_student_only(model):
        raise ValueError('paramwise_cfg.constructor would leave out what learns beside the student: leave it out')
    return model.get_submodule('student')


def _learns_in_student_only(model: nn.Module) -> bool:
    if not isinstance(getattr(model, 'student', None), nn.Module):
        return False
    inside = {id(parameter) for parameter in model.get_submodule('student').parameters()}
    return all(id(parameter) in inside for parameter in model.parameters() if parameter.requires_grad)
