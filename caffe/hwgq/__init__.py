"""What 1-bit weights and 2-bit activations need beyond Caffe (HWGQ-Net, Cai et al., CVPR 2017)."""

from .binarize import BinarizedModel, binarize, binarized_net, deploy_net

__all__ = ["BinarizedModel", "binarize", "binarized_net", "deploy_net"]
