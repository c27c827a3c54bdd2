"""The network that predicts, taken out of an adaptation run: as a plain MMSegmentation model or as ONNX."""

from dlc_mmseg.deploy.export.network import Network, predicting_network
from dlc_mmseg.deploy.export.onnx_model import OnnxOptions, export_onnx
from dlc_mmseg.deploy.export.plain_model import PlainModel, export_plain

__all__ = ['Network', 'OnnxOptions', 'PlainModel', 'export_onnx', 'export_plain', 'predicting_network']
