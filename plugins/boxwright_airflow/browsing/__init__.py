"""Pages that show the images of a dataset with their boxes, before anything is trained on them."""
