"""Checks of the folder that checkpoints are written to, and of the checkpoint that a run starts from."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg.registry import HOOKS
from torch import Tensor, nn

from dlc_mmseg.checks.config_types import is_kind, type_name
from dlc_mmseg.checks.loops import hooks_of, schedulers_of
from dlc_mmseg.checks.model_config import parts
from dlc_mmseg.checks.report import Report
from dlc_mmseg.checks.schedulers import State, schedule_changes
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file

ReadCheckpoint = Callable[..., dict[str, Any]]
"""Reads a file as `load_checkpoint_file` does."""

_MOMENTS = {'Adam': 2, 'AdamW': 2, 'NAdam': 2, 'RAdam': 2, 'SGD': 1, 'RMSprop': 1}


def check_work_dir(config: Mapping[str, Any], model: nn.Module | None, report: Report) -> None:
    """Find a work_dir that cannot be written, or a disk too small for the checkpoints to come.

    Args:
        config: The whole config.
        model: The built model; without one the space is not estimated.
        report: Receives what is wrong.
    """
    work_dir = config.get('work_dir')
    if not work_dir or '://' in str(work_dir):
        return
    folder = Path(work_dir).absolute()
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        report.error(work_dir, f'work_dir cannot be made, {existing} is no folder', 'give another --work-dir')
        return
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        what = f'work_dir cannot be written ({error.strerror or error})'
        report.error(existing, what, 'give another --work-dir or the right to write there')
        return
    if model is not None:
        needed, number = checkpoint_bytes(config, model)
        earlier = min(_earlier_bytes(folder), needed - needed // number) if config.get('resume') else 0
        free = shutil.disk_usage(existing).free
        if needed > free + earlier:
            there = f'{earlier / 2**30:.1f} GiB are earlier ones, ' if earlier else ''
            what = f'{number} checkpoints need about {needed / 2**30:.1f} GiB, {there}{free / 2**30:.1f} GiB are free'
            remedy = 'free space, give another --work-dir or lower default_hooks.checkpoint.max_keep_ckpts'
            report.error(work_dir, what, remedy)


def checkpoint_bytes(config: Mapping[str, Any], model: nn.Module) -> tuple[int, int]:
    """Disk space of all checkpoints that a run has at one time.

    Args:
        config: The whole config.
        model: The model.

    Returns:
        Bytes, and the number of checkpoints: those kept, the best one, and the one being written.
    """
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    state = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    wrapper = config.get('optim_wrapper') or {}
    kind = type_name(wrapper.get('optimizer'))
    trained = sum(value.numel() * value.element_size() for value in model.parameters() if value.requires_grad)
    moments = _MOMENTS.get(kind, 0) * trained if hook.get('save_optimizer', True) else 0
    kept = hook.get('max_keep_ckpts', -1)
    if not isinstance(kept, int) or kept < 1:
        iterations = (config.get('train_cfg') or {}).get('max_iters') or 1
        kept = math.ceil(iterations / max(hook.get('interval') or iterations, 1))
    number = kept + 1 + bool(hook.get('save_best'))
    return (state + moments) * number, number


def _earlier_bytes(folder: Path) -> int:
    """Disk space of the checkpoints that a resumed run goes on from, and replaces."""
    return sum(path.stat().st_size for pattern in ('iter_*.pth', 'best_*.pth') for path in folder.glob(pattern))


def check_starting_points(
    config: Mapping[str, Any],
    model: nn.Module | None,
    schedule: Sequence[State] | None,
    report: Report,
    *,
    read: ReadCheckpoint = load_checkpoint_file,
) -> None:
    """Check ``load_from``, what ``resume`` would take, and local pre-trained weights.

    Args:
        config: The whole config.
        model: The built model; None compares no names.
        schedule: States of the schedulers as a run begins; None compares none.
        report: Receives what is wrong.
        read: Reads a checkpoint, given its path; raises `UserError` if it cannot.
    """
    load_from, resume = config.get('load_from'), bool(config.get('resume'))
    if load_from is not None:
        checkpoint = _read(str(load_from), 'load_from', report, read)
    else:
        checkpoint = _read_last(config, report, read) if resume else None
    if checkpoint is not None and resume:
        name = str(load_from or config.get('work_dir'))
        _check_resumable(config, checkpoint, name, report)
        _check_restored_schedule(config, checkpoint, name, schedule, report)
    elif checkpoint is not None and model is not None:
        _check_fit(checkpoint, model, str(load_from), report)
    for name, part in parts(config.get('model'), 'model'):
        weights = part.get('checkpoint')
        if type_name(part).startswith('Pretrained') and isinstance(weights, str) and '://' not in weights:
            _read(weights, f'{name}.checkpoint', report, read)


def _read(path: str, name: str, report: Report, read: ReadCheckpoint) -> dict[str, Any] | None:
    path = os.path.expanduser(path)
    if '://' in path:
        return None
    if not os.path.isfile(path):
        kind = 'is a folder' if os.path.isdir(path) else 'does not exist'
        report.error(path, f'{kind} ({name})', f'let {name} name a .pth file, or set it to None')
        return None
    try:
        checkpoint = read(path)
    except UserError as error:
        report.error(path, f'{error.what} ({name})', error.remedy)
        return None
    broken = [key for key, value in checkpoint.get('state_dict', checkpoint).items() if _is_broken(value)]
    if broken:
        what = f'holds NaN or infinite values in {len(broken)} tensors, such as {broken[0]} ({name})'
        report.error(path, what, 'take a checkpoint from before its training broke down')
    return checkpoint


def _is_broken(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and not bool(value.isfinite().all())


def _read_last(config: Mapping[str, Any], report: Report, read: ReadCheckpoint) -> dict[str, Any] | None:
    """What ``--resume`` takes; where `ExactResumeHook` is used a broken checkpoint gives way to an earlier one."""
    work_dir = Path(str(config.get('work_dir') or '.'))
    note = work_dir / 'last_checkpoint'
    path = note.read_text(encoding='utf-8-sig', errors='replace').strip() if note.is_file() else ''
    if '://' in path:
        return None
    gives_way = any(is_kind(hook, HOOKS, 'ExactResumeHook') for _, hook in hooks_of(config))
    others = [str(other) for other in work_dir.glob('iter_*.pth') if str(other) != path] if gives_way else []
    if not note.is_file():
        if not others:
            what = 'does not exist, there is nothing to resume: training starts from the beginning'
            report.warning(note, what, 'give the --work-dir of the earlier run, or name a checkpoint in load_from')
        return None
    found = Report()
    checkpoint = None
    if os.path.isfile(path):
        checkpoint = _read(path, f'named by {note}', found, read)
    else:
        what = f'names {path}, which does not exist'
        found.error(note, what, 'write the path of an earlier checkpoint into it, or name one in load_from')
    for problem in found.problems:
        if others:
            report.warning(problem.where, problem.what, 'nothing to do, the latest complete checkpoint is resumed')
        else:
            report.error(problem.where, problem.what, problem.remedy)
    return checkpoint


def _check_resumable(config: Mapping[str, Any], checkpoint: dict[str, Any], name: str, report: Report) -> None:
    lacking = [key for key in ('meta', 'optimizer', 'message_hub') if key not in checkpoint]
    done = (checkpoint.get('meta') or {}).get('iter')
    iterations = (config.get('train_cfg') or {}).get('max_iters')
    if lacking:
        what = f'holds no {" and no ".join(lacking)}: weights alone cannot be resumed'
        report.error(name, what, 'set resume=False to start from its weights, or name a checkpoint of a run')
    elif isinstance(done, int) and isinstance(iterations, int) and done >= iterations:
        what = f'has trained {done} of {iterations} iterations, nothing is left to do'
        report.warning(name, what, f'raise train_cfg.max_iters{_with_it(config, iterations)}')


def _with_it(config: Mapping[str, Any], iterations: int) -> str:
    """What follows the length of training, by name."""
    fields = [f'{name}.end' for name, item in schedulers_of(config) if item.get('end') == iterations]
    transition = (config.get('model') or {}).get('transition') or {}
    if transition.get('total_iterations') == iterations:
        fields.append('model.transition.total_iterations')
    return f', and with it {" and ".join(fields)}' if fields else ''


def _check_restored_schedule(
    config: Mapping[str, Any],
    checkpoint: dict[str, Any],
    name: str,
    schedule: Sequence[State] | None,
    report: Report,
) -> None:
    """MMEngine restores a checkpoint's schedule over the config's, unless `ExactResumeHook` prevents it."""
    held = any(is_kind(hook, HOOKS, 'ExactResumeHook') for _, hook in hooks_of(config))
    if held or schedule is None or 'param_schedulers' not in checkpoint or config.get('auto_scale_lr'):
        return
    changes = schedule_changes(checkpoint['param_schedulers'], schedule)
    if changes:
        what = f'its schedule of learning rates would replace that of the config ({", ".join(changes[:4])})'
        remedy = "add exact_resume=dict(type='ExactResumeHook') to default_hooks, or start anew from its weights: "
        report.error(name, what, f'{remedy}load_from names it, resume=False')


def _check_fit(checkpoint: dict[str, Any], model: nn.Module, name: str, report: Report) -> None:
    state = checkpoint.get('state_dict', checkpoint)
    known = {_plain(key): tuple(value.shape) for key, value in model.state_dict().items()}
    found = {_plain(str(key)): tuple(getattr(value, 'shape', ())) for key, value in state.items()}
    if not known.keys() & found.keys():
        what = f'none of its {len(found)} tensors is known to the model ({next(iter(found), "nothing")} ..)'
        report.error(name, what, 'name a checkpoint of this model or of its segmentor in load_from')
        return
    other = [key for key in known.keys() & found.keys() if known[key] != found[key]]
    if other:
        key = min(other)
        what = f'{len(other)} tensors have another shape ({key}: {found[key]}, the model has {known[key]})'
        report.warning(name, what, 'these keep their initial values; name a checkpoint of the same architecture')


def _plain(key: str) -> str:
    """Name of a tensor inside the segmentor, whatever wraps it."""
    for prefix in ('module.', 'student.', 'teacher.'):
        key = key.removeprefix(prefix)
    return key
