"""Choosing the estimator: one line that brings all of its settings, and no argument that is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from known_transition import noisy_views, nothing
from mmengine.config import Config
from mmseg.registry import MODELS

from dlc_mmseg.models.transition import ConfusionEstimator, ConsensusEstimator, NoiseTransitionMatrix

PUBLISHED = Path(__file__).parents[3] / 'configs' / 'dlc_potirrg2vai.py'
OWN = PUBLISHED.with_name('dlc_demo.py')


def child(folder, base, estimator):
    """A config that inherits another and writes one line."""
    text = f'_base_ = [{base.as_posix()!r}]\nmodel = dict(transition=dict(estimator={estimator}))\n'
    (folder / 'child.py').write_text(text, encoding='utf-8')
    return Config.fromfile(folder / 'child.py')


def built(config, classes):
    return MODELS.build(config.model.transition, default_args={'num_classes': classes})


def settings(estimator):
    return {name: value for name, value in vars(estimator).items() if isinstance(value, int | float | tuple | None)}


def assert_finds_the_confusion(matrix):
    """On fixed evidence of a known T; with the weight and rate of the other estimator it stays .05 away."""
    true = torch.full((6, 6), 0.04).fill_diagonal_(0.8)
    views = noisy_views(true, torch.full((6,), 1 / 6))
    for _ in range(200):
        matrix.update(None, views, nothing)
    evidence = matrix.estimator(None, views, matrix.initial)
    assert (matrix() - evidence.transition).abs().mean() < 0.01


@pytest.mark.parametrize(
    'line',
    ["'ConfusionEstimator'", "'confusion'", "dict(_delete_=True, type='ConfusionEstimator')"],
)
def test_one_line_turns_the_published_row_to_confusions(line, tmp_path):
    matrix = built(child(tmp_path, PUBLISHED, line), 6)
    assert settings(matrix.estimator) == settings(ConfusionEstimator(6))
    assert_finds_the_confusion(matrix)


def test_one_option_turns_the_published_row_to_confusions():
    config = Config.fromfile(PUBLISHED)
    config.merge_from_dict({'model.transition.estimator': 'ConfusionEstimator'})
    matrix = built(config, 6)
    assert settings(matrix.estimator) == settings(ConfusionEstimator(6))
    assert_finds_the_confusion(matrix)


@pytest.mark.parametrize('line', ["'ConsensusEstimator'", "'consensus'", "dict(type='ConsensusEstimator')"])
def test_one_line_turns_a_row_of_ours_to_the_published_estimator(line, tmp_path):
    published = built(Config.fromfile(PUBLISHED), 6)
    matrix = built(child(tmp_path, OWN, line), 6)
    expected = {**settings(published.estimator), 'learning_rate': None}
    assert settings(matrix.estimator) == expected
    assert matrix.learning_rate == 3 / matrix.total_iterations


def test_the_published_row_is_as_published():
    matrix = built(Config.fromfile(PUBLISHED), 6)
    assert isinstance(matrix.estimator, ConsensusEstimator)
    assert (matrix.learning_rate, matrix.estimator.loss_weight, matrix.estimator.num_points) == (3e-4, 0.2, 15000)
    assert (matrix.estimator.feature_level, matrix.estimator.betas, matrix.estimator.eps) == (-1, (0.9, 0.99), 1e-8)


def test_an_argument_changes_it_alone(tmp_path):
    estimator = built(child(tmp_path, OWN, 'dict(momentum=0.5)'), 6).estimator
    assert settings(estimator) == settings(ConfusionEstimator(6, momentum=0.5))


@pytest.mark.parametrize(
    ('base', 'line', 'foreign'),
    [
        (PUBLISHED, "dict(type='ConfusionEstimator')", 'num_points'),
        (PUBLISHED, 'dict(momentum=0.5)', 'momentum'),
        (OWN, 'dict(num_points=9)', 'num_points'),
        (OWN, "dict(_delete_=True, type='ConfusionEstimator', num_points=9)", 'num_points'),
        (OWN, "dict(_delete_=True, type='ConsensusEstimator', known_weight=1.0)", 'known_weight'),
        (OWN, 'dict(diagonal=0.9)', 'diagonal'),
        (OWN, 'dict(num_classes=6)', 'num_classes'),
    ],
)
def test_arguments_of_another_are_refused(base, line, foreign, tmp_path):
    with pytest.raises(ValueError, match=f'has no argument {foreign}, only .*leave it out; to replace .*_delete_=True'):
        built(child(tmp_path, base, line), 6)


@pytest.mark.parametrize('estimator', ['guess', 'ClassMix', {}, {'momentum': 0.1}, None, 3])
def test_other_things_are_no_estimator(estimator):
    with pytest.raises(ValueError, match="give 'ConfusionEstimator' or 'ConsensusEstimator'"):
        NoiseTransitionMatrix(3, estimator=estimator)


@pytest.mark.parametrize('estimator', [ConsensusEstimator, {'type': ConsensusEstimator, 'num_points': 9}])
def test_configs_in_pure_python_hold_classes(estimator):
    assert isinstance(NoiseTransitionMatrix(3, estimator=estimator).estimator, ConsensusEstimator)


@pytest.mark.parametrize('kind', [ConfusionEstimator, ConsensusEstimator])
@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('learning_rate', -1.0),
        ('learning_rate', float('inf')),
        ('loss_weight', float('nan')),
        ('loss_weight', -1.0),
        ('betas', (0.9, 1.0)),
        ('betas', (0.9,)),
        ('eps', 0.0),
    ],
)
def test_settings_out_of_range_are_refused(kind, name, value):
    with pytest.raises(ValueError, match=f'{name} is '):
        kind(3, **{name: value})


@pytest.mark.parametrize(
    ('kind', 'name', 'value'),
    [
        (ConfusionEstimator, 'momentum', 0.0),
        (ConfusionEstimator, 'momentum', 1.5),
        (ConfusionEstimator, 'known_weight', -1.0),
        (ConfusionEstimator, 'known_weight', float('nan')),
        (ConsensusEstimator, 'num_points', 2),
    ],
)
def test_own_settings_out_of_range_are_refused(kind, name, value):
    with pytest.raises(ValueError, match=f'{name} is '):
        kind(3, **{name: value})


def test_confusions_take_nothing_from_the_random_generator():
    features, labels = (torch.randn(1, 4, 2, 2),), torch.zeros(1, 8, 8).long()
    state = torch.get_rng_state()
    assert ConfusionEstimator(3).draw(features, labels, labels == 0) is None
    assert torch.equal(torch.get_rng_state(), state)
