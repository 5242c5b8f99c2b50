"""Text metrics: overlap with references, findings stated, variety."""
