"""One incident or attack a file: it is carried out, and must fail."""
