from .generate import generate_sample as generate_sample
