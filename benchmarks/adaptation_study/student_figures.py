"""What the student, with statistics of its own, would have scored after the last iteration."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner, ValLoop
from mmseg.registry import HOOKS

from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.wrapping import WrappingSegmentor

STUDENT_FILE = 'student.json'


@HOOKS.register_module()
class StudentFiguresHook(Hook):
    """Writes the figures of the student after training into ``student.json`` of the work folder."""

    @torch.no_grad()
    def after_train(self, runner: Runner) -> None:
        """Validate the student."""
        model, loop = unwrapped(runner.model), runner.val_loop
        assert isinstance(model, WrappingSegmentor)
        assert isinstance(loop, ValLoop)
        chosen, model.predict_with = model.predict_with, 'student'
        model.eval()
        for batch in loop.dataloader:
            loop.evaluator.process(data_samples=model.val_step(batch), data_batch=batch)
        figures = loop.evaluator.evaluate(len(loop.dataloader.dataset))
        model.predict_with = chosen
        (Path(runner.work_dir) / STUDENT_FILE).write_text(json.dumps(figures, default=float), encoding='utf-8')
