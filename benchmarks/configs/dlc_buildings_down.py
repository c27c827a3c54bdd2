"""`dlc_buildings.py` with a change of class shares: the denser half of Nairobi to the open tiles of Catanduanes."""

_base_ = './dlc_buildings.py'

train_dataloader = dict(
    dataset=dict(
        source=dict(ann_file='{{fileDirname}}/nairobi_dense.txt'),
        target=dict(ann_file='{{fileDirname}}/catanduanes_open_train.txt'),
    )
)
