"""Names of the findings that the generated images have boxes for, and the head of a box file."""

HEADER = "Image Index,Finding Label,x,y,w,h"
SIZE = 32
HEART, FLUID = "Cardiomegaly", "Effusion"
