"""Source-only training on the drawn demo data: `baseline_demo.py` without any target loss.

It predicts with the moving average too, so that the comparison is about adaptation; its batch norms know the
source only.
"""

_base_ = './baseline_demo.py'

model = dict(
    class_mix=None,
    masked_consistency=None,
    strong_augmentation=None,
    teacher_statistics=dict(_delete_=True, type='StudentStatistics'),
    warmup_iterations=None,
)
