"""Gas and code size, measured and compared with the committed figures."""
