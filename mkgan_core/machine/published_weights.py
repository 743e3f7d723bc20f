"""The known published weights: address and hash of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weights:
    """A published weights file.

    Attributes:
        name: its name for `mkgan weights pull`.
        family: the kind of network, a key of `FAMILIES`.
        address: where it is published; its last part is the file's name.
        size: bytes.
        sha256: of the file.
        licence: of the file.
    """

    name: str
    family: str
    address: str
    size: int
    sha256: str
    licence: str

    @property
    def file(self) -> str:
        return self.address.rsplit("/", 1)[-1]


# The best of a family first: the order of preference if a folder contains several.
REGISTRY = {
    entry.name: entry
    for entry in (
        Weights(
            "yolov8n",
            "yolo",
            "https://github.com/ultralytics/assets/releases/download/v8.3.0/yolov8n.pt",
            6549796,
            "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
            "AGPL-3.0",
        ),
        Weights(
            "sam-vit-h",
            "sam",
            "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_h_4b8939.pth",
            2564550879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            "Apache-2.0",
        ),
        Weights(
            "sam-vit-l",
            "sam",
            "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_l_0b3195.pth",
            1249524607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            "Apache-2.0",
        ),
        Weights(
            "sam-vit-b",
            "sam",
            "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth",
            375042383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            "Apache-2.0",
        ),
        Weights(
            "sam2.1-t",
            "sam",
            "https://github.com/ultralytics/assets/releases/download/v8.4.0/sam2.1_t.pt",
            78105722,
            "3c1e81ca9b037dd39d70a014ddb9a813d6c4c4e12555420db7eaff31689bd4e3",
            "Apache-2.0",
        ),
        Weights(
            "mobile-sam",
            "sam",
            "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
            40728226,
            "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            "Apache-2.0",
        ),
        Weights(
            "faster-rcnn",
            "faster-rcnn",
            "https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
            167502836,
            "258fb6c638b15964ddcdd1ae0748c5eef1be9e732750120cc857feed3faac384",
            "BSD-3-Clause",
        ),
        Weights(
            "mask-rcnn",
            "mask-rcnn",
            "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            178090079,
            "bf2d0c1efbc936eeee2bc95a48e80ebc86b891f61b0106485937fc29f9315fc0",
            "BSD-3-Clause",
        ),
        Weights(
            "detectron2",
            "detectron2",
            "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/137849600/"
            "model_final_f10217.pkl",
            177841981,
            "9a737e290372f1f70994ebcbd89d8004dbb3ae30a605fd915a190fa4a782dd66",
            "CC BY-SA 3.0",
        ),
    )
}
