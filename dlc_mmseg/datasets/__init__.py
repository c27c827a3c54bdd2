"""Datasets and sampling of two domains."""

from dlc_mmseg.datasets.class_statistics import compute_class_statistics, load_class_statistics
from dlc_mmseg.datasets.coded_label_dataset import CodedLabelDataset
from dlc_mmseg.datasets.coded_label_loading import LoadCodedAnnotations
from dlc_mmseg.datasets.paired_dataset import PairedDomainDataset
from dlc_mmseg.datasets.paired_sampler import Draw, PairedDomainSampler
from dlc_mmseg.datasets.rare_class_sampling import RareClassSampling
from dlc_mmseg.datasets.raster_loading import LoadRasterFromFile
from dlc_mmseg.datasets.raster_packing import PackRasterInputs
from dlc_mmseg.datasets.whu_opt_sar import WHUOptSar8Dataset, WHUOptSarDataset
from dlc_mmseg.files.statistics_file import (
    STATISTICS_FILE_NAME,
    TileStatistics,
    count_labels,
    read_class_statistics,
    write_class_statistics,
)

__all__ = [
    'STATISTICS_FILE_NAME',
    'CodedLabelDataset',
    'Draw',
    'LoadCodedAnnotations',
    'LoadRasterFromFile',
    'PackRasterInputs',
    'PairedDomainDataset',
    'PairedDomainSampler',
    'RareClassSampling',
    'TileStatistics',
    'WHUOptSar8Dataset',
    'WHUOptSarDataset',
    'compute_class_statistics',
    'count_labels',
    'load_class_statistics',
    'read_class_statistics',
    'write_class_statistics',
]
