"""What only GPUs run."""
