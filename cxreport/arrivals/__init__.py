"""Studies as they arrive, by DICOM or in a folder: drafted once they are complete, and their results delivered."""
