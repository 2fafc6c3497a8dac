"""The rounding of resized pixels to whole numbers, alike for all libraries that resize."""

# Added before rounding. Where images shrink by simple ratios, many pixels lie between two whole numbers, and the sums
# of two libraries differ in their last bits: without it one rounds up what the other rounds down.
TIE = 1 / 512
