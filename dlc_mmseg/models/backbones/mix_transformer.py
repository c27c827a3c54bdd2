"""MMSegmentation's Mix Transformer with the layer norm epsilons that published weights were trained with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from mmseg.models.backbones import MixVisionTransformer
from mmseg.models.utils import nlc_to_nchw
from mmseg.registry import MODELS
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@MODELS.register_module()
class LegacyMixVisionTransformer(MixVisionTransformer):
    """Mix Transformer (Xie et al., SegFormer, NeurIPS 2021) that repeats its authors' code to rounding.

    The authors' patch embeddings and spatial reductions normalise with an epsilon of 1e-5, all other layer norms
    with 1e-6; MMSegmentation takes 1e-6 everywhere, which changes logits by up to 1e-4. State dicts of the two are
    interchangeable.

    Args:
        in_channels: Channels of the image.
        embed_dims: Width of the first stage: 32 for MiT-B0, 64 for B1 to B5.
        num_layers: Blocks of each stage, (3, 6, 40, 3) for MiT-B5.
        num_heads: Attention heads of each stage; stage widths are ``embed_dims`` times these.
        patch_sizes: Kernel of each patch embedding.
        strides: Stride of each patch embedding.
        sr_ratios: Spatial reduction of the keys and values of each stage.
        out_indices: Stages that are returned.
        mlp_ratio: Hidden width of a block's MLP over its width.
        drop_rate: Dropout after attention and in the MLP, in [0, 1).
        attn_drop_rate: Dropout on attention weights, in [0, 1).
        drop_path_rate: Stochastic depth of the last block, in [0, 1), rising linearly from 0.
        with_cp: Recompute blocks in the backward pass to save memory.
        init_cfg: Initialisation, e.g. ``dict(type='Pretrained', checkpoint=...)``.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 64,
        *,
        num_layers: Sequence[int] = (3, 6, 40, 3),
        num_heads: Sequence[int] = (1, 2, 5, 8),
        patch_sizes: Sequence[int] = (7, 3, 3, 3),
        strides: Sequence[int] = (4, 2, 2, 2),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        mlp_ratio: int = 4,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            in_channels=in_channels,
            embed_dims=embed_dims,
            num_stages=len(num_layers),
            num_layers=num_layers,
            num_heads=num_heads,
            patch_sizes=patch_sizes,
            strides=strides,
            sr_ratios=sr_ratios,
            out_indices=out_indices,
            mlp_ratio=mlp_ratio,
            drop_rate=drop_rate,
            attn_drop_rate=attn_drop_rate,
            drop_path_rate=drop_path_rate,
            with_cp=False,  # done here: MMSegmentation's reentrant kind fails where DDP sees a block twice
            init_cfg=init_cfg,
        )
        self.with_cp = with_cp
        for stage in self.layers:
            patch_embedding, blocks, _ = cast('Iterable[Any]', stage)
            for part in (patch_embedding, *(block.attn for block in blocks if block.attn.sr_ratio > 1)):
                part.norm.eps = 1e-5

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of the stages in ``out_indices``.

        Args:
            images: Shape (B, C, H, W).

        Returns:
            Levels of shape (B, D_i, h_i, w_i), stride 4 first.
        """
        outputs: list[Tensor] = []
        maps = images
        for index, stage in enumerate(self.layers):
            patch_embedding, blocks, norm = cast('Iterable[Any]', stage)
            tokens, size = patch_embedding(maps)
            for block in blocks:
                if self.with_cp and torch.is_grad_enabled():
                    tokens = checkpoint(block, tokens, size, use_reentrant=False)
                else:
                    tokens = block(tokens, size)
            maps = nlc_to_nchw(norm(tokens), size)
            if index in self.out_indices:
                outputs.append(maps)
        return outputs
