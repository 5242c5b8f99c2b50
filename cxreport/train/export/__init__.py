"""Trained networks to ONNX bundles, quantised and verified."""
