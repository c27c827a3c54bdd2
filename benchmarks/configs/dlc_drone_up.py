"""`dlc_drone.py` turned around: a thirtieth of the source is building, a third of the target."""

_base_ = './dlc_drone.py'

data_root = '../shared/data/drone_mini'
train_dataloader = dict(
    dataset=dict(
        source=dict(data_root=f'{data_root}/ec09'),
        target=dict(data_root=f'{data_root}/1d4f', ann_file=''),
    )
)
val_dataloader = dict(
    dataset=dict(data_root=f'{data_root}/1d4f', ann_file=''),
)
test_dataloader = val_dataloader
