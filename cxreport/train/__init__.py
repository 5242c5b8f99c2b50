"""Training: from public collections to a run folder, and from there to a bundle. The only room that imports torch."""
