"""Heat maps: where in the image the sentences and words of a report look."""
