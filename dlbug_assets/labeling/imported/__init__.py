"""Final labels that exist already: of items of the queue, from a file of any form that a map describes."""
