"""`mim` and `dlc-mmseg` as pages call them, with runs of two iterations on a CPU in place of long ones on a GPU.

A page names the checkpoint of its long run. Where the short run has left another one, it gets that name.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import torch

SHORT = {
    'train': (
        'train_cfg.max_iters={iterations}',
        'train_cfg.val_interval=2',
        'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'default_hooks.checkpoint.interval=2',
        'default_hooks.logger.interval=1',
    ),
    'test': ('test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False'),
}


def shortened(words: list[str]) -> list[str]:
    """Arguments of `mim train` or `mim test` for a run of two iterations, of four where it is resumed.

    Args:
        words: The arguments.
    """
    if not words or words[0] not in SHORT:
        return words
    options = [option.format(iterations=4 if '--resume' in words else 2) for option in SHORT[words[0]]]
    if '--gpus' in words and not torch.cuda.is_available():
        words[words.index('--gpus') + 1] = '0'
    place = words.index('--cfg-options') + 1 if '--cfg-options' in words else len(words)
    return [*words[:place], *([] if '--cfg-options' in words else ['--cfg-options']), *options, *words[place:]]


def name_checkpoints(words: list[str]) -> None:
    """Give the checkpoint of a short run the name that the long one's would have.

    Args:
        words: Arguments, some of which may be paths of checkpoints that are not there.
    """
    for path in map(Path, words):
        last = path.parent / 'last_checkpoint'
        if re.fullmatch(r'iter_\d+\.pth', path.name) and not path.exists() and last.is_file():
            path.hardlink_to(last.read_text(encoding='utf-8').strip())


if __name__ == '__main__':
    name, arguments = sys.argv[1], sys.argv[2:]
    name_checkpoints(arguments)
    sys.argv = [str(Path(sys.prefix) / 'bin' / name), *(shortened(arguments) if name == 'mim' else arguments)]
    runpy.run_path(sys.argv[0], run_name='__main__')
