"""Runtime shared by all configs: the plug-in's registration, logging, checkpoints and pictures."""

custom_imports = dict(imports=['dlc_mmseg', 'dlc_mmseg.safe_files'], allow_failed_imports=False)
default_scope = 'mmseg'
runner_type = 'PreflightRunner'  # MMEngine's, which checks everything before it builds the datasets
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [dict(type='LocalVisBackend')]
# vis_backends.append(dict(type='TensorboardVisBackend'))  # after `pip install tensorboard`
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer', alpha=0.6)
log_processor = dict(type='ReadableLogProcessor', by_epoch=False)  # all figures are in scalars.json
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
tta_model = dict(type='SegTTAModel')  # with --tta, which takes tta_pipeline
model_wrapper_cfg = dict(type='BranchwiseDistributedDataParallel')  # several GPUs: branch by branch, as on one
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=2, save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='PredictionPictureHook'),  # with --show-dir: every image
    # here and not in custom_hooks, which child configs replace as a whole
    preflight=dict(type='PreflightHook'),
    band_statistics=dict(type='BandStatisticsHook'),  # where data_preprocessor says mean='auto'
    run_summary=dict(type='RunSummaryHook'),
    exact_resume=dict(type='ExactResumeHook'),
    pseudo_label_weight=dict(type='PseudoLabelWeightHook', patience=200),
    self_training_watch=dict(type='SelfTrainingWatchHook', interval=1000),
)
custom_hooks = [
    dict(type='PseudoLabelHook', interval=1000),
    dict(type='TransitionMatrixHook', interval=1000),
]
