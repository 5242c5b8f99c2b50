"""Pictures: PNG, JPEG and TIFF files as images, in 8-bit grey or RGB."""
