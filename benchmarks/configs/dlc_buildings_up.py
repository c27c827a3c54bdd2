"""`dlc_buildings.py` turned around, with a change of class shares: the open tiles of Catanduanes to Nairobi."""

_base_ = './dlc_buildings.py'

data_root = '../shared/data/buildings_mini'
train_dataloader = dict(
    dataset=dict(
        source=dict(data_root=f'{data_root}/catanduanes', ann_file='{{fileDirname}}/catanduanes_open.txt'),
        target=dict(data_root=f'{data_root}/nairobi', ann_file='{{fileDirname}}/nairobi_train.txt'),
    )
)
val_dataloader = dict(
    dataset=dict(data_root=f'{data_root}/nairobi', ann_file='{{fileDirname}}/nairobi_val.txt'),
)
test_dataloader = val_dataloader
