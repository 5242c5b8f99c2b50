"""Vocabulary: its special words and their ids."""

SPECIAL_WORDS = ("<pad>", "<end>", "<unk>")
PAD, END, UNK = range(3)
FULL_STOP, NEXT_SECTION = ".", "<impression>"
"""Words of the captioning architectures that end a sentence and begin the Impression."""
NO_WORD = -1
"""Word id of the word step's first step, where the topic is the input."""
