"""The four sizes of D-FINE (arxiv.org/abs/2410.13842), as arguments of KerasHub's backbones. Knows no TensorFlow."""

from __future__ import annotations

from typing import Any

# HGNetV2: of each stage input, middle and output channels, blocks, layers a block, kernel.
_B0 = {
    "stem_channels": [3, 16, 16],
    "stackwise_stage_filters": [
        [16, 16, 64, 1, 3, 3],
        [64, 32, 256, 1, 3, 3],
        [256, 64, 512, 2, 3, 5],
        [512, 128, 1024, 1, 3, 5],
    ],
}
_B2 = {
    "stem_channels": [3, 24, 32],
    "stackwise_stage_filters": [
        [32, 32, 96, 1, 4, 3],
        [96, 64, 384, 1, 4, 3],
        [384, 128, 768, 3, 4, 5],
        [768, 256, 1536, 1, 4, 5],
    ],
}
_B4 = {
    "stem_channels": [3, 32, 48],
    "stackwise_stage_filters": [
        [48, 48, 128, 1, 6, 3],
        [128, 96, 512, 1, 6, 3],
        [512, 192, 1024, 3, 6, 5],
        [1024, 384, 2048, 1, 6, 5],
    ],
}


def _architecture(
    encoder: dict[str, Any],
    levels: int,
    hidden: int,
    feed_forward: int,
    expansion: float,
    depth: float,
    decoder_layers: int,
    affine: bool = True,
) -> dict[str, Any]:
    stages = encoder["stackwise_stage_filters"]
    channels = [stage[2] for stage in stages]
    points = [6, 6] if levels == 2 else [3, 6, 3]
    return {
        "encoder": {
            **encoder,
            "depths": [stage[3] for stage in stages],
            "hidden_sizes": channels,
            "embedding_size": encoder["stem_channels"][2],
            "apply_downsample": [False, True, True, True],
            "use_lightweight_conv_block": [False, False, True, True],
            "use_learnable_affine_block": affine,
            "hidden_act": "relu",
            "out_features": [f"stage{number}" for number in range(5 - levels, 5)],
        },
        "detector": {
            "decoder_in_channels": [hidden] * levels,
            "encoder_hidden_dim": hidden,
            "hidden_dim": hidden,
            "learn_initial_query": False,
            "feat_strides": [8, 16, 32][-levels:],
            "num_feature_levels": levels,
            "encoder_in_channels": channels[-levels:],
            "encode_proj_layers": [levels - 1],
            "num_attention_heads": 8,
            "encoder_ffn_dim": feed_forward,
            "num_encoder_layers": 1,
            "hidden_expansion": expansion,
            "depth_multiplier": depth,
            "eval_idx": -1,
            "num_decoder_layers": decoder_layers,
            "decoder_attention_heads": 8,
            "decoder_ffn_dim": 512 if levels == 2 else 1024,
            "decoder_n_points": points,
            "lqe_hidden_dim": 64,
            "num_lqe_layers": 2,
            "out_features": [f"stage{number}" for number in range(5 - levels, 5)],
        },
    }


NANO = _architecture(_B0, levels=2, hidden=128, feed_forward=512, expansion=0.34, depth=0.5, decoder_layers=3)
SMALL = _architecture(_B0, levels=3, hidden=256, feed_forward=1024, expansion=0.5, depth=0.34, decoder_layers=3)
MEDIUM = _architecture(_B2, levels=3, hidden=256, feed_forward=1024, expansion=1.0, depth=0.67, decoder_layers=4)
LARGE = _architecture(
    _B4, levels=3, hidden=256, feed_forward=1024, expansion=1.0, depth=1.0, decoder_layers=6, affine=False
)
