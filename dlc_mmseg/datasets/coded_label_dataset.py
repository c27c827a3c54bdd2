"""A folder of images whose labels are coded in a way of their own, or exist for a part of the images only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mmengine.fileio import list_from_file
from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS

from dlc_mmseg.datasets.label_codes import LabelCodes, parse_label_map
from dlc_mmseg.errors import UserError


@DATASETS.register_module()
class CodedLabelDataset(BaseSegDataset):
    """`BaseSegDataset` with a label map by class name, and labels for the images of a split file only.

    Its pipeline loads labels with `LoadCodedAnnotations`. Everything that reads the labels follows the map: training,
    validation, class statistics and the checks before training.

    Args:
        label_map: Codes or colours of each class (see `parse_label_map`), such as ``{'ground': 0, 'building': 255}``;
            None: values are the indices of the classes, 255 is no class.
        label_split: Text file, relative to ``data_root``, that names the images with labels, one per line without
            suffix; None: all have labels, if ``data_prefix`` names a folder of them.
        lazy_init: As in `BaseSegDataset`.
        **kwargs: Further arguments of `BaseSegDataset`.

    Raises:
        UserError: If the label map does not fit the classes, or the split file is missing.
    """

    def __init__(
        self,
        *,
        label_map: Mapping[str, Any] | None = None,
        label_split: str | None = None,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(lazy_init=True, **kwargs)
        self.label_split = label_split
        self.label_codes: LabelCodes | None = None
        if label_map is not None:
            if self.reduce_zero_label:
                raise UserError('label_map', 'is given with reduce_zero_label', 'leave out reduce_zero_label')
            self.label_codes = parse_label_map(label_map, self._metainfo.get('classes') or ())
            self.label_map = self.label_codes.classes
            self._metainfo['label_map'] = self.label_map
        if not lazy_init:
            self.full_init()  # type: ignore[no-untyped-call]

    def load_data_list(self) -> list[dict[str, Any]]:
        """Entries of all images; those without labels have no ``seg_map_path``."""
        entries: list[dict[str, Any]] = super().load_data_list()
        if self.label_codes is not None:
            for entry in entries:
                entry['label_codes'] = 'colours' if self.label_codes.colours else 'values'
        if self.label_split:
            labelled = self._labelled()
            for entry in entries:
                if os.path.normpath(entry['img_path']) not in labelled:
                    entry.pop('seg_map_path', None)
        return entries

    def _labelled(self) -> set[str]:
        path = os.path.join(self.data_root or '', str(self.label_split))
        if not os.path.isfile(path):
            raise UserError(path, 'split file is missing', 'correct label_split, or leave it out')
        folder = str(self.data_prefix.get('img_path') or '')
        names = [line.strip() for line in list_from_file(path)]
        return {os.path.normpath(os.path.join(folder, name + self.img_suffix)) for name in names}
