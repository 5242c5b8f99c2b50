"""Files and folders to studies: DICOM, PNG, JPEG and TIFF to the network's input."""
