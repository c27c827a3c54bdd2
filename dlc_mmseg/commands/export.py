"""`dlc-mmseg export`: the network that predicts, as a plain MMSegmentation model or as ONNX."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmseg.registry import DATASETS

from dlc_mmseg.commands._config_file import add_config_changes, read_config
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.deploy.export.ground_resolution import ground_resolution
from dlc_mmseg.deploy.export.network import Network, predicting_network
from dlc_mmseg.deploy.export.onnx_model import OnnxOptions, export_onnx
from dlc_mmseg.deploy.export.plain_model import export_plain
from dlc_mmseg.errors import UserError

_TILE = 512

_EPILOG = """OUT decides the form:
  a folder         model.py and model.pth: a plain MMSegmentation config and checkpoint for init_model and
                   MMSegInferencer, without teacher, optimizer and T. This package is not needed to run them,
                   unless the network (HRDA, DAFormer head) or the loading of images (LoadRasterFromFile) is of its
                   own, which is then said.
  a name in .onnx  one ONNX file for images of one size, checked with ONNX Runtime; needs the extra [onnx]

examples:
  dlc-mmseg export configs/dlc_custom.py work_dirs/dlc_custom/iter_4000.pth shipped
  dlc-mmseg export configs/dlc_custom.py work_dirs/dlc_custom/iter_4000.pth map.onnx --softmax   # for QGIS (Deepness)
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = 'Write the network that predicts, and nothing else of the run, in a form that ships.'
    parser.epilog = _EPILOG
    parser.add_argument('config', metavar='CONFIG', type=Path, help='config of the run')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', type=Path, help='its checkpoint')
    parser.add_argument('out', metavar='OUT', type=Path, help='a folder, or a file ending in .onnx')
    onnx = parser.add_argument_group('ONNX')
    help_tile = "height and width in pixels of the images it takes (default: the config's window, or 512)"
    add_option(onnx, 'tile_size', metavar='N', type=int, help=help_tile)
    help_normalise = 'put the normalisation inside: the file takes pixel values as stored'
    onnx.add_argument('--normalise', action='store_true', help=help_normalise)
    onnx.add_argument('--softmax', action='store_true', help='put the softmax inside: the file gives probabilities')
    help_resolution = 'centimetres per pixel, for the metadata (default: as the test images say)'
    onnx.add_argument('--resolution', metavar='CM', type=float, help=help_resolution)
    add_config_changes(parser)


def run(args: argparse.Namespace) -> None:
    """Export and say what was written.

    Args:
        args: See `configure`.

    Raises:
        UserError: If config and checkpoint do not fit, an option does not apply, or the network cannot be exported.
    """
    onnx = args.out.suffix.lower() == '.onnx'
    if not onnx:
        _refuse_onnx_options(args)
    config = read_config(args.config, args.cfg_options)
    network = predicting_network(config, args.checkpoint)
    print(f'{args.checkpoint}: {_size(network.checkpoint_bytes)}, the {network.role} predicts')
    if onnx:
        _write_onnx(args, config, network)
        return
    plain = export_plain(network, _pipeline(config), args.out)
    print(f'{plain.config}, {plain.checkpoint}: {_size(plain.checkpoint_bytes)}')
    if plain.needs:
        print(f'needs dlc_mmseg where it runs, for {", ".join(plain.needs)}')


def _write_onnx(args: argparse.Namespace, config: Config, network: Network) -> None:
    window = network.config.get('test_cfg') or {}
    slides = window.get('mode') == 'slide'
    size, stride = (max(window[name]) for name in ('crop_size', 'stride')) if slides else (_TILE, _TILE // 2)
    resolution = args.resolution if args.resolution is not None else _resolution(config)
    options = OnnxOptions(
        tile_size=args.tile_size if args.tile_size is not None else size,
        overlap=1 - stride / size,
        normalise=args.normalise,
        softmax=args.softmax,
        resolution=resolution,
    )
    difference = export_onnx(network, args.out, options)
    side = options.tile_size
    print(f'{args.out}: {_size(args.out.stat().st_size)}, takes images of {side} x {side} px')
    print(f'ONNX Runtime and PyTorch differ by {difference:.1g} on a random image')
    if not options.softmax:
        print('it gives logits; QGIS (Deepness) expects probabilities: --softmax')
    if resolution is None:
        print('ground size of a pixel unknown: --resolution CM puts it into the metadata')


def _refuse_onnx_options(args: argparse.Namespace) -> None:
    given = [name for name in ('tile_size', 'normalise', 'softmax', 'resolution') if getattr(args, name)]
    if given:
        names = ', '.join(f'--{name}' for name in given)
        raise UserError(names, 'belongs to ONNX', f'leave it out, or name a file: {args.out.with_suffix(".onnx")}')


def _test_dataset(config: Config) -> dict[str, Any]:
    loader = config.get('test_dataloader') or config.get('val_dataloader') or {}
    return dict(loader.get('dataset') or {})


def _pipeline(config: Config) -> list[dict[str, Any]]:
    """Steps of the test data, or MMSegmentation's usual ones."""
    steps = _test_dataset(config).get('pipeline') or config.get('test_pipeline')
    return list(steps or [{'type': 'LoadImageFromFile'}, {'type': 'PackSegInputs'}])


def _resolution(config: Config) -> float | None:
    """Ground size of a pixel of the first test image, if the data are here."""
    try:
        dataset = DATASETS.build({**_test_dataset(config), 'lazy_init': True, 'test_mode': True})
        first = dataset.load_data_list()[0]
    except Exception:  # noqa: BLE001, a hint only: the data need not be here
        return None
    return ground_resolution(Path(str(first['img_path'])))


def _size(count: int) -> str:
    return f'{count / 1e6:.1f} MB'
