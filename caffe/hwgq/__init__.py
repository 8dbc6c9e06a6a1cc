"""What 1-bit weights and 2-bit activations need beyond Caffe (HWGQ-Net, Cai et al., CVPR 2017)."""

from .binarize import BinarizedModel, binarize, binarized_net, deploy_net
from .pack import PackReport, pack
from .packed_blobs import PackedCaffemodel, pack_caffemodel
from .packed_net import PackedNet

__all__ = [
    "BinarizedModel",
    "PackReport",
    "PackedCaffemodel",
    "PackedNet",
    "binarize",
    "binarized_net",
    "deploy_net",
    "pack",
    "pack_caffemodel",
]
