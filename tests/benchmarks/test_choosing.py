"""What a score's choice is worth: regret and verdicts counted by hand, and which runs count as finished."""

from __future__ import annotations

import json

import pytest
from adaptation_study.watching import Watched, format_watched, watched
from choosing import SCORES, Row, checkpoints, chosen, finished_runs, format_table, gains, last, regret, verdicts


def row(variant, iteration, miou, **scores):
    return Row(variant, iteration, miou, {name: scores.get(name) for name in SCORES})


GROUP = [
    row('source_only', 80, 20.0, ensemble=0.1, confidence=0.9),
    row('source_only', 160, 22.0, ensemble=0.2, confidence=0.8),
    row('baseline', 80, 31.0, ensemble=0.7, confidence=0.5),
    row('baseline', 160, 18.0, ensemble=0.5, confidence=0.95),
    row('dlc', 80, 28.0, ensemble=0.9, confidence=0.4, accuracy=0.6),
    row('dlc', 160, 25.0, ensemble=0.3, confidence=0.3, accuracy=0.7),
]


def test_regret_is_what_the_chosen_one_lacks_of_the_best():
    assert chosen(GROUP, 'ensemble') is GROUP[4]
    assert regret(GROUP, chosen(GROUP, 'ensemble')) == 3.0
    assert chosen(GROUP, 'confidence') is GROUP[3]
    assert regret(GROUP, chosen(GROUP, 'confidence')) == 13.0
    assert chosen(GROUP, 'accuracy') is GROUP[5]  # those without T are no choice
    assert chosen(GROUP, 'mixing') is None
    assert regret(GROUP, None) is None
    assert regret(GROUP, last(GROUP, 'dlc')) == 6.0
    assert last(GROUP, 'statistics') is None


def test_verdicts_compare_last_checkpoints_only():
    assert gains(GROUP) == {'baseline': -4.0, 'dlc': 3.0}
    assert verdicts(GROUP, 'ensemble') == [False, True]
    assert verdicts(GROUP, 'confidence') == [False, False]
    assert verdicts(GROUP, 'accuracy') == []  # source-only has no T
    assert gains(GROUP[2:]) == {}


def test_the_table_holds_what_was_counted():
    other = [row('source_only', 160, 30.0, ensemble=0.9), row('dlc', 160, 24.0, ensemble=0.1)]
    table = format_table({'drone seed0': GROUP, 'drone seed1': other})
    assert table[0] == '2 pairs and seeds, 8 checkpoints; 2 self-trained runs.'
    cells = {line.split(' | ')[0].strip('| '): [cell.strip() for cell in line.split('|')[2:-1]] for line in table[4:]}
    assert cells['`ensemble`'] == ['1.5, 3.0 (of 2)', '', '2 of 3']
    assert cells['`confidence`'] == ['13.0, 13.0 (of 1)', '6.5, 13.0 (of 2)', '0 of 2']
    assert cells['`accuracy`'] == ['6.0, 6.0 (of 1)', '3.0, 3.0 (of 1)', '']
    assert cells['`mixing`'] == ['', '', '']
    assert cells['always the last, adapted (full DLC)'] == ['6.0, 6.0 (of 2)', '8.0, 13.0 (of 2)', '1 of 3']
    assert cells['always the last, source-only'] == ['4.5, 9.0 (of 2)', '', '2 of 3']
    assert cells['drawn by lot'] == ['5.0, 7.0 (of 2)', '4.0, 6.5 (of 2)', '50 %']


@pytest.mark.parametrize('missing', ['iter_160.pth', 'validation', 'config.py'])
def test_only_finished_runs_count_and_only_validated_checkpoints(tmp_path, missing):
    for variant in ('source_only', 'dlc'):
        folder = tmp_path / 'drone' / variant / 'seed1' / 'key'
        (folder / 'day/vis_data').mkdir(parents=True)
        (folder / 'config.py').write_text('train_cfg = dict(max_iters=160)')
        for iteration in (40, 80, 160):
            (folder / f'iter_{iteration}.pth').touch()
        lines = [{'step': step, 'mIoU': 30.0} for step in (80, 120, 160)]
        (folder / 'day/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    whole = finished_runs([tmp_path])
    assert list(whole) == ['drone seed1']
    assert list(whole['drone seed1']) == ['source_only', 'dlc']
    assert [path.name for path in checkpoints(whole['drone seed1']['dlc'])] == ['iter_80.pth', 'iter_160.pth']
    if missing == 'validation':
        (folder / 'day/vis_data/scalars.json').write_text('')
    else:
        (folder / missing).unlink()
    assert list(finished_runs([tmp_path])['drone seed1']) == ['source_only']


def watch_line(step, road, sure_road, **more):
    shares = {'watch.share.road': road, 'watch.share.car': 1 - road}
    sure = {'watch.sure_share.road': sure_road, 'watch.sure_share.car': 1 - sure_road}
    return {**shares, **sure, 'watch.sure': 0.5, 'step': step, **more}


def test_what_the_watch_said_stands_beside_how_the_run_ended(tmp_path):
    (tmp_path / 'day/vis_data').mkdir(parents=True)
    lines = [
        {'step': 80, 'mIoU': 31.0},
        watch_line(40, 0.5, 0.9),  # nothing is learnt from them yet
        watch_line(120, 0.6, 0.8, **{'watch.changed': 0.1}),
        watch_line(160, 0.5, 0.7, **{'watch.changed': 0.3}),
        {'step': 160, 'mIoU': 25.5},
    ]
    (tmp_path / 'day/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    assert watched('drone dlc', tmp_path, 27.0, 80) == Watched('drone dlc', -1.5, -5.5, 0.3, False)
    assert watched('drone dlc', tmp_path, 20.0, None) == Watched('drone dlc', 5.5, None, 0.3, True)


def test_warnings_are_counted_on_both_sides():
    rows = [
        Watched('a', -1.0, None, None, True),
        Watched('b', -2.0, -3.0, 0.25, False),
        Watched('c', 4.0, 1.0, 0.5, True),
    ]
    table = format_watched([row._asdict() for row in rows])
    assert table[0] == ('3 self-trained runs: 1 of 2 that ended below source-only were named, and 1 of 1 others.')
    assert table[4:] == ['| b | -2.0 | -3.0 | 25% |  |', '| a | -1.0 |  |  | yes |', '| c | +4.0 | +1.0 | 50% | yes |']
    assert format_watched([]) == []
