"""Where the models of one network lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """The files in a network's folder."""

    folder: Path

    @property
    def deploy(self) -> Path:
        """The net with binary layers."""
        return self.folder / "deploy/deploy.prototxt"

    @property
    def weights(self) -> Path:
        """Its weights in floating point."""
        return self.folder / "deploy/net.caffemodel"

    @property
    def deploy_bw(self) -> Path:
        """The net with ordinary layers."""
        return self.folder / "deploy/deploy_bw.prototxt"

    @property
    def weights_bw(self) -> Path:
        """Its weights, +-alpha."""
        return self.folder / "deploy/net_BW.caffemodel"

    @property
    def network(self) -> Path:
        """The network for the peers."""
        return self.folder / "network.npz"

    @property
    def images(self) -> Path:
        """As many images as the largest batch."""
        return self.folder / "images.npy"

    def expected(self, quantizer: str) -> Path:
        """This project's float outputs for the images: of the net as it is (hwgq), or with ReLU (relu)."""
        return self.folder / f"expected_{quantizer}.npy"

    def packed(self, first_last: str) -> Path:
        """A packed model, its first and last layer float or int8."""
        return self.folder / f"{first_last}.hwgq"

    def model(self, name: str) -> Path:
        """A peer's model by its file name."""
        return self.folder / name
