"""DLC from Nairobi to Catanduanes with an ImageNet-trained EfficientNet-Lite0."""

_base_ = ['./dlc_buildings.py', './lite0.py']

custom_imports = _base_.lite0_imports
model = _base_.lite0_model
train_dataloader = dict(batch_size=2)
optim_wrapper = _base_.lite0_optim_wrapper
param_scheduler = _base_.lite0_param_scheduler
train_cfg = dict(max_iters=_base_.lite0_iterations)
