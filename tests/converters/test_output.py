"""A data set is there whole or not at all, whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dlc_mmseg.converters.isprs import convert_isprs
from dlc_mmseg.converters.output import OutputFolder
from dlc_mmseg.converters.potsdam import POTSDAM
from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.converters.sources import TileSource
from dlc_mmseg.converters.vaihingen import VAIHINGEN
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import TileStatistics

CUT = {'clip_size': 32, 'stride_size': 16}


def tiles_done(out):
    return sorted(path.stem for path in out.glob('.*.partial/.tiles/*.json'))


def processes_of(session: int) -> list[int]:
    """Running processes of a session."""
    stats = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):  # gone meanwhile
            stats.append((int(path.parent.name), path.read_text().rpartition(')')[2].split()))
    return [pid for pid, fields in stats if int(fields[3]) == session and fields[0] != 'Z']


@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='looks at processes through /proc')
def test_killed_conversion_continues_where_it_stopped(raw, tmp_path, read_tree):
    names = ('area1', 'area3', 'area5', 'area7', 'area6', 'area8')
    raw.vaihingen(*names, size=(256, 256))
    out, options = tmp_path / 'o', {'clip_size': 32, 'stride_size': 16}
    code = "import sys; from dlc_mmseg.cli import main\nif __name__ == '__main__': sys.exit(main(sys.argv[1:]))"
    (tmp_path / 'run.py').write_text(code)
    arguments = ['--dataset_path', raw.root, '--out_dir', out, '--clip_size', '32', '--stride_size', '16']
    command = [sys.executable, tmp_path / 'run.py', 'convert-vaihingen', *arguments, '--workers', '2']
    process = subprocess.Popen(list(map(str, command)), start_new_session=True)
    try:
        deadline = time.monotonic() + 600
        while not tiles_done(out) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)  # this process alone: its workers must not outlive it
        assert process.wait() == -signal.SIGKILL
        while processes_of(process.pid) and time.monotonic() < deadline + 30:
            time.sleep(0.02)
        assert not processes_of(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    done = tiles_done(out)
    assert 0 < len(done) < len(names)
    assert not (out / 'irrg_32_s16').exists()

    (partial,) = out.iterdir()
    before = {path: path.stat().st_mtime_ns for path in partial.rglob('*.png')}
    (folder,) = convert_isprs(VAIHINGEN, raw.root, out, **options)
    assert list(out.iterdir()) == [folder]
    kept = [path for path in before if path.name.split('_')[0] in done]
    assert kept
    for path in kept:  # not cut again
        assert (folder / path.relative_to(partial)).stat().st_mtime_ns == before[path]
    (fresh,) = convert_isprs(VAIHINGEN, raw.root, tmp_path / 'fresh', **options)
    assert read_tree(folder) == read_tree(fresh)


def fail_at(monkeypatch, count):
    """Lets the n-th tile fail after its windows are written, before it is recorded."""
    original, calls = OutputFolder.mark_done, []

    def mark_done(self, *args):
        calls.append(args[0])
        if len(calls) == count:
            raise UserError(None, 'power cut', 'light a candle')
        original(self, *args)

    monkeypatch.setattr(OutputFolder, 'mark_done', mark_done)
    return calls


def interrupted(raw, out, monkeypatch, **options):
    with monkeypatch.context() as patch:
        fail_at(patch, 2)
        with pytest.raises(UserError, match='power cut'):
            convert_isprs(POTSDAM, raw.root, out, **{**CUT, **options})


def cut_on_rerun(raw, out, monkeypatch, **options):
    with monkeypatch.context() as patch:
        calls = fail_at(patch, -1)
        convert_isprs(POTSDAM, raw.root, out, **{**CUT, **options})
    return calls


def test_only_unfinished_tiles_are_cut_again(raw, tmp_path, monkeypatch, read_tree):
    raw.potsdam('2_10', '2_11', '2_12')
    interrupted(raw, tmp_path / 'o', monkeypatch)
    assert tiles_done(tmp_path / 'o') == ['2_10']  # of the first of two variants
    assert cut_on_rerun(raw, tmp_path / 'o', monkeypatch) == ['2_10', '2_11', '2_11', '2_12', '2_12']
    convert_isprs(POTSDAM, raw.root, tmp_path / 'fresh', **CUT)
    assert read_tree(tmp_path / 'o') == read_tree(tmp_path / 'fresh')


def test_other_settings_do_not_mix(raw, tmp_path, monkeypatch, read_tree):
    raw.potsdam('2_10', '2_11', '2_12')
    out = tmp_path / 'o'
    interrupted(raw, out, monkeypatch, variants=['irrg'])
    assert tiles_done(out) == ['2_10']
    assert len(cut_on_rerun(raw, out, monkeypatch, variants=['irrg'], stride_size=32)) == 3
    assert tiles_done(out) == ['2_10']  # the other conversion still waits
    assert cut_on_rerun(raw, out, monkeypatch, variants=['irrg']) == ['2_11', '2_12']
    assert sorted(path.name for path in out.iterdir()) == ['irrg_32_s16', 'irrg_32_s32']


@pytest.mark.parametrize('change', ['content', 'label kind', 'fewer tiles'])
def test_other_sources_do_not_mix(raw, tmp_path, monkeypatch, read_tree, change):
    raw.potsdam('2_10', '2_11', '2_12')
    out = tmp_path / 'o'
    interrupted(raw, out, monkeypatch, variants=['irrg'])
    if change == 'content':
        raw.image('3_Ortho_IRRG/top_potsdam_2_10_IRRG.tif', (64, 64))
        raw.label('5_Labels_all/top_potsdam_2_10_label.tif', (64, 64))
        expected = ['2_10', '2_11', '2_12']
    elif change == 'label kind':
        for path in (raw.root / '5_Labels_all').iterdir():
            path.rename(path.with_name(path.name.replace('label', 'label_noBoundary')))
        expected = ['2_10', '2_11', '2_12']
    else:
        for path in raw.root.rglob('*2_10*'):
            path.unlink()
        expected = ['2_11', '2_12']
    assert cut_on_rerun(raw, out, monkeypatch, variants=['irrg']) == expected
    convert_isprs(POTSDAM, raw.root, tmp_path / 'fresh', ['irrg'], **CUT)
    assert read_tree(out) == read_tree(tmp_path / 'fresh')


def test_complete_data_is_left_alone(raw, tmp_path, monkeypatch, capsys):
    raw.potsdam('2_10')
    convert_isprs(POTSDAM, raw.root, tmp_path / 'o', ['irrg'], **CUT)
    assert cut_on_rerun(raw, tmp_path / 'o', monkeypatch, variants=['irrg'], max_unknown=0.5) == []
    assert 'was complete already' in capsys.readouterr().out
    assert cut_on_rerun(raw, tmp_path / 'o', monkeypatch) == ['2_10']  # rgb only


def test_same_content_counts_as_the_same_source(raw, tmp_path, monkeypatch, pack):
    """Drawn, downloaded or extracted once more, or taken from the package: nothing is cut again."""
    raw.potsdam('2_10', '2_11', '2_12')
    out = tmp_path / 'o'
    interrupted(raw, out, monkeypatch, variants=['irrg'])
    for path in raw.root.rglob('*.tif'):
        os.utime(path, (1e9, 1e9))
    assert cut_on_rerun(raw, out, monkeypatch, variants=['irrg']) == ['2_11', '2_12']
    raw.root = pack(raw.root, tmp_path / 'packages')
    assert cut_on_rerun(raw, out, monkeypatch, variants=['irrg']) == []


def test_complete_data_from_other_files_is_refused(raw, tmp_path):
    raw.potsdam('2_10', '2_11')
    convert_isprs(POTSDAM, raw.root, tmp_path / 'o', ['irrg'], **CUT)
    raw.image('3_Ortho_IRRG/top_potsdam_2_11_IRRG.tif', (64, 64))
    with pytest.raises(UserError, match=r'irrg_32_s16: was made from other files \(1 tiles differ, 2_11') as caught:
        convert_isprs(POTSDAM, raw.root, tmp_path / 'o', ['irrg'], **CUT)
    assert 'delete it or choose another --out_dir' in str(caught.value)


def test_foreign_data_is_never_touched(raw, tmp_path):
    raw.potsdam('2_10')
    folder = tmp_path / 'o' / 'irrg_32_s16'
    folder.mkdir(parents=True)
    (folder / 'mine.txt').write_text('precious')
    with pytest.raises(UserError, match='exists and was not written by this command'):
        convert_isprs(POTSDAM, raw.root, tmp_path / 'o', ['irrg'], **CUT)
    assert [path.name for path in folder.iterdir()] == ['mine.txt']


def test_settings_of_complete_data_must_agree(tmp_path):
    (tmp_path / 't.tif').touch()
    source = TileSource('train', RawFile(tmp_path / 't.tif'), RawFile(tmp_path / 't.tif'))
    make = lambda settings: OutputFolder(tmp_path / 'd', {'t': source}, settings)  # noqa: E731
    output = make({'bands': 3})
    with output.opened(('train',)):
        output.write('ann_dir', 'train', 't.png', b'')
        output.mark_done('t', {'t.png': TileStatistics((1, 1), {0: 1})})
        output.commit()
    assert make({'bands': 3}).complete()
    with pytest.raises(UserError, match=r'made with other settings \(bands differ\)'):
        make({'bands': 4}).complete()


def test_two_conversions_into_one_folder(tmp_path):
    first, second = (OutputFolder(tmp_path / 'd', {}, {}) for _ in range(2))
    with first.opened(()), pytest.raises(UserError, match='another conversion is writing there'):
        second.opened(()).__enter__()
    with second.opened(()):  # free again
        pass


def test_full_disk_is_reported(tmp_path):
    output = OutputFolder(tmp_path / 'd', {}, {})
    with output.opened(('train',)):
        (tmp_path / '.d.partial' / 'img_dir' / 'train').rmdir()
        with pytest.raises(UserError, match=r't\.png: cannot be written .* a rerun continues'):
            output.write('img_dir', 'train', 't.png', b'')
