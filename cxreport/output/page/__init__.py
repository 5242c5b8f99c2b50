"""Pages of drafted reports: one per study, and one that lists a folder of them."""
