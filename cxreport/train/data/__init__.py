"""Training data: images, report texts and evidence as tensors and targets."""
