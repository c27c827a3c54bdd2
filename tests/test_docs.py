"""Pages: their blocks run, what they show is true, what they name is there.

Every block runs in a copy of a folder with small data and trained models (`documentation/place.py`), where `mim train`
makes two iterations (`documentation/short_program.py`). What is done differently stands above the block, in a comment
`<!-- test: ... -->` that readers of the page do not see (`documentation/pages.py`).
"""

from __future__ import annotations

import re
import runpy

import pytest
from documentation.existing_commands import unknown
from documentation.pages import PYTHON, ROOT, SHELL, anchors, blocks, commands, links, pages, without_blocks
from documentation.place import Place
from documentation.running import run_page

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding='utf-8') for path in pages()}
FOLDERS = (ROOT, ROOT / 'dlc_mmseg', ROOT / 'dlc_mmseg' / 'models' / 'segmentors')  # that files are named from
RUN = [name for name, text in PAGES.items() if any(block.runs for block in blocks(text))]
LEFT_OUT = [
    pytest.param(block, id=f'{name}:{block.line}')
    for name, text in PAGES.items()
    for block in blocks(text)
    if block.how.startswith('not run')
]


@pytest.fixture(scope='session')
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp('documentation') / 'user')
    yield made
    made.programs.stop()


@pytest.mark.slow
@pytest.mark.parametrize('name', RUN)
def test_every_block_of_a_page_runs(name, place, tmp_path, monkeypatch):
    monkeypatch.chdir(place.copy(tmp_path / 'user'))
    run_page(blocks(PAGES[name]), place)


@pytest.mark.parametrize('name', RUN)
def test_what_would_take_long_is_marked(name):
    for block in blocks(PAGES[name]):
        for words in commands(block.code) if block.runs and block.language in SHELL else ():
            long = {'pip', 'make', 'torchrun'} & set(words) or any('benchmarks/' in word for word in words)
            assert not long, f'line {block.line}: <!-- test: not run, REASON --> above {words}'


@pytest.mark.parametrize('block', LEFT_OUT)
def test_what_is_not_run_has_a_reason_and_exists(block):
    reason = block.how.partition(', ')[2]
    assert len(reason.split()) > 2
    for named in re.findall(r'tests/[\w/]+\.py', reason):
        assert (ROOT / named).is_file()
    if block.language in SHELL:
        for words in commands(block.code):
            assert not unknown(words), (words, unknown(words))
    elif block.language in PYTHON:
        compile(block.code, '', 'exec')


@pytest.mark.parametrize('name', PAGES)
def test_links_lead_somewhere(name):
    for target in links(PAGES[name]):
        if re.match(r'https?://|mailto:', target):
            continue
        path, _, anchor = target.partition('#')
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert file.exists(), target
        if anchor and file.suffix == '.md':
            assert anchor in anchors(file.read_text(encoding='utf-8')), target


@pytest.mark.parametrize('name', PAGES)
def test_tables_have_the_same_cells_in_every_row(name):
    """A `|` within code ends a cell too, and forges drop what is beyond the last."""
    for table in re.findall(r'(?:^\|.*\n)+', without_blocks(PAGES[name]), flags=re.MULTILINE):
        cells = [len(re.findall(r'(?<!\\)\|', row)) for row in table.splitlines()]
        assert len(set(cells)) == 1, table.splitlines()[cells.index(min(cells, key=cells.count))]


def test_every_page_can_be_reached_from_the_first():
    seen, todo = set(), ['README.md']
    while todo:
        name = todo.pop()
        seen.add(name)
        for target in links(PAGES[name]):
            file = ((ROOT / name).parent / target.partition('#')[0]).resolve()
            linked = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else ''
            if linked in PAGES and linked not in seen:
                todo.append(linked)
    assert seen == set(PAGES)


def test_pages_that_code_names_are_there():
    code = [
        path for folder in ('dlc_mmseg', 'configs', 'tools', 'benchmarks') for path in (ROOT / folder).rglob('*.py')
    ]
    for path in code:
        for page in re.findall(r'\bdocs/[\w/]+\.md', path.read_text(encoding='utf-8')):
            assert page in PAGES, (path, page)


@pytest.mark.parametrize('name', PAGES)
def test_functions_that_a_page_names_are_there(name):
    for file, function in re.findall(r'`([\w/]+\.py):(\w+)`', PAGES[name]):
        (place,) = (folder / file for folder in FOLDERS if (folder / file).is_file())
        code = place.read_text(encoding='utf-8')
        assert re.search(rf'^ *(def|class) {function}\b', code, flags=re.MULTILINE), (file, function)


def test_the_method_names_its_functions():
    assert len(set(re.findall(r'`([\w/]+\.py:\w+)`', PAGES['docs/method.md']))) > 25


def test_the_reference_is_what_the_docstrings_say():
    pytest.importorskip('griffe', reason='griffelib is not there, which `make docs` writes the reference with')
    writer = runpy.run_path(str(ROOT / 'tools' / 'write_reference.py'))
    for name, text in writer['reference']().items():
        assert PAGES[f'docs/reference/{name}'] == text, f'docs/reference/{name} is out of date: make docs'


# ---- the reader of pages


def test_blocks_with_their_comments():
    text = 'a\n<!-- test: not run, it takes days -->\n```bash\nmake\n```\n\n```\nshown\n```\n'
    text += '<!-- test: output -->\n\n```\nx\n```\n'
    first, second, third = blocks(text)
    assert first == (3, 'bash', 'make\n', 'not run, it takes days')
    assert second == (7, '', 'shown\n', '')
    assert third == (12, '', 'x\n', 'output')
    assert not first.runs
    (block,) = blocks('<!-- test page: not run, all of it takes days -->\n' + '```bash\nmake\n```\n')
    assert block.how == 'not run, all of it takes days'


def test_commands_of_a_block():
    code = 'a --b "c; d"  # e\nTOOLS=$(python -c "x; y")/z\nf \\\n  g && h | i\n'
    assert list(commands(code)) == [
        ['a', '--b', 'c; d'], ['TOOLS=$', '(', 'python', '-c', 'x; y', ')', '/z'], ['f', 'g'], ['h'], ['i'],
    ]  # fmt: skip


def test_anchors_are_those_of_a_forge():
    assert anchors('# What `a_b` is?\n\n## A, B\n```\n# no\n```\n## A, B\n') == {'what-a_b-is', 'a-b', 'a-b-1'}


@pytest.mark.parametrize(
    'command',
    [
        'dlc-mmseg no-command', 'dlc-mmseg export a b c --no-option', 'mim train mmsegmentation c --no-option',
        'pip install ".[nothing]"', 'make nothing', 'make test NOTHING=1', 'python benchmarks/nothing.py',
        'python benchmarks/step_cost.py --no-option', 'torchrun --no-option 1 x', 'unheard-of',
    ],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_found(command):
    assert unknown(next(commands(command)))
