"""Names and colours of classes that lie beside a label raster, as QGIS, ArcGIS and GDAL write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_NAME, _VALUE, _RED, _GREEN, _BLUE = '2', '5', '6', '7', '8'
"""Usages of columns of GDAL's raster attribute tables; values may also stand in a column of usage 0 named so."""
_LARGEST_FILE = 1 << 22


def stored_palette(file: Any) -> dict[int, tuple[int, int, int]]:
    """Colour table of an open raster.

    Args:
        file: Dataset of rasterio.

    Returns:
        Colour by value; empty without a table.
    """
    try:
        table = file.colormap(1)
    except ValueError:
        return {}
    return {int(value): (int(red), int(green), int(blue)) for value, (red, green, blue, _) in table.items()}


def stored_names(path: Path) -> dict[int, str]:
    """Category names of a raster, from the file ``NAME.aux.xml`` beside it.

    Args:
        path: The raster.

    Returns:
        Name by value; empty where there are none or the file is damaged.
    """
    sidecar = path.with_name(f'{path.name}.aux.xml')
    try:
        if sidecar.stat().st_size > _LARGEST_FILE:
            return {}
        root = ElementTree.fromstring(sidecar.read_bytes())
    except (OSError, ElementTree.ParseError):
        return {}
    band = root.find('PAMRasterBand')
    if band is None:
        return {}
    categories = band.find('CategoryNames')
    names = [(entry.text or '').strip() for entry in categories] if categories is not None else []
    found = {value: name for value, name in enumerate(names) if name}
    return found or _of_table(band.find('GDALRasterAttributeTable'))


def _of_table(table: ElementTree.Element | None) -> dict[int, str]:
    if table is None:
        return {}
    fields = [(field.findtext('Name') or '', field.findtext('Usage') or '') for field in table.iter('FieldDefn')]
    name = next((index for index, (_, usage) in enumerate(fields) if usage == _NAME), None)
    value = next((i for i, (title, usage) in enumerate(fields) if usage == _VALUE or title.lower() == 'value'), None)
    if name is None or value is None:
        return {}
    found = {}
    for row in table.iter('Row'):
        cells = [(cell.text or '').strip() for cell in row.iter('F')]
        if len(cells) > max(name, value) and cells[value].replace('.0', '').isdecimal():
            found[int(float(cells[value]))] = cells[name]
    return found
