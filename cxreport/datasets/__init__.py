"""Adapters of public collections: NIH ChestX-ray14, Open-I, COCO captions, and files of reports."""
