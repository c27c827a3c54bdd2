"""From checkpoints of other people to ours, and from a trained model to what it says of images."""

from dlc_mmseg.deploy.legacy.checkpoint_files import convert_checkpoint
from dlc_mmseg.deploy.legacy.conversion import Conversion, convert_state_dict

__all__ = ['Conversion', 'convert_checkpoint', 'convert_state_dict']
