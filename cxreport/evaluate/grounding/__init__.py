"""Maps against radiologists' boxes, and the deletion test."""
