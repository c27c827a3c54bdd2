"""`dlc-mmseg export`: what predicts is what is written, and it runs without this package."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import toy
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS
from PIL import Image
from tiny_domains import CLASSES, PACK, PALETTE, dataset_config, write_domain

from dlc_mmseg.cli import main
from dlc_mmseg.deploy.export.network import predicting_network
from dlc_mmseg.deploy.export.onnx_model import OnnxOptions, metadata

RESNET = ConfigDict(
    {
        'type': 'EncoderDecoder',
        'backbone': {
            'type': 'ResNetV1c',
            'depth': 18,
            'stem_channels': 8,
            'base_channels': 8,
            'norm_cfg': {'type': 'SyncBN'},
            'init_cfg': {'type': 'Pretrained', 'checkpoint': 'https://nowhere.invalid/weights.pth'},
        },
        'decode_head': toy.head(in_channels=64, in_index=3, norm_cfg={'type': 'SyncBN'}),
        'auxiliary_head': toy.head(in_channels=32, in_index=2, norm_cfg={'type': 'SyncBN'}),
        'test_cfg': {'mode': 'slide', 'crop_size': (32, 32), 'stride': (16, 16)},
    }
)


def trained(root, model=None, **changes):
    """A config and a checkpoint of a run; student and teacher differ in weights and statistics."""
    model = model or toy.dlc(segmentor=RESNET, predict_with='teacher', strong_augmentation=None)
    write_domain(root / 'tiles', 2)
    loader = {'batch_size': 1, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler'}}
    loader['dataset'] = dataset_config(root / 'tiles', labelled=False, pipeline=[{'type': 'LoadImageFromFile'}, PACK])
    Config({'model': model, 'default_scope': 'mmseg', 'test_dataloader': loader, **changes}).dump(str(root / 'run.py'))
    torch.manual_seed(0)
    built = MODELS.build(model)
    for name, value in built.state_dict().items():
        if name.endswith(('weight', 'bias', 'running_mean')):
            value.add_(0.1 * torch.randn_like(value))
    content = {
        'state_dict': built.state_dict(),
        'optimizer': {'state': torch.zeros(10**6)},
        'meta': {'dataset_meta': {'classes': CLASSES, 'palette': PALETTE}},
    }
    torch.save(content, root / 'run.pth')
    return root / 'run.py', root / 'run.pth', built.eval()


def export(*arguments):
    return main(['export', *map(str, arguments)])


def picture(root, size=48):
    path = root / 'picture.png'
    pixels = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path, pixels


def expected_logits(model, pixels):
    """Logits of the whole adaptation model for an RGB picture, as `mim test` computes them."""
    image = torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)  # BGR, as OpenCV loads it
    from mmseg.structures import SegDataSample

    size = pixels.shape[:2]
    sample = SegDataSample(metainfo={'img_shape': size, 'ori_shape': size, 'pad_shape': size})
    return model.test_step({'inputs': [image], 'data_samples': [sample]})[0].seg_logits.data.detach().numpy()


WITHOUT_PACKAGE = """
    import sys
    sys.modules['dlc_mmseg'] = None  # importing it fails
    import numpy as np
    from mmseg.apis import MMSegInferencer, inference_model, init_model
    model = init_model('shipped/model.py', 'shipped/model.pth', device='cpu')
    sample = inference_model(model, 'picture.png')
    np.savez('out.npz', logits=sample.seg_logits.data.numpy(), classes=model.dataset_meta['classes'])
    inferencer = MMSegInferencer('shipped/model.py', 'shipped/model.pth', device='cpu', show_progress=False)
    np.save('map.npy', inferencer('picture.png')['predictions'])
"""


def test_a_plain_model_predicts_the_same_where_this_package_is_not_installed(tmp_path, capsys):
    config, checkpoint, model = trained(tmp_path)
    assert export(config, checkpoint, tmp_path / 'shipped') == 0
    printed = capsys.readouterr().out
    assert 'the teacher predicts' in printed
    assert 'needs dlc_mmseg' not in printed
    _, pixels = picture(tmp_path)
    code = textwrap.dedent(WITHOUT_PACKAGE)
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / 'out.npz')
    expected = expected_logits(model, pixels)
    np.testing.assert_allclose(found['logits'], expected, rtol=1e-3, atol=1e-4)
    assert (np.load(tmp_path / 'map.npy') == expected.argmax(0)).mean() > 0.99
    assert tuple(found['classes']) == CLASSES


def test_only_the_predicting_network_is_written(tmp_path):
    config, checkpoint, model = trained(tmp_path)
    export(config, checkpoint, tmp_path / 'shipped')
    content = torch.load(tmp_path / 'shipped' / 'model.pth', weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    expected = {k: v for k, v in model.teacher.state_dict().items() if not k.startswith('auxiliary_head')}
    assert set(content['state_dict']) == set(expected)
    assert all(torch.equal(content['state_dict'][key], value) for key, value in expected.items())
    text = (tmp_path / 'shipped' / 'model.py').read_text()
    assert 'nowhere.invalid' not in text
    assert 'SyncBN' not in text
    assert (tmp_path / 'shipped' / 'model.pth').stat().st_size < checkpoint.stat().st_size / 3


def test_parts_of_this_package_are_told_and_imported(tmp_path, capsys):
    preprocessor = {**toy.preprocessor(4), 'type': 'PairedDomainDataPreprocessor'}
    segmentor = {**RESNET, 'backbone': {**RESNET['backbone'], 'in_channels': 4}}
    config, checkpoint, _ = trained(tmp_path, toy.dlc(segmentor=segmentor, data_preprocessor=preprocessor))
    assert export(config, checkpoint, tmp_path / 'shipped') == 0
    assert 'needs dlc_mmseg where it runs, for PairedDomainDataPreprocessor' in capsys.readouterr().out
    written = Config.fromfile(tmp_path / 'shipped' / 'model.py')
    assert written.custom_imports.imports == ['dlc_mmseg']


def test_rasters_are_loaded_as_they_were(tmp_path, capsys):
    config, checkpoint, _ = trained(tmp_path)
    content = Config.fromfile(config)
    content.test_dataloader.dataset.pipeline = [{'type': 'LoadRasterFromFile'}, {'type': 'PackRasterInputs'}]
    content.dump(str(config))
    assert export(config, checkpoint, tmp_path / 'shipped') == 0
    written = Config.fromfile(tmp_path / 'shipped' / 'model.py')
    assert [step['type'] for step in written.test_pipeline] == ['LoadRasterFromFile', 'PackRasterInputs']
    assert written.model.data_preprocessor.type == 'PairedDomainDataPreprocessor'  # which knows pixels without data
    assert 'needs dlc_mmseg where it runs' in capsys.readouterr().out


@pytest.mark.parametrize('channels', [1, 3])
def test_a_softmax_is_put_in_only_where_the_head_was_trained_with_one(tmp_path, capsys, channels):
    pytest.importorskip('onnxscript', reason='the extra [onnx] is not installed')
    loss = {'type': 'CrossEntropyLoss', 'use_sigmoid': True}
    classes = {'num_classes': max(channels, 2), 'out_channels': channels, 'threshold': 0.5}
    head = toy.head(in_channels=64, in_index=3, loss_decode=loss, **classes)
    model = {**RESNET, 'decode_head': head, 'auxiliary_head': None, 'data_preprocessor': toy.preprocessor()}
    config, checkpoint, _ = trained(tmp_path, model)
    assert export(config, checkpoint, tmp_path / 'm.onnx', '--tile-size', 32, '--softmax') == 2
    assert '--softmax: the head gives scores of sigmoids' in capsys.readouterr().err


def test_a_plain_segmentor_is_exported_too(tmp_path, capsys):
    model = {**RESNET, 'data_preprocessor': {'type': 'SegDataPreProcessor', 'mean': [1.0] * 3, 'std': [2.0] * 3}}
    config, checkpoint, _ = trained(tmp_path, model)
    assert export(config, checkpoint, tmp_path / 'shipped') == 0
    assert 'the model predicts' in capsys.readouterr().out


def run_onnx(path, images):
    onnxruntime = pytest.importorskip('onnxruntime', reason='the extra [onnx] is not installed')
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return session, session.run(None, {'images': images})[0]


def test_onnx_gives_the_probabilities_of_stored_pixel_values(tmp_path, capsys):
    pytest.importorskip('onnxscript', reason='the extra [onnx] is not installed')
    config, checkpoint, model = trained(tmp_path, toy.dlc(predict_with='student', strong_augmentation=None))
    path = tmp_path / 'map.onnx'
    options = ('--tile-size', 48, '--normalise', '--softmax', '--resolution', 25)
    assert export(config, checkpoint, path, *options) == 0
    assert 'takes images of 48 x 48 px' in capsys.readouterr().out
    _, pixels = picture(tmp_path)
    bgr = pixels[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)  # the toy preprocessor keeps BGR
    session, probs = run_onnx(path, np.ascontiguousarray(bgr))
    expected = torch.from_numpy(expected_logits(model, pixels)).softmax(0).numpy()
    np.testing.assert_allclose(probs[0], expected, atol=1e-4)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties['class_names']) == {str(index): name for index, name in enumerate(CLASSES)}
    assert json.loads(properties['model_type']) == 'Segmentor'
    assert json.loads(properties['tile_size']) == 48
    assert json.loads(properties['resolution']) == 25
    assert set(properties) == {
        'model_type',
        'class_names',
        'resolution',
        'tile_size',
        'tiles_overlap',
        'standardization_mean',
        'standardization_std',
    }
    # Deepness computes (value / 255 - mean) / std and hands the result to the file
    mean, std = (np.array(json.loads(properties[f'standardization_{name}'])) for name in ('mean', 'std'))
    np.testing.assert_allclose((pixels[0, 0] / 255 - mean) / std, pixels[0, 0], atol=1e-9)


def test_metadata_of_a_file_without_normalisation_normalise_in_the_plug_in(tmp_path):
    config, checkpoint, _ = trained(tmp_path)
    network = predicting_network(Config.fromfile(config), checkpoint)
    properties = metadata(network, OnnxOptions(tile_size=32, overlap=0.25))
    mean, std = (np.array(json.loads(properties[f'standardization_{name}'])) for name in ('mean', 'std'))
    np.testing.assert_allclose((200 / 255 - mean) / std, (200 - 127.5) / 60.0)
    assert json.loads(properties['tiles_overlap']) == 25
    assert 'resolution' not in properties


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['out', '--softmax'], '--softmax: belongs to ONNX: leave it out, or name a file:'),
        (['m.onnx', '--tile-size', '0'], 'tile_size is 0: give a number of pixels >= 1'),
        (['m.onnx', '--resolution', '-1'], 'resolution is -1.0: give centimetres per pixel > 0'),
    ],
)
def test_options_that_do_not_apply_are_refused_in_one_line(tmp_path, capsys, arguments, expected):
    config, checkpoint, _ = trained(tmp_path)
    assert export(config, checkpoint, tmp_path / arguments[0], *arguments[1:]) == 2
    error = capsys.readouterr().err.strip()
    assert expected in error
    assert '\n' not in error
    assert not (tmp_path / arguments[0]).exists()


def test_a_missing_extra_is_told_in_one_line(tmp_path, capsys, monkeypatch):
    config, checkpoint, _ = trained(tmp_path)
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert export(config, checkpoint, tmp_path / 'm.onnx', '--tile-size', 32) == 2
    assert 'ONNX export needs onnx, onnxscript, onnxruntime: pip install "dlc-mmseg[onnx]"' in capsys.readouterr().err


def test_a_network_that_onnx_cannot_hold_is_told_in_one_line(tmp_path, capsys, monkeypatch):
    pytest.importorskip('onnxscript', reason='the extra [onnx] is not installed')
    config, checkpoint, _ = trained(tmp_path)

    def refuse(*_args, **_kwargs):
        raise RuntimeError('pages of advice') from ValueError('no such operation: round\nmore')

    monkeypatch.setattr(torch.onnx, 'export', refuse)
    assert export(config, checkpoint, tmp_path / 'm.onnx', '--tile-size', 32) == 2
    assert 'model: cannot be written as ONNX (no such operation: round): export' in capsys.readouterr().err
    assert not (tmp_path / 'm.onnx').exists()


def test_only_the_exporter_is_quiet(tmp_path, monkeypatch, caplog):
    pytest.importorskip('onnxscript', reason='the extra [onnx] is not installed')
    config, checkpoint, _ = trained(tmp_path)

    def speak(*_args, **_kwargs):
        for name in ('torch.onnx._internal', 'onnxscript.optimizer', 'of.the.user'):
            logging.getLogger(name).addHandler(caplog.handler)
            logging.getLogger(name).warning('heard %s', name)
        raise RuntimeError('enough')

    monkeypatch.setattr(torch.onnx, 'export', speak)
    assert export(config, checkpoint, tmp_path / 'm.onnx', '--tile-size', 32) == 2
    assert {text for text in caplog.messages if text.startswith('heard')} == {'heard of.the.user'}


def test_the_ground_size_comes_from_georeferenced_images(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    from dlc_mmseg.deploy.export.ground_resolution import ground_resolution

    profile = {'driver': 'GTiff', 'width': 8, 'height': 8, 'count': 1, 'dtype': 'uint8'}
    transform = rasterio.Affine(0.25, 0, 500000, 0, -0.25, 5500000)
    with rasterio.open(tmp_path / 'a.tif', 'w', crs='EPSG:32633', transform=transform, **profile) as image:
        image.write(np.zeros((1, 8, 8), np.uint8))
    with rasterio.open(tmp_path / 'b.tif', 'w', crs='EPSG:4326', transform=transform, **profile) as image:
        image.write(np.zeros((1, 8, 8), np.uint8))
    assert ground_resolution(tmp_path / 'a.tif') == 25
    assert ground_resolution(tmp_path / 'b.tif') is None
    assert ground_resolution(picture(tmp_path)[0]) is None
