"""From a bucket of images and boxes to validated, fingerprinted training examples."""
