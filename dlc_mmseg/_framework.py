"""Which distribution of MMSegmentation is installed, and whether it is one this package runs with.

OneDL (`onedl-mmengine`, `onedl-mmcv`, `onedl-mmsegmentation`) and OpenMMLab (`mmengine`, `mmcv`,
`mmsegmentation`) install files of the same names, `mmengine/`, `mmcv/` and `mmseg/`: with both, one has
overwritten part of the other. The check reads package metadata only, so it can speak before any is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata

ONEDL: Mapping[str, str] = {
    'onedl-mmengine': '>=0.10.12,<1',
    'onedl-mmcv': '>=2.3.6,<3',
    'onedl-mmsegmentation': '>=1.4.2,<2',
}
"""OneDL's distributions and the supported versions, the same as in the package's extra `onedl`."""

OPENMMLAB: Mapping[str, str] = {
    'mmengine': '>=0.10.7,<1',
    'mmcv': '>=2.1.0,<2.2.0',
    'mmsegmentation': '>=1.2.2,<2',
}
"""OpenMMLab's distributions and the supported versions, the same as in the package's extra `openmmlab`."""

UNSUITABLE = ('mmengine-lite', 'mmcv-lite', 'mmcv-full')
"""OpenMMLab's variants that install under the same import names and cannot carry MMSegmentation 1.x."""


def check_framework() -> None:
    """Check that exactly one framework distribution is installed, complete and in a supported version.

    Raises:
        ImportError: With one line that says what to install or remove.
    """
    versions = _installed([*ONEDL, *OPENMMLAB, *UNSUITABLE])
    if not versions:
        raise ImportError(f'dlc_mmseg needs MMSegmentation 1.x and finds none: {_install(ONEDL)}')
    onedl = any(name in ONEDL for name in versions)
    if onedl and any(name not in ONEDL for name in versions):
        found = ', '.join(f'{name} {version}' for name, version in versions.items())
        raise ImportError(
            f'dlc_mmseg finds both OneDL and OpenMMLab, which overwrite each other ({found}): '
            f'{_uninstall(versions)}, then {_install(ONEDL)}'
        )
    unsuitable = [name for name in UNSUITABLE if name in versions]
    if unsuitable:
        remedy = f'{_uninstall(unsuitable)}, then {_install(OPENMMLAB)}'
        raise ImportError(f'dlc_mmseg cannot run with {", ".join(unsuitable)}: {remedy}')
    _check_versions(ONEDL if onedl else OPENMMLAB, versions)


def _check_versions(framework: Mapping[str, str], versions: Mapping[str, str]) -> None:
    for name, bounds in framework.items():
        if name not in versions:
            found = ', '.join(versions)
            raise ImportError(f'dlc_mmseg finds {found} but not {name}: {_install({name: bounds})}')
    from packaging.specifiers import SpecifierSet  # comes with either mmcv: not before its presence is known

    for name, bounds in framework.items():
        if not SpecifierSet(bounds).contains(versions[name], prereleases=True):
            remedy = _install({name: bounds})
            raise ImportError(f'dlc_mmseg needs {name}{bounds}, and finds {versions[name]}: {remedy}')


def _installed(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _install(framework: Mapping[str, str]) -> str:
    return 'pip install ' + ' '.join(f'"{name}{bounds}"' for name, bounds in framework.items())


def _uninstall(names: Iterable[str]) -> str:
    return f'pip uninstall -y {" ".join(names)}'
