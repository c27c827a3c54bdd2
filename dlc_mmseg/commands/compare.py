"""`dlc-mmseg compare`: which of several trained models to use, judged without labels."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from dlc_mmseg.commands._config_file import add_config_changes, read_config
from dlc_mmseg.commands._images import add_image_options, chosen_dataset
from dlc_mmseg.commands._progress import progress_bar
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.deploy.selection.candidates import Candidate, load_candidates
from dlc_mmseg.deploy.selection.report import describe, summarise
from dlc_mmseg.deploy.selection.scoring import SCORES, score_candidates
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import write_atomically

_EPILOG = """Candidates are checkpoints of one network: of one run, of a source-only run beside adapted ones, the
student beside the teacher. Scores, the larger the better:
  ensemble     agreement with the mean of all candidates (EnsV)
  mixing       agreement on mixed images (MixVal)
  information  sure predictions of many classes
  diversity    predicted classes of equal shares
  confidence   sure predictions
  accuracy     what the transition matrix T, learnt in training, says of the teacher
With --labels, or where the config's test data has labels, the true mIoU stands beside them.

examples:
  dlc-mmseg compare configs/dlc_custom.py source_only.pth adapted.pth --images data/my_target/img
  dlc-mmseg compare configs/dlc_demo.py work_dirs/demo/seed0/*/iter_640.pth --networks both
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = 'Rank trained models by scores that need no labels.'
    parser.epilog = _EPILOG
    parser.add_argument('config', metavar='CONFIG', type=Path, help='config of one of the runs')
    parser.add_argument('checkpoints', metavar='CHECKPOINT', type=Path, nargs='+', help='checkpoints')
    add_image_options(parser)
    help_networks = 'of adaptation checkpoints: the network that the config predicts with (default), or others'
    choices = ('predicting', 'student', 'teacher', 'both')
    parser.add_argument('--networks', choices=choices, default=choices[0], help=help_networks)
    parser.add_argument('--by', choices=SCORES, default=SCORES[0], help='score that ranks (default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', type=Path, help='write the scores to a file as well')
    add_option(parser, 'device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default: %(default)s')
    add_config_changes(parser)


def run(args: argparse.Namespace) -> None:
    """Score, rank and print.

    Args:
        args: See `configure`.

    Raises:
        UserError: If there is nothing to choose from, or config, checkpoints and images do not fit each other.
    """
    config = read_config(args.config, args.cfg_options)
    candidates: list[Candidate] = []
    for checkpoint in args.checkpoints:
        candidates += load_candidates(config, checkpoint, args.networks, args.device)
    if len(candidates) < 2:
        remedy = 'name further checkpoints, or --networks both'
        raise UserError(args.checkpoints[0], 'is the only candidate', remedy)
    dataset = chosen_dataset(args, config)
    classes = [str(name) for name in dataset.metainfo['classes']]
    scores = score_candidates(candidates, dataset, limit=args.max_images, progress=progress_bar)
    print('\n'.join(describe(scores, classes, args.by)))
    if args.json is not None:
        _write(args.json, json.dumps(summarise(scores, classes), indent=1) + '\n')


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(path, str(error.strerror or error), 'give a file that can be written') from error
