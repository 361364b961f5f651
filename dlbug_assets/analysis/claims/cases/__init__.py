"""Claims made ready to be judged: on the data in words and numbers, on draws as arrays."""
