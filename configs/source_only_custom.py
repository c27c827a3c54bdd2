"""Training on the source only, on the data sets that `dlc_custom.py` names: what not adapting would give.

It predicts with the moving average too, so that the comparison is about adaptation; its batch norms know the
source only.
"""

_base_ = './baseline_custom.py'

model = dict(
    class_mix=None,
    masked_consistency=None,
    strong_augmentation=None,
    teacher_statistics=dict(_delete_=True, type='StudentStatistics'),
    warmup_iterations=None,
)
