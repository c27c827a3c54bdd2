"""DLC from aerial images of Nairobi (labelled) to those of Catanduanes, with the network of the demo: buildings."""

_base_ = './real_pair.py'

data_root = '../shared/data/buildings_mini'
metainfo = dict(classes=('background', 'building'), palette=[[120, 120, 120], [220, 40, 40]])
source = dict(metainfo=metainfo, data_root=f'{data_root}/nairobi')
target = dict(metainfo=metainfo, data_root=f'{data_root}/catanduanes', ann_file='train.txt')
train_dataloader = dict(dataset=dict(source=source, target=target))
val_dataloader = dict(dataset=dict(metainfo=metainfo, data_root=f'{data_root}/catanduanes', ann_file='val.txt'))
test_dataloader = val_dataloader
model = dict(segmentor=dict(decode_head=dict(num_classes=2)))
