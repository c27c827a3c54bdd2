"""`dlc-mmseg compare`: scores against a second computation, and one line for every mistake."""

from __future__ import annotations

import json
import math

import pytest
import torch
import toy
from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS
from tiny_domains import CLASSES, dataset_config, write_domain

from dlc_mmseg.cli import main
from dlc_mmseg.deploy.selection.report import describe, ranked, winners
from dlc_mmseg.deploy.selection.scoring import CandidateScores

NAN = math.nan


def compare(*arguments):
    return main(['compare', *map(str, arguments)])


@pytest.fixture
def runs(tmp_path):
    """A config, an adaptation checkpoint whose student and teacher differ, and a source-only one without T."""
    write_domain(tmp_path / 'tiles', [{1: 60, 2: 40}, {1: 100, 2: 30}, {1: 30, 2: 20}])
    loader = {'batch_size': 1, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler'}}
    loader['dataset'] = dataset_config(tmp_path / 'tiles', test_mode=True)
    model = toy.dlc(predict_with='teacher')
    Config({'model': model, 'default_scope': 'mmseg', 'test_dataloader': loader}).dump(str(tmp_path / 'run.py'))
    for name, seed, changes in (('adapted', 0, {}), ('source_only', 1, {'transition': None})):
        torch.manual_seed(seed)
        parts = {'volume_loss': None, 'convexity_loss': None} if changes else {}
        built = MODELS.build({**model, **changes, **parts})
        for key, value in built.state_dict().items():
            if key.endswith('conv_seg.weight'):
                value.copy_(torch.randn_like(value))
            if key == 'transition.steps':
                value.fill_(3)
        torch.save({'state_dict': built.state_dict()}, tmp_path / f'{name}.pth')
    return tmp_path, tmp_path / 'run.py', tmp_path / 'adapted.pth', tmp_path / 'source_only.pth'


def predictions(config, checkpoint, role):
    """Probabilities of one network on each image, by a model built for it alone."""
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    model = MODELS.build({**toy.segmentor(), 'data_preprocessor': toy.preprocessor()}).eval()
    model.load_state_dict({k.removeprefix(f'{role}.'): v for k, v in state.items() if k.startswith(role)})
    for item in DATASETS.build(Config.fromfile(config).test_dataloader.dataset):
        sample = model.test_step({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0]
        yield sample.seg_logits.data.detach().softmax(0), sample.gt_sem_seg.data[0]


def iou(reference, predicted):
    values = []
    for index in range(len(CLASSES)):
        union = ((reference == index) | (predicted == index)).sum()
        if union:
            values.append(float(((reference == index) & (predicted == index)).sum() / union))
    return sum(values) / len(values)


def test_scores_are_those_of_a_second_computation(runs, capsys):
    root, config, adapted, source_only = runs
    assert compare(config, source_only, adapted, '--json', root / 'scores.json') == 0
    rows = json.loads((root / 'scores.json').read_text())['candidates']
    assert [row['candidate'] for row in rows] == [f'{source_only} (teacher)', f'{adapted} (teacher)']
    first, second = (list(predictions(config, path, 'teacher')) for path in (source_only, adapted))
    mean = torch.cat([(a + b).argmax(0).flatten() for (a, _), (b, _) in zip(first, second, strict=True)])
    for row, found in zip(rows, (first, second), strict=True):
        probs = torch.cat([prob.flatten(1) for prob, _ in found], dim=1).double()
        labels = torch.cat([label.flatten() for _, label in found])
        assert row['ensemble'] == pytest.approx(iou(mean, probs.argmax(0)), abs=1e-5)
        assert row['miou'] == pytest.approx(iou(labels, probs.argmax(0)), abs=1e-5)
        assert row['confidence'] == pytest.approx(float(probs.amax(0).mean()), abs=1e-5)
        marginal = torch.special.entr(probs.mean(1)).sum() / math.log(3)
        assert row['diversity'] == pytest.approx(float(marginal), abs=1e-5)
        assert sum(row['shares'].values()) == pytest.approx(1, abs=1e-4)
        assert 0 <= row['mixing'] <= 1
    assert rows[0]['accuracy'] is None  # it learnt no T
    state = torch.load(adapted, weights_only=True)['state_dict']
    diagonal, prior = state['transition.logits'].softmax(1).diagonal(), state['transition.prior_logits'].softmax(0)
    assert rows[1]['accuracy'] == pytest.approx(float((prior * diagonal).sum()), abs=1e-5)
    out = capsys.readouterr().out
    assert 'true mIoU' in out
    assert 'No score knows the truth' in out


def test_a_t_that_has_not_learnt_yet_claims_nothing(runs):
    root, config, adapted, source_only = runs
    state = torch.load(adapted, weights_only=True)['state_dict']
    torch.save({'state_dict': {**state, 'transition.steps': torch.zeros(())}}, root / 'warm_up.pth')
    assert compare(config, root / 'warm_up.pth', adapted, source_only, '--json', root / 'scores.json') == 0
    rows = json.loads((root / 'scores.json').read_text())['candidates']
    assert [row['accuracy'] is None for row in rows] == [True, False, True]


def test_each_checkpoint_brings_the_statistics_that_auto_stood_for(runs):
    root, config, adapted, source_only = runs
    options = [config, source_only, adapted, '--json', root / 'scores.json']
    assert compare(*options) == 0
    stated = json.loads((root / 'scores.json').read_text())
    changed = Config.fromfile(config)
    given = changed.model.data_preprocessor.to_dict()
    changed.model.data_preprocessor.update(mean='auto', std='auto')
    changed.dump(str(config))
    for path in (source_only, adapted):
        checkpoint = torch.load(path, weights_only=True)
        for name in ('mean', 'std'):
            checkpoint['state_dict'][f'data_preprocessor.{name}'] = torch.tensor(given[name]).view(-1, 1, 1)
        torch.save(checkpoint, path)
    assert compare(*options) == 0
    assert json.loads((root / 'scores.json').read_text()) == stated


def test_without_labels_nothing_is_said_of_the_truth(runs, capsys):
    root, config, adapted, source_only = runs
    assert compare(config, source_only, adapted, '--images', root / 'tiles' / 'img', '--max-images', 2) == 0
    assert 'mIoU' not in capsys.readouterr().out


def test_student_and_teacher_of_one_checkpoint_are_two_candidates(runs, capsys):
    _, config, adapted, _ = runs
    assert compare(config, adapted, '--networks', 'both') == 0
    out = capsys.readouterr().out
    assert f'{adapted} (student)' in out
    assert f'{adapted} (teacher)' in out


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ([], 'is the only candidate: name further checkpoints, or --networks both'),
        (['--networks', 'both', '--labels', '.'], 'belong to --images'),
    ],
)
def test_mistakes_end_in_one_line(runs, capsys, options, expected):
    _, config, adapted, _ = runs
    assert compare(config, adapted, *options) == 2
    assert expected in capsys.readouterr().err


def test_no_images_at_most_are_refused(capsys):
    with pytest.raises(SystemExit):
        compare('c.py', 'a.pth', 'b.pth', '--max_images', '0')
    assert "'0': give a whole number >= 1" in capsys.readouterr().err


def test_another_network_is_refused(runs, capsys):
    root, config, adapted, _ = runs
    torch.save({'state_dict': {'backbone.weight': torch.zeros(1)}}, root / 'other.pth')
    assert compare(config, adapted, root / 'other.pth') == 2
    assert 'does not fit the network of the config' in capsys.readouterr().err


def test_data_of_other_classes_is_refused(runs, capsys):
    _, config, adapted, source_only = runs
    changed = Config.fromfile(config)
    changed.test_dataloader.dataset.metainfo = {'classes': ('ground', 'roof'), 'palette': [[0, 0, 0], [255, 0, 0]]}
    changed.dump(str(config))
    assert compare(config, source_only, adapted) == 2
    found = capsys.readouterr().err
    assert 'metainfo.classes: the data has 2 classes (ground, roof), the networks predict 3: ' in found
    assert 'give the data the classes that the networks were trained on' in found


def row(name, **changes):
    figures = dict.fromkeys(('ensemble', 'mixing', 'information', 'diversity', 'confidence'), 0.5)
    return CandidateScores(**{'name': name, **figures, 'accuracy': NAN, 'shares': (0.5, 0.5), 'miou': NAN, **changes})


def test_a_collapsed_candidate_and_disagreeing_scores_are_named():
    good = row('good', ensemble=0.9, diversity=0.9)
    collapsed = row('collapsed', confidence=0.99, diversity=0.1, shares=(0.02, 0.98))
    text = '\n'.join(describe([collapsed, good], ['water', 'land'], 'ensemble'))
    assert 'collapsed: 98 % of its pixels are land: it may have collapsed.' in text
    assert 'The scores disagree' in text
    assert text.index(' good') < text.index(' collapsed')


def test_candidates_without_a_score_come_last_and_choose_nothing():
    rows = [row('a'), row('b', accuracy=0.7), row('c', accuracy=0.8)]
    assert [entry.name for entry in ranked(rows, 'accuracy')] == ['c', 'b', 'a']
    assert winners(rows)['accuracy'] == 'c'
    assert 'accuracy' not in winners(rows[:2])
