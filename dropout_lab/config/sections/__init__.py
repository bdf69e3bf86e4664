"""One module for each section of the config: its keys and the rules between them."""
