"""SegFormer's encoder, DAFormer's head and HRDA in plain PyTorch functions on a state dict with the authors' names.

An independent reference: nothing of MMSegmentation or this package is used. It is itself checked against the figures
of the original implementation (tests/deploy/legacy/test_parity.py).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

WIDTHS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)


def norm(state, key, x, eps):
    return F.layer_norm(x, x.shape[-1:], state[f'{key}.weight'], state[f'{key}.bias'], eps)


def linear(state, key, x):
    return F.linear(x, state[f'{key}.weight'], state[f'{key}.bias'])


def attention(state, key, x, size, heads, reduction):
    batch, _, width = x.shape
    reduced = x
    if reduction > 1:
        grid = x.mT.reshape(batch, width, *size)
        grid = F.conv2d(grid, state[f'{key}.sr.weight'], state[f'{key}.sr.bias'], stride=reduction)
        reduced = norm(state, f'{key}.norm', grid.flatten(2).mT, 1e-5)
    query = linear(state, f'{key}.q', x).unflatten(-1, (heads, -1)).transpose(1, 2)
    both = linear(state, f'{key}.kv', reduced).unflatten(-1, (2, heads, -1))
    keys, values = both[:, :, 0].transpose(1, 2), both[:, :, 1].transpose(1, 2)
    scores = (query @ keys.mT) / math.sqrt(width // heads)
    mixed = (scores.softmax(-1) @ values).transpose(1, 2).flatten(2)
    return linear(state, f'{key}.proj', mixed)


def mlp(state, key, x, size):
    hidden = linear(state, f'{key}.fc1', x)
    grid = hidden.mT.unflatten(-1, size)
    weight = state[f'{key}.dwconv.dwconv.weight']
    grid = F.conv2d(grid, weight, state[f'{key}.dwconv.dwconv.bias'], padding=1, groups=weight.shape[0])
    return linear(state, f'{key}.fc2', F.gelu(grid.flatten(2).mT))


def encoder(state, x, prefix='backbone.'):
    """Four feature levels of images (B, C, H, W)."""
    outputs = []
    first_width = state[f'{prefix}patch_embed1.proj.bias'].numel()
    for stage in range(1, 5):
        embed = f'{prefix}patch_embed{stage}'
        weight = state[f'{embed}.proj.weight']
        stride = 4 if stage == 1 else 2
        x = F.conv2d(x, weight, state[f'{embed}.proj.bias'], stride=stride, padding=weight.shape[-1] // 2)
        size = tuple(x.shape[-2:])
        x = norm(state, f'{embed}.norm', x.flatten(2).mT, 1e-5)
        heads = x.shape[-1] // first_width
        depth = sum(f'{prefix}block{stage}.{index}.norm1.weight' in state for index in range(99))
        for index in range(depth):
            block = f'{prefix}block{stage}.{index}'
            normed = norm(state, f'{block}.norm1', x, 1e-6)
            x = x + attention(state, f'{block}.attn', normed, size, heads, REDUCTIONS[stage - 1])
            x = x + mlp(state, f'{block}.mlp', norm(state, f'{block}.norm2', x, 1e-6), size)
        x = norm(state, f'{prefix}norm{stage}', x, 1e-6).mT.unflatten(-1, size)
        outputs.append(x)
    return outputs


def conv_bn_relu(state, key, x, **conv):
    """With ``state['training']`` the batch norm takes the statistics of the batch."""
    x = F.conv2d(x, state[f'{key}.conv.weight'], **conv)
    mean, variance = state[f'{key}.bn.running_mean'], state[f'{key}.bn.running_var']
    if state.get('training'):
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    x = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    return (x * state[f'{key}.bn.weight'][:, None, None] + state[f'{key}.bn.bias'][:, None, None]).relu()


def up(x, size):
    return F.interpolate(x, tuple(size), mode='bilinear', align_corners=False)


def head(state, features, prefix='decode_head.'):
    """Logits of the DAFormer head (or of the scale attention, which has one convolution in place of the pyramid)."""
    levels = [
        linear(state, f'{prefix}embed_layers.{i}.proj', level.movedim(1, -1)).movedim(-1, 1)
        for i, level in enumerate(features)
    ]
    x = torch.cat([up(level, levels[0].shape[-2:]) for level in levels], 1)
    fuse = f'{prefix}fuse_layer'
    if f'{fuse}.conv.weight' in state:
        x = conv_bn_relu(state, fuse, x)
    else:
        branches = [conv_bn_relu(state, f'{fuse}.aspp_modules.0', x)]
        for i, dilation in ((1, 6), (2, 12), (3, 18)):
            branch = f'{fuse}.aspp_modules.{i}'
            depthwise = {'padding': dilation, 'dilation': dilation, 'groups': x.shape[1]}
            y = conv_bn_relu(state, f'{branch}.depthwise_conv', x, **depthwise)
            branches.append(conv_bn_relu(state, f'{branch}.pointwise_conv', y))
        x = conv_bn_relu(state, f'{fuse}.bottleneck', torch.cat(branches, 1), padding=1)
    return F.conv2d(x, state[f'{prefix}conv_seg.weight'], state[f'{prefix}conv_seg.bias'])


def daformer(state, image):
    """Logits at image size."""
    return up(head(state, encoder(state, image)), image.shape[-2:])


def _hrda(state, image, detail, inside):
    context = encoder(state, up(image, [side // 2 for side in image.shape[-2:]]))
    logits = head(state, context, 'decode_head.head.')
    weight = head(state, context, 'decode_head.scale_attention.').sigmoid() * inside
    size = detail.shape[-2:]
    return up(weight, size) * detail + up((1 - weight) * logits, size)


def _detail(state, image, top, left, crop):
    window = image[..., top : top + crop[0], left : left + crop[1]]
    return head(state, encoder(state, window), 'decode_head.head.')


def hrda_test(state, image, crop):
    """Test-time logits at image size; sides and crop divisible by 8, image at least as large as the crop."""
    height, width = image.shape[-2:]
    classes = state['decode_head.head.conv_seg.bias'].numel()
    total = torch.zeros(image.shape[0], classes, height // 4, width // 4, dtype=image.dtype)
    count = torch.zeros_like(total)
    tops, lefts = (
        sorted({min(start, side - length) for start in range(0, side, length // 2)})
        for side, length in zip((height, width), crop, strict=True)
    )
    for top in tops:
        for left in lefts:
            place = (..., slice(top // 4, (top + crop[0]) // 4), slice(left // 4, (left + crop[1]) // 4))
            total[place] += _detail(state, image, top, left, crop)
            count[place] += 1
    return up(_hrda(state, image, total / count, 1), image.shape[-2:])


def hrda_train(state, image, top, left, crop):
    """Fused logits on the detail grid and detail logits of one crop."""
    height, width = image.shape[-2:]
    detail = _detail(state, image, top, left, crop)
    place = torch.zeros(*detail.shape[:2], height // 4, width // 4, dtype=image.dtype)
    place[..., top // 4 : (top + crop[0]) // 4, left // 4 : (left + crop[1]) // 4] = detail
    inside = torch.zeros(height // 8, width // 8, dtype=image.dtype)
    inside[top // 8 : (top + crop[0]) // 8, left // 8 : (left + crop[1]) // 8] = 1
    return _hrda(state, image, place, inside), detail


def backbone_shapes(width, depths, channels=3):
    """Keys and shapes of an encoder; no prefix."""
    shapes = {}
    inputs = channels
    for stage, depth in enumerate(depths, 1):
        size = width * WIDTHS[stage - 1]
        kernel, reduction = (7 if stage == 1 else 3), REDUCTIONS[stage - 1]
        _affine(shapes, f'patch_embed{stage}.proj', (size, inputs, kernel, kernel))
        _affine(shapes, f'patch_embed{stage}.norm', (size,))
        for index in range(depth):
            block = f'block{stage}.{index}.'
            _affine(shapes, f'{block}norm1', (size,))
            _affine(shapes, f'{block}attn.q', (size, size))
            _affine(shapes, f'{block}attn.kv', (2 * size, size))
            _affine(shapes, f'{block}attn.proj', (size, size))
            if reduction > 1:
                _affine(shapes, f'{block}attn.sr', (size, size, reduction, reduction))
                _affine(shapes, f'{block}attn.norm', (size,))
            _affine(shapes, f'{block}norm2', (size,))
            _affine(shapes, f'{block}mlp.fc1', (4 * size, size))
            _affine(shapes, f'{block}mlp.dwconv.dwconv', (4 * size, 1, 3, 3))
            _affine(shapes, f'{block}mlp.fc2', (size, 4 * size))
        _affine(shapes, f'norm{stage}', (size,))
        inputs = size
    return shapes


def head_shapes(width, classes, *, channels=8, embed=8, pyramid=True):
    """Keys and shapes of a head; no prefix."""
    shapes = {}
    _affine(shapes, 'conv_seg', (classes, channels, 1, 1))
    for level, factor in enumerate(WIDTHS):
        _affine(shapes, f'embed_layers.{level}.proj', (embed, width * factor))
    total = 4 * embed
    if not pyramid:
        _conv_bn(shapes, 'fuse_layer', (channels, total, 1, 1))
        return shapes
    _conv_bn(shapes, 'fuse_layer.aspp_modules.0', (channels, total, 1, 1))
    for branch in (1, 2, 3):
        _conv_bn(shapes, f'fuse_layer.aspp_modules.{branch}.depthwise_conv', (total, 1, 3, 3))
        _conv_bn(shapes, f'fuse_layer.aspp_modules.{branch}.pointwise_conv', (channels, total, 1, 1))
    _conv_bn(shapes, 'fuse_layer.bottleneck', (channels, 4 * channels, 3, 3))
    return shapes


def segmentor_shapes(width=8, depths=(1, 1, 1, 1), classes=5, *, hrda=True, attention_classes=None, **sizes):
    """Keys and shapes of a whole network."""
    shapes = _prefixed('backbone.', backbone_shapes(width, depths))
    if not hrda:
        return shapes | _prefixed('decode_head.', head_shapes(width, classes, **sizes))
    scale_attention = head_shapes(width, attention_classes or classes, pyramid=False, **sizes)
    shapes |= _prefixed('decode_head.head.', head_shapes(width, classes, **sizes))
    return shapes | _prefixed('decode_head.scale_attention.', scale_attention)


def random_state(shapes, seed=0, dtype=torch.float32):
    """Values that keep activations of unit size through the network; no tensor equals another."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes.items():
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        if key.endswith('num_batches_tracked'):
            state[key] = torch.tensor(3)
            continue
        if key.endswith('running_var'):
            noise = 0.5 + noise.abs()
        elif len(shape) == 1:
            noise = 0.1 * noise + (1.0 if key.endswith('weight') else 0.0)
        else:
            noise = noise / math.sqrt(math.prod(shape[1:]))
        state[key] = noise.to(dtype)
    return state


def uda_state(shapes, *, classes=None, seed=0, reference=True):
    """An adaptation checkpoint around a network; with ``classes`` also the transition matrix."""
    state = {}
    for index, prefix in enumerate(('model.', 'ema_model.', 'imnet_model.')[: 3 if reference else 2]):
        state |= _prefixed(prefix, random_state(shapes, seed + index))
    if classes:
        extra = {
            'ntm_correct.ntm': (classes, classes),
            'ntm_correct.posterior': (classes, 1),
            'ntm_correct.convex_matrix.weight': (classes, classes),
            'ntm_correct.convex_matrix.identity': (classes, classes),
        }
        state |= random_state(extra, seed + 9)
    return state


def _prefixed(prefix, entries):
    return {prefix + key: value for key, value in entries.items()}


def _affine(shapes, key, shape):
    shapes[f'{key}.weight'] = shape
    shapes[f'{key}.bias'] = shape[:1]


def _conv_bn(shapes, key, shape):
    shapes[f'{key}.conv.weight'] = shape
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        shapes[f'{key}.bn.{name}'] = shape[:1]
    shapes[f'{key}.bn.num_batches_tracked'] = ()
