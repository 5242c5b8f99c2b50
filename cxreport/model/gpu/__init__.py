"""GPUs: CUDA, steps bound to the device, word search as CUDA graphs."""
