"""The encoders that a recipe can name: a file each in this folder, a row each in this table."""

from cxreport.train.networks.encoders.trunk import Trunk
from cxreport.train.networks.encoders.vgg19 import Vgg19

ENCODERS: dict[str, type[Trunk]] = {
    "vgg19": Vgg19,
}
"""Convolutions by the ``name`` in a recipe's ``[encoder]``."""
