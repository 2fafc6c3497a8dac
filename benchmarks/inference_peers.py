"""Writes a peer of `benchmarks.inference` with random weights: `PYTHON benchmarks/inference_peers.py NAME SIZE FOLDER`.

It runs in an environment of its own, with PyTorch, and so knows nothing of Boxwright. `FOLDER/model.xml`, OpenVINO's,
takes `(1, 3, size, size)` in [0, 1].
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

DFINE = "dfine-nano"


def dfine_nano(size: int) -> Any:
    """D-FINE-N, by the numbers of its authors' `dfine_hgnetv2_n_coco.yml`; it answers with logits and boxes."""
    # Its images are not needed, and one of another build of PyTorch cannot be imported.
    sys.modules["torchvision"] = None  # type: ignore[assignment]
    import openvino
    import torch
    from transformers import DFineConfig, DFineForObjectDetection
    from transformers.models.hgnet_v2 import HGNetV2Config

    encoder = HGNetV2Config(
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, 64, 256, 512],
        stage_mid_channels=[16, 32, 64, 128],
        stage_out_channels=[64, 256, 512, 1024],
        stage_num_blocks=[1, 1, 2, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 5, 5],
        stage_numb_of_layers=[3, 3, 3, 3],
        hidden_sizes=[64, 256, 512, 1024],
        depths=[1, 1, 2, 1],
        embedding_size=16,
        use_learnable_affine_block=True,
        out_features=["stage3", "stage4"],
    )
    config = DFineConfig(
        backbone_config=encoder,
        d_model=128,
        encoder_hidden_dim=128,
        encoder_in_channels=[512, 1024],
        encoder_ffn_dim=512,
        encode_proj_layers=[1],
        feat_strides=[16, 32],
        num_feature_levels=2,
        hidden_expansion=0.34,
        depth_mult=0.5,
        decoder_in_channels=[128, 128],
        decoder_ffn_dim=512,
        decoder_layers=3,
        decoder_n_points=[6, 6],
        num_labels=80,
    )

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = DFineForObjectDetection(config)

        def forward(self, pixels: Any) -> Any:
            found = self.model(pixel_values=pixels, return_dict=True)
            return found.logits, found.pred_boxes

    with torch.no_grad():
        return openvino.convert_model(
            Plain().eval(), example_input=torch.rand(1, 3, size, size), input=[1, 3, size, size]
        )


def ultralytics(name: str, size: int) -> Any:
    """One of Ultralytics', as its own export has it by default. Files are left in the working directory."""
    import openvino
    from ultralytics import YOLO

    made = YOLO(f"{name}.yaml").export(format="openvino", imgsz=size)
    return openvino.Core().read_model(next(Path(made).glob("*.xml")))


def main() -> None:
    import openvino

    name, size, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    model = dfine_nano(int(size)) if name == DFINE else ultralytics(name, int(size))
    openvino.save_model(model, "model.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
