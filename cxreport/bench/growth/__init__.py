"""Growth of cost with the number and the size of what is worked on."""
