"""DLC from one drone survey (labelled) to another, with the network of the demo.

A third of the source is building, a thirtieth of the target.
"""

_base_ = './real_pair.py'

data_root = '../shared/data/drone_mini'
metainfo = dict(
    classes=('building', 'clutter', 'vegetation', 'ground'),
    palette=[[220, 40, 40], [120, 120, 120], [40, 160, 60], [200, 170, 110]],
)
source = dict(metainfo=metainfo, data_root=f'{data_root}/1d4f')
target = dict(metainfo=metainfo, data_root=f'{data_root}/ec09', ann_file='train.txt')
train_dataloader = dict(dataset=dict(source=source, target=target))
val_dataloader = dict(dataset=dict(metainfo=metainfo, data_root=f'{data_root}/ec09', ann_file='val.txt'))
test_dataloader = val_dataloader
model = dict(segmentor=dict(decode_head=dict(num_classes=4)))
