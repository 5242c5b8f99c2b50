"""The pipeline from studies to reports, stage by stage."""
