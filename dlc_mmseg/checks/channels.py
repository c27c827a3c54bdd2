"""Channels, types and scale of the images against each other and against the data preprocessor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.registry import MODELS

from dlc_mmseg.checks.config_types import parameters_of, resolve
from dlc_mmseg.checks.domain_files import Domain
from dlc_mmseg.checks.pipelines import Outputs
from dlc_mmseg.checks.report import Report

_SCALE_REMEDY = "set model.data_preprocessor.mean and std to 'auto', or give them on the scale of the images"


def check_channels(
    domains: Sequence[Domain], outputs: Mapping[str, Outputs], model: Mapping[str, Any], report: Report
) -> None:
    """Compare what pipelines give with what the model takes.

    Args:
        domains: All datasets.
        outputs: What their pipelines give, by name.
        model: Config of the model.
        report: Receives what does not fit.
    """
    preprocessor = model.get('data_preprocessor') or {}
    mean = preprocessor.get('mean')
    mean = None if isinstance(mean, str) else mean  # 'auto'
    known = [(domain, outputs[domain.name]) for domain in domains if domain.name in outputs]
    for domain, output in known:
        _check_scale(domain, output, mean, report)
    for domain, output in known:
        if mean is not None and len(mean) not in (1, output.channels):
            what = f'has {len(mean)} values, {domain.role} images have {output.channels} channels ({_first(domain)})'
            remedy = "give one mean and std per channel, set both to 'auto', or choose bands of LoadRasterFromFile"
            report.error('model.data_preprocessor.mean', what, remedy)
            break
    _check_equal(known, report)
    if known:
        _check_backbone(model, known[0][1].channels, report)


def _check_equal(known: Sequence[tuple[Domain, Outputs]], report: Report) -> None:
    if not known:
        return
    first, reference = known[0]
    for domain, output in known[1:]:
        if output.channels != reference.channels:
            what = f'gives {output.channels} channels, {first.name} {reference.channels}'
            report.error(f'{domain.name}.pipeline', what, 'let all pipelines end in one number of channels')
        if output.dtype != reference.dtype:
            what = f'gives {output.dtype} values ({_first(domain)}), {first.name} {reference.dtype}'
            report.warning(f'{domain.name}.pipeline', what, 'bring both domains to one type and scale')


def _check_scale(domain: Domain, output: Outputs, mean: Sequence[float] | None, report: Report) -> None:
    if mean is None or output.largest == 0:
        return
    if output.largest <= 1.0 < max(mean):
        what = f'{domain.role} values reach {output.largest:g}, the mean is {max(mean):g}'
        report.warning(_first(domain), what, _SCALE_REMEDY)
    elif output.dtype != 'uint8' and output.largest > 255 >= max(mean):
        what = f'{domain.role} values ({output.dtype}) reach {output.largest:g}, the mean is {max(mean):g}'
        report.warning(_first(domain), what, _SCALE_REMEDY)


def _check_backbone(model: Mapping[str, Any], channels: int, report: Report) -> None:
    name = 'model.segmentor.backbone' if 'segmentor' in model else 'model.backbone'
    backbone = (model.get('segmentor') or model).get('backbone') or {}
    expected = backbone.get('in_channels')
    if expected is None:
        parameter = parameters_of(resolve(backbone, MODELS)).get('in_channels')
        expected = parameter.default if parameter else None
    if isinstance(expected, int) and expected != channels:
        what, remedy = f'is {expected}, the images have {channels} channels', f'set it to {channels}'
        report.error(f'{name}.in_channels', what, remedy)


def _first(domain: Domain) -> str:
    return domain.tiles[0].image
