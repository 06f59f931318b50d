"""Knowledge of file formats without any I/O: bytes and values in, values out."""
