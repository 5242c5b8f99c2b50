"""DICOM objects of drafted reports, which belong to the study that they were drafted from."""
