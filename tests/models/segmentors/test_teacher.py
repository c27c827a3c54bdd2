"""The moving average against MMEngine's, and listening to a module's first call."""

from __future__ import annotations

import copy

import pytest
import torch
import toy
from mmengine.model import MomentumAnnealingEMA
from mmseg.registry import MODELS
from torch import nn

from dlc_mmseg.models.segmentors.target_batch import valid_pixels
from dlc_mmseg.models.segmentors.teacher import make_teacher, set_teacher_mode, update_teacher


@pytest.mark.parametrize('update_buffers', [False, True])
def test_same_average_as_mmengines(update_buffers):
    torch.manual_seed(0)
    student = MODELS.build(toy.segmentor())
    teacher = make_teacher(student)
    theirs = MomentumAnnealingEMA(student, momentum=0.1, gamma=1, update_buffers=False)
    iteration = torch.zeros((), dtype=torch.long)
    for _ in range(15):
        with torch.no_grad():
            for tensor in (*student.parameters(), *student.buffers()):
                tensor.copy_(tensor + torch.randn(tensor.shape)) if tensor.is_floating_point() else tensor.add_(1)
        update_teacher(teacher, student, iteration, momentum=0.1, update_buffers=update_buffers)
        iteration += 1
        theirs.update_parameters(student)
        for ours, expected in zip(teacher.parameters(), theirs.module.parameters(), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
        same = [torch.equal(a, b) for a, b in zip(teacher.buffers(), student.buffers(), strict=True)]
        assert all(same) == update_buffers


def test_the_first_update_copies_the_student():
    torch.manual_seed(0)
    student = MODELS.build(toy.segmentor())
    teacher = make_teacher(student)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.fill_(1e6)
    update_teacher(teacher, student, torch.zeros((), dtype=torch.long), momentum=0.001, update_buffers=True)
    for ours, expected in zip(teacher.parameters(), student.parameters(), strict=True):
        assert torch.equal(ours, expected)


def test_teacher_shares_nothing_with_the_student():
    student = MODELS.build(toy.segmentor()).train()
    teacher = make_teacher(student)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())
    pointers = {tensor.data_ptr() for tensor in (*student.parameters(), *student.buffers())}
    assert not pointers & {tensor.data_ptr() for tensor in (*teacher.parameters(), *teacher.buffers())}
    assert student.training
    assert not teacher.training


def test_batch_statistics_wake_norms_that_the_student_trains_only():
    norms = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.InstanceNorm2d(4, track_running_stats=True)
    student = nn.Sequential(nn.Conv2d(3, 4, 1), *norms, nn.Dropout(0.5)).train()
    student[2].eval()
    teacher = copy.deepcopy(student)
    set_teacher_mode(teacher.train(), student, batch_statistics=True)
    assert [part.training for part in teacher] == [False, True, False, True, False]
    set_teacher_mode(teacher.train(), student, batch_statistics=False)
    assert not any(part.training for part in teacher)
    set_teacher_mode(teacher.train(), student.eval(), batch_statistics=True)
    assert not any(part.training for part in teacher)


def test_statistics_that_the_student_does_not_train_are_its_own():
    student = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2)).train()
    teacher = make_teacher(student)
    for norm in student:
        norm.running_mean.fill_(3.0)
    student[1].eval()  # frozen after some iterations
    update_teacher(teacher, student, torch.tensor(5), momentum=0.1, update_buffers=False)
    assert [norm.running_mean.tolist() for norm in teacher] == [[0.0, 0.0], [3.0, 3.0]]


def test_valid_pixels_follow_the_padding():
    images = torch.zeros(2, 3, 8, 10)
    samples = copy.deepcopy(toy.domain_batch(labelled=False)['data_samples'])
    samples[1].set_metainfo({'padding_size': (0, 3, 0, 2)})
    valid = valid_pixels(images, samples)
    assert valid[0].all()
    assert valid[1, :6, :7].all()
    assert not valid[1, 6:].any()
    assert not valid[1, :, 7:].any()
    assert valid_pixels(images, None).all()
