"""What two notebooks share. Arrays in, arrays out; every equation names its source."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: no start-up chatter in notebooks
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # without AVX-512 it is off, and training takes twice as long
