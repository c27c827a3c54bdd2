"""Training runs as one page: what it shows, that it needs nothing beside it, and that a browser shows it."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import toy
from mmengine.config import Config
from mmseg.registry import RUNNERS
from PIL import Image
from tiny_run import run_config, write_pair

from dlc_mmseg.cli import main
from dlc_mmseg.deploy.report.curves import Chart, Line, charts_of, comparing_charts, draw_chart
from dlc_mmseg.deploy.report.tiles import choose
from dlc_mmseg.deploy.report.work_dirs import read_runs
from dlc_mmseg.errors import UserError

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
SOURCE_ONLY = {'class_mix': None, 'masked_consistency': None, 'strong_augmentation': None, 'transition': None,
               'volume_loss': None, 'convexity_loss': None}  # fmt: skip


class Page(HTMLParser):
    """What an HTML page holds: tags with their attributes, whether they are closed, and texts."""

    VOID = ('meta', 'img', 'br', 'link')

    def __init__(self, content):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != 'style':
            self.texts.append(' '.join(data.split()))

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def train(root, work_dir, **changes):
    """Four iterations, validated every second one, with what `default_runtime.py` leaves in a work_dir."""
    config = run_config(root, work_dir=str(work_dir), runner_type='PreflightRunner', **changes)
    config.train_cfg.update(max_iters=4, val_interval=2)
    config.log_processor = {'type': 'ReadableLogProcessor', 'by_epoch': False}
    config.default_hooks.run_summary = {'type': 'RunSummaryHook'}
    config.custom_hooks = [{'type': 'PseudoLabelHook', 'interval': 2}, {'type': 'TransitionMatrixHook', 'interval': 2}]
    config.visualizer.update(vis_backends=[{'type': 'LocalVisBackend'}], name=work_dir.name)
    for evaluator in filter(None, (config.val_evaluator, config.test_evaluator)):
        evaluator.update(type='ClassIoUMetric', iou_metrics=['mIoU', 'mFscore'])
    config.experiment_name = f'report of {work_dir}'
    RUNNERS.build(Config(config.to_dict())).train()


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A source-only and an adapted run."""
    root = tmp_path_factory.mktemp('runs')
    write_pair(root)
    train(root, root / 'source_only', model=toy.dlc(**SOURCE_ONLY))
    train(root, root / 'adapted <DLC>')
    return root / 'source_only', root / 'adapted <DLC>'


@pytest.fixture(scope='module')
def report(runs, tmp_path_factory):
    file = tmp_path_factory.mktemp('report') / 'report.html'
    assert main(['report', *map(str, runs), '--out', str(file), '--tiles', '4']) == 0
    return file


def test_the_page_needs_nothing_beside_it(report):
    content = report.read_text(encoding='utf-8')
    page = Page(content)
    assert {tag for tag, _ in page.tags}.isdisjoint({'script', 'link', 'iframe', 'object'})
    assert not re.search(r'(?:src|href)=|url\(|@import|https?://', re.sub(r'src="data:[^"]*"', '', content))
    images = page.attributes('img')
    assert len(images) >= 12
    for image in images:
        kind, data = re.fullmatch(r'data:image/([a-z+]+);base64,(.+)', image['src']).groups()
        decoded = base64.b64decode(data, validate=True)
        assert image['alt']
        if kind == 'svg+xml':
            assert decoded.startswith(b'<?xml')
        else:
            Image.open(io.BytesIO(decoded)).load()


def test_the_page_holds_what_it_is_for(report, runs):
    page = Page(report.read_text(encoding='utf-8'))
    text = ' '.join(page.texts)
    scalars = [json.loads(line) for line in next(runs[1].glob('*/vis_data/scalars.json')).read_text().splitlines()]
    last = [line for line in scalars if 'mIoU' in line][-1]
    for name in ('mIoU', 'mFscore', 'aAcc'):
        assert f'{last[name]:.2f}' in page.texts
    for name in ('ground', 'roof', 'car', 'source_only', 'adapted <DLC>'):
        assert name in page.texts
    assert 'class mixing (DACS), masked consistency (MIC), losses corrected with T' in text
    assert 'source-only, the student predicts' in text
    for title in (
        'Target mIoU (%)', 'Target mean F1 (%)', 'Weight of the pseudo-labels', 'Mean diagonal of T',
        'Error of T (dashed: of the identity)', 'Losses', 'IoU of each class (%)',
        'Diagonal of T, P(pseudo-label = true label) (dashed: counted)', 'Transition matrix after 4 iterations',
        'Pseudo-labels after 2 iterations', 'Pseudo-labels after 4 iterations',
    ):  # fmt: skip
        assert title in page.texts, title
    assert re.search(r'Tiles by share of pixels right of adapted <DLC>, of 2 tiles: best [\d.]+, worst [\d.]+', text)


@pytest.mark.skipif(CHROMIUM is None, reason='no chromium here')
@pytest.mark.parametrize('width', [1300, 500])  # 500 is the narrowest that a headless window becomes
def test_a_browser_shows_it(report, tmp_path, width):
    """All pictures load, and nothing but tables reaches beyond the window."""
    probe = (
        '<script>addEventListener("load", () => { const pictures = [...document.images];'
        'document.title = [pictures.length, pictures.filter(p => p.complete && p.naturalWidth > 0).length,'
        'document.documentElement.scrollWidth - document.documentElement.clientWidth].join(" ") })</script></body>'
    )
    page = tmp_path / 'probed.html'
    page.write_text(report.read_text(encoding='utf-8').replace('</body>', probe), encoding='utf-8')
    command = [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', f'--window-size={width},900', '--dump-dom']
    command += ['--virtual-time-budget=20000', f'--user-data-dir={tmp_path / "profile"}', page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    pictures, loaded, overflow = map(int, re.search(r'<title>(\d+) (\d+) (-?\d+)</title>', dom).groups())
    assert pictures == loaded >= 12
    assert overflow <= 0


def test_without_labels_and_checkpoints(runs, tmp_path, capsys):
    root = runs[0].parent
    train(root, tmp_path / 'unlabelled', val_dataloader=None, val_cfg=None, val_evaluator=None,
          train_cfg={'type': 'IterBasedTrainLoop'})  # fmt: skip
    for path in (tmp_path / 'unlabelled').glob('*.pth'):
        path.unlink()
    assert main(['report', str(tmp_path / 'unlabelled'), '--out', str(tmp_path / 'r.html')]) == 0
    assert 'note: No tiles of unlabelled: ' in capsys.readouterr().out
    text = ' '.join(Page((tmp_path / 'r.html').read_text(encoding='utf-8')).texts)
    assert 'Nothing was measured: the runs name no labelled target images' in text
    assert 'holds no checkpoint: keep the last one of the run' in text
    assert 'Target mIoU' not in text
    assert main(['report', str(tmp_path / 'unlabelled'), '--out', str(tmp_path / 'r.html'), '--tiles', '0']) == 0
    assert 'note' not in capsys.readouterr().out


# ---- reading ---------------------------------------------------------------------------------------


def write_scalars(folder, *lines, time='20260101_000000'):
    data = folder / time / 'vis_data'
    data.mkdir(parents=True)
    (data / 'scalars.json').write_text('\n'.join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return folder


def test_a_resumed_run_is_one_course_without_what_was_redone(tmp_path):
    first = [{'loss': 4.0 - step, 'step': step} for step in (1, 2, 3)]
    write_scalars(tmp_path / 'run', *first, '{"loss": 0.1, "st')
    write_scalars(tmp_path / 'run', {'loss': 9.0, 'step': 2}, {'mIoU': float('nan'), 'step': 2}, time='20260102_000000')
    (run,) = read_runs([tmp_path / 'run'])
    assert run.figures['loss'] == [(1, 3.0), (2, 9.0)]
    assert (run.last('loss'), run.last('mIoU'), run.best('loss'), run.last('other')) == (9.0, None, 9.0, None)


def test_names_tell_runs_apart(tmp_path):
    folders = [write_scalars(tmp_path / seed / 'dlc', {'loss': 1.0, 'step': 1}) for seed in ('seed0', 'seed1')]
    assert [run.name for run in read_runs(folders)] == ['seed0/dlc', 'seed1/dlc']
    assert [run.name for run in read_runs(folders[:1])] == ['dlc']


def test_what_is_no_run_is_said(tmp_path, capsys):
    run = write_scalars(tmp_path / 'run', {'loss': 1.0, 'step': 1})
    tested = write_scalars(tmp_path / 'tested', {'mIoU': 1.0, 'step': 1})
    for folders, words in (
        ([tmp_path / 'nowhere'], 'no such folder'),
        ([tested], 'holds no figures of a training run'),
        ([run, run], 'is named twice'),
    ):
        with pytest.raises(UserError, match=words):
            read_runs(folders)
    assert main(['report', str(run), '--out', str(tmp_path)]) == 2
    assert 'is a folder: give --out the name of a file' in capsys.readouterr().err
    assert main(['report', str(run), '--tiles', '-1']) == 2
    assert '--tiles: is -1: give a number' in capsys.readouterr().err


def test_charts_sum_losses_by_branch_and_leave_out_what_is_not_there(tmp_path):
    line = {'loss': 3.0, 'source.decode.loss_ce': 1.0, 'source.aux.loss_ce': 0.5, 'mix.decode.loss_x': 1.5,
            'label_free.entropy': 0.2, 'time': 1.0, 'step': 1}  # fmt: skip
    (run,) = read_runs([write_scalars(tmp_path / 'run', line)])
    (losses,) = charts_of(run)
    assert {line.label: line.course for line in losses.lines} == {
        'loss': [(1, 3.0)], 'source': [(1, 1.5)], 'mix': [(1, 1.5)],
    }  # fmt: skip
    assert [chart.title for chart in comparing_charts([run])] == ['label_free.entropy']


def test_a_chart_of_names_that_matplotlib_would_hide_or_typeset():
    course = [(1, 0.1), (2, 0.4)]
    plain = draw_chart(Chart('T', [Line('road', course), Line('$x$', course)]))
    assert plain.count('<use') > draw_chart(Chart('T', [Line('road', course), Line('$', course)])).count('<use')
    assert draw_chart(Chart('T', [Line('_road', course), Line('b', course)])).count('<use') > draw_chart(
        Chart('T', [Line('a', course), Line('b', course)])
    ).count('<use')


def test_best_median_and_worst():
    assert choose({0: 0.4, 5: 0.9, 7: 0.1, 8: float('nan'), 9: 0.5}) == {'best': 5, 'median': 9, 'worst': 7}
    assert choose({0: 0.4, 1: 0.2}) == {'best': 0, 'worst': 1}
    assert choose({3: 0.4}) == {'best': 3}
    assert choose({3: float('nan')}) == {}
