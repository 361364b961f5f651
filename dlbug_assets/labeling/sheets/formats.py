"""The formats of a sheet, in a module of their own so that the command line loads nothing else."""

XLSX, CSV, LABEL_STUDIO = FORMATS = ("xlsx", "csv", "label-studio")
