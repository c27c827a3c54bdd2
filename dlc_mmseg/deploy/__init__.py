"""What is done with trained models: conversion, export, choice among several, reports, estimates of errors."""

from dlc_mmseg.deploy.legacy.checkpoint_files import convert_checkpoint
from dlc_mmseg.deploy.legacy.conversion import Conversion, convert_state_dict

__all__ = ['Conversion', 'convert_checkpoint', 'convert_state_dict']
