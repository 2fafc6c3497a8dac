"""The TensorFlow 2 detection zoo's SSD and EfficientDet networks, as its published checkpoints expect them.

Facts come from the Object Detection API's own configuration of the 13 archives; where its networks differ from the
papers or from Keras's (padding, activations, endpoints, anchors, matching), they are built as the checkpoints need.
"""

import lazy_loader

# The names that other folders may take stand in `__init__.pyi`; a module is loaded when one of its names is.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
