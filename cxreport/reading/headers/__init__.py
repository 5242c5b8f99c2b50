"""Headers of source images read again, for objects that go back to where the images are from."""
