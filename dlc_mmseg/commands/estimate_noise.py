"""`dlc-mmseg estimate-noise`: which classes a model confuses on images without labels."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image

from dlc_mmseg.commands._config_file import add_config_changes, read_config
from dlc_mmseg.commands._images import add_image_options, at_least, chosen_dataset
from dlc_mmseg.commands._progress import progress_bar
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.deploy.noise.estimation import NoiseEstimate, Observations, collect_points, estimate_noise
from dlc_mmseg.deploy.noise.predicting import load_model
from dlc_mmseg.deploy.noise.report import describe, draw, summarise
from dlc_mmseg.errors import UserError
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor

_EPILOG = """Any MMSegmentation segmentor will do; its probabilities are those of the softmax, sigmoids or masks that
its head is trained with. Of a DLCSegmentor the network is taken that its config predicts with, and the T that it learnt
stands beside the estimate. Prints tables, writes noise.png and noise.json.

example:
  dlc-mmseg estimate-noise configs/dlc_demo.py work_dirs/demo/seed0/dlc_demo/iter_640.pth
  dlc-mmseg estimate-noise CONFIG CHECKPOINT --images tiles/new_city --suffix .tif --out_dir noise/new_city
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = (
        'Estimate the transition matrix T[i, j] = P(predicted class j | true class i) of a model on images without '
        'labels, from its probabilities or from the predictions of pixels with similar features.'
    )
    parser.epilog = _EPILOG
    parser.add_argument('config', metavar='CONFIG', type=Path, help='config of the model')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', type=Path, help='its checkpoint')
    add_image_options(parser)
    help_estimator = (
        "the confusion that the model's probabilities expect (default), or the predictions of pixels with similar "
        'features: by maximum likelihood, or by the published consensus recipe'
    )
    choices = ('confusion', 'likelihood', 'consensus')
    add_option(parser, 'estimator', type=_estimator, choices=choices, default=choices[0], help=help_estimator)
    neighbours = parser.add_argument_group('points, for the estimators that ask pixels with similar features')
    help_level = "which of the backbone's outputs gives the features: 0 is the shallowest, -1 the deepest (default: 1)"
    add_option(neighbours, 'feature_level', metavar='N', type=int, help=help_level)
    help_points = 'points drawn over all images (default: 15000)'
    add_option(neighbours, 'num_points', metavar='N', type=at_least(3), default=15000, help=help_points)
    add_option(neighbours, 'seed', type=at_least(0), default=0, help='seed of the draw (default: 0)')
    help_out = 'where noise.png and noise.json go (default: noise)'
    add_option(parser, 'out_dir', metavar='DIR', type=Path, default=Path('noise'), help=help_out)
    add_option(parser, 'device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default: %(default)s')
    add_config_changes(parser)


def run(args: argparse.Namespace) -> None:
    """Segment, estimate, print and write.

    Args:
        args: See `configure`.

    Raises:
        UserError: If config, checkpoint or images cannot be read or do not fit each other.
    """
    config = read_config(args.config, args.cfg_options)
    dataset = chosen_dataset(args, config)
    model = load_model(config, args.checkpoint, args.device)
    classes = [str(name) for name in dataset.metainfo['classes']]
    with _writing(args.out_dir):
        args.out_dir.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=args.out_dir).close()
    points = collect_points(
        model,
        dataset,
        num_classes=len(classes),
        feature_level=args.feature_level,
        num_points=0 if args.estimator == 'confusion' else args.num_points,
        max_images=args.max_images,
        seed=args.seed,
        progress=progress_bar,
    )
    noise = estimate_noise(points, estimator=args.estimator, seed=args.seed)
    print('\n'.join(describe(points, noise, classes)))
    learnt = None
    if isinstance(model, DLCSegmentor) and model.transition is not None:
        learnt = model.transition().detach()
    _write(args, points, noise, classes, learnt)


def _write(
    args: argparse.Namespace,
    points: Observations,
    noise: NoiseEstimate,
    classes: list[str],
    learnt: torch.Tensor | None,
) -> None:
    picture = draw(points, noise, classes, learnt)
    named = ('config', 'checkpoint', 'images', 'labels', 'estimator', 'feature_level', 'seed')
    options = {name: value if isinstance(value := getattr(args, name), int | None) else str(value) for name in named}
    content = {'options': options, **summarise(points, noise, classes)}
    if learnt is not None:
        content['learnt_transition'] = [[round(value, 6) for value in row] for row in learnt.tolist()]
    with _writing(args.out_dir):
        Image.fromarray(picture).save(args.out_dir / 'noise.png')
        (args.out_dir / 'noise.json').write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    print(f'\nwritten: {args.out_dir / "noise.png"}, {args.out_dir / "noise.json"}')


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(folder, error.strerror or str(error), 'give a folder that can be written') from error


def _estimator(name: str) -> str:
    """The name of an estimator; versions before 0.2 called the first ``probabilities``."""
    return 'confusion' if name == 'probabilities' else name
