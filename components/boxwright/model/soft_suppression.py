"""The constants of soft suppression, for TensorFlow and for NumPy alike; loads neither."""

# Scores fall by exp(-0.5 * IoU^2 / sigma), as TensorFlow has it: arxiv.org/abs/1704.04503 with its sigma of 0.5.
SOFT_SIGMA = 0.25
# Pairs of place and class that compete, the best ones.
SOFT_PAIRS = 1000
# Boxes are cut to this range, in shares of the input, before they are compared.
COMPARED_RANGE = (-1.0, 2.0)
