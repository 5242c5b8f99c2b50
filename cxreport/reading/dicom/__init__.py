"""DICOM files: headers, pixel data, transfer syntaxes, and the grey pipeline."""
