"""All checks of a config, in the order in which their findings are best read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmseg.registry import MODELS
from torch import nn

from dlc_mmseg.checks.channels import check_channels
from dlc_mmseg.checks.checkpoints import ReadCheckpoint, check_starting_points, check_work_dir
from dlc_mmseg.checks.class_presence import LabelPixels, check_joint_presence
from dlc_mmseg.checks.classes import check_classes, check_palettes
from dlc_mmseg.checks.delivered_images import check_delivered
from dlc_mmseg.checks.domain_files import Domain, list_domains
from dlc_mmseg.checks.domain_pair import check_pair
from dlc_mmseg.checks.equal_names import check_equal_names
from dlc_mmseg.checks.folder_contents import check_folder
from dlc_mmseg.checks.ignored_labels import check_ignored_labels
from dlc_mmseg.checks.image_files import check_files, check_sizes
from dlc_mmseg.checks.image_headers import Header
from dlc_mmseg.checks.label_files import check_label_files, check_label_kinds, check_values, count_labels_of
from dlc_mmseg.checks.loaders import check_loaders
from dlc_mmseg.checks.loops import check_loop
from dlc_mmseg.checks.losses import check_losses, check_pooled_norms
from dlc_mmseg.checks.model_config import check_heads, check_names, check_parts
from dlc_mmseg.checks.optimizer import check_optimizer
from dlc_mmseg.checks.pipelines import Outputs, check_pipeline, check_training_sizes
from dlc_mmseg.checks.report import RAISED, Report, Track, one_line, silent
from dlc_mmseg.checks.sampling import check_settings, check_statistics, read_settings
from dlc_mmseg.checks.schedule import check_schedule, check_shared_memory
from dlc_mmseg.checks.tested_labels import check_test_labels
from dlc_mmseg.checks.validation_scores import check_validation_scores
from dlc_mmseg.checks.value_range import check_eight_bit_steps, check_value_range
from dlc_mmseg.checks.variables import check_variables
from dlc_mmseg.datasets.nesting import pair_config
from dlc_mmseg.datasets.rare_class_sampling import RareClassSampling
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file
from dlc_mmseg.files.statistics_file import STATISTICS_FILE_NAME, write_class_statistics


@dataclass(frozen=True, kw_only=True)
class Options:
    """How thorough the checks are.

    Attributes:
        full: Decode every image, count every label and read checkpoints whole, instead of all headers and a sample.
        keep_statistics: Count all source labels that rare class sampling will need, and keep the counts beside them,
            so that the dataset need not count again.
        config_file: File that the config was read from, as `Config.filename` says.
        track: Shows progress.
        read_checkpoint: Deprecated. Reads checkpoints in place of `load_checkpoint_file`, which earlier versions had to
            be given.
    """

    full: bool = False
    keep_statistics: bool = False
    config_file: str | None = None
    track: Track = silent
    read_checkpoint: ReadCheckpoint | None = None

    def __post_init__(self) -> None:
        """Warn of what goes."""
        if self.read_checkpoint is not None:
            text = 'Options(read_checkpoint=...) is deprecated, leave it out: checkpoints are read safely without it'
            warnings.warn(text, DeprecationWarning, stacklevel=3)


def check_config(
    config: Mapping[str, Any], options: Options | None = None, *, model: nn.Module | None = None
) -> Report:
    """Check a config and everything that training with it will read.

    Args:
        config: The config as plain dicts (`Config.to_dict()`).
        options: How thorough to be.
        model: The config's model, where it is built already; otherwise it is built here.

    Returns:
        All problems, and how many images there are.
    """
    options, report = options or Options(), Report()
    for field, check in (
        ('train_cfg', check_schedule),
        ('train_cfg', check_loop),
        ('train_dataloader', check_loaders),
        ('model', check_names),
        ('model', check_parts),
        ('train_dataloader', check_palettes),
    ):
        with report.attempt(field):
            check(config, report)
    with report.attempt('config'):
        check_variables(config, options.config_file, report)
    domains: list[Domain] = []
    with report.attempt('train_dataloader'):
        domains = list_domains(config, report)
    with report.attempt('train_dataloader'):
        check_classes(domains, report)
    classes = next((domain.classes for domain in domains if len(domain.classes) > 1), None)
    if classes:
        with report.attempt('model'):
            check_heads(config, classes, report)
            check_ignored_labels(config, domains, len(classes), report)
    with report.attempt('val_evaluator'):
        validated = (domain.classes for domain in domains if domain.role == 'validation' and domain.classes)
        check_validation_scores(config, next(validated, None), report)
    with report.attempt('train_dataloader'):
        _check_data(config, domains, options, report)
    with report.attempt('test_dataloader'):
        check_test_labels(config, domains, report, full=options.full, track=options.track)
    with report.attempt('test_evaluator'):
        check_equal_names(config, report)
    if model is None and not any(problem.where.startswith('model') for problem in report.errors):
        with report.attempt('model'):
            model = _build(config, report)
    with report.attempt('model'):
        if model is not None:
            check_losses(config, model, report)
            check_pooled_norms(config, model, report)
    schedule = None
    with report.attempt('optim_wrapper'):
        schedule = check_optimizer(config, model, report)
    with report.attempt('work_dir'):
        check_work_dir(config, model, report)
    with report.attempt('load_from'):
        read = options.read_checkpoint or load_checkpoint_file
        check_starting_points(config, model, schedule, report, read=partial(read, mmap=not options.full))
    return report


def _check_data(config: Mapping[str, Any], domains: list[Domain], options: Options, report: Report) -> None:
    headers: dict[str, Header] = {}
    counted: list[LabelPixels] = []
    outputs: dict[str, Outputs] = {}
    _, paired = pair_config(config) or ('', {})
    settings = read_settings(paired, report)
    for domain in domains:
        with report.attempt(domain.name):
            output = _check_files(domain, headers, options, report)
            if output is not None:
                outputs[domain.name] = output
                check_eight_bit_steps(domain, report)
            if domain.labelled:
                used = settings if domain.role == 'source' else None
                pixels = _check_labels(domain, used, headers, output, options, report)
                counted += [pixels] if pixels is not None else []
    for role in ('source', 'validation'):
        joined = [pixels for pixels in counted if pixels.domain.role == role]
        if len(joined) == sum(domain.role == role for domain in domains):  # else one has findings of its own
            check_joint_presence(joined, report)
    training = [domain for domain in domains if domain.role != 'validation']
    model = config.get('model') or {}
    padding = (model.get('data_preprocessor') or {}).get('size')
    check_training_sizes(training, outputs, padding, headers, report)
    check_channels(domains, outputs, model, report)
    check_value_range(training, outputs, model, report)
    check_pair(domains, headers, report, full=options.full)
    trained = {domain.name: outputs[domain.name] for domain in training if domain.name in outputs}
    check_shared_memory(config, trained, report)


def _check_files(domain: Domain, headers: dict[str, Header], options: Options, report: Report) -> Outputs | None:
    """What the pipeline of a domain gives; headers are added, tiles that cannot be used taken out."""
    check_folder(domain, report)
    if domain.labelled:
        check_label_files(domain, report)
    headers.update(check_files(domain, report, full=options.full, track=options.track))
    if domain.labelled:
        check_label_kinds(domain, headers, report)
        check_sizes(domain, headers, report)
    loads = check_delivered(domain, report, full=options.full, track=options.track)
    return check_pipeline(domain, headers, report) if loads else None


def _check_labels(
    domain: Domain,
    settings: RareClassSampling | None,
    headers: dict[str, Header],
    output: Outputs | None,
    options: Options,
    report: Report,
) -> LabelPixels | None:
    known = check_statistics(domain, settings, headers, report) if settings is not None else {}
    keep = options.keep_statistics and settings is not None and settings.statistics is None
    full = options.full or keep
    counts = count_labels_of(domain, report, known=known, full=full, track=options.track)
    pixels = check_values(domain, counts, getattr(domain.dataset, 'ignore_index', 255), report)
    if settings is not None:
        check_settings(domain, settings, counts, output, report)
    folder = str(domain.dataset.data_prefix.get('seg_map_path') or '')
    if keep and len(known) < len(counts) == len(domain.dataset) and not report.errors:
        named = {os.path.relpath(str(tile.label), folder).replace(os.sep, '/'): count for tile, count in counts}
        _keep(folder, named)
    return pixels


def _keep(folder: str, named: dict[str, Any]) -> None:
    path = os.path.join(folder, STATISTICS_FILE_NAME)
    try:
        if not os.path.exists(path) and os.stat(folder).st_mode & 0o222:
            write_class_statistics(path, named)
    except OSError:
        pass  # the dataset counts again and says so


def _build(config: Mapping[str, Any], report: Report) -> nn.Module | None:
    try:
        model: nn.Module = MODELS.build(dict(config['model']))
    except RAISED as error:  # anything a part of a model may raise on its arguments
        report.error('model', f'does not build ({one_line(error)})', 'correct the part it names')
        return None
    return model
