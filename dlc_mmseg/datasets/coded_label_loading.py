"""Loading labels that are coded in a way of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms.loading import LoadAnnotations
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from dlc_mmseg.datasets.label_codes import NO_CLASS, code_text, decode_labels, holds_colours
from dlc_mmseg.errors import UserError


@TRANSFORMS.register_module()
class LoadCodedAnnotations(LoadAnnotations):
    """`LoadAnnotations` for a `CodedLabelDataset`: codes of any number and colours become class indices.

    Without a label map it loads as its parent does.

    Args:
        optional: Let images without labels pass, instead of failing on them.
        backend_args: MMEngine's arguments of the storage that paths like ``s3://`` name.
    """

    def __init__(self, optional: bool = False, backend_args: dict[str, Any] | None = None) -> None:
        super().__init__(backend_args=backend_args)
        self.optional = optional
        self._tables: dict[int, NDArray[np.uint8]] = {}

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        if self.optional and 'seg_map_path' not in results:
            return
        label_map, path = results.get('label_map'), results['seg_map_path']
        if label_map is None or 'label_codes' not in results:
            super()._load_seg_map(results)
            return
        colours = holds_colours(results)
        codes = decode_labels(fileio.get(path, backend_args=self.backend_args), colours=colours)
        if codes.ndim != 2:
            remedy = 'give label_map colours, as tuples, or use labels of one channel'
            raise UserError(path, f'label image has {codes.shape[2]} channels, but label_map has codes', remedy)
        labels = self._table(label_map, colours=colours)[codes]
        if bool((labels == NO_CLASS).any()):
            strange = code_text(int(codes[labels == NO_CLASS][0]), colours=colours)
            remedy = "add it to label_map: to the class that it means, or to 'ignored'"
            raise UserError(path, f'holds {strange}, which label_map does not name', remedy)
        results['gt_seg_map'] = labels
        results['seg_fields'].append('gt_seg_map')

    def _table(self, label_map: dict[int, int], *, colours: bool) -> NDArray[np.uint8]:
        """Class by code; made once for each map."""
        key = hash(tuple(label_map.items()))
        if key not in self._tables:
            table = np.full(1 << (24 if colours else 16), NO_CLASS, dtype=np.uint8)
            if not colours:
                table[255] = 255
            table[list(label_map)] = list(label_map.values())
            self._tables[key] = table
        return self._tables[key]
