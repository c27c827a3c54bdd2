"""Outputs of a backbone, recorded as they pass by."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlc_mmseg.models.backbone_outputs import first_output


def test_first_output_of_several_calls():
    module = nn.Identity()
    with first_output(module) as outputs:
        assert outputs == []
        module((torch.zeros(1), torch.ones(1)))
        module(torch.ones(3))
    assert [tensor.tolist() for tensor in outputs[0]] == [[0.0], [1.0]]
    assert len(outputs) == 1
    module(torch.ones(3))
    assert len(outputs) == 1


def test_first_output_stops_listening_after_an_error():
    module = nn.Identity()
    with pytest.raises(RuntimeError, match='stop'), first_output(module):
        raise RuntimeError('stop')
    assert not module._forward_hooks


def test_first_output_keeps_the_gradient():
    module = nn.Conv2d(1, 1, 1)
    with first_output(module) as outputs:
        module(torch.ones(1, 1, 2, 2))
    outputs[0][0].sum().backward()
    assert module.weight.grad is not None
