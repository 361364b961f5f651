"""The formats of a sheet, by themselves: the command line names them without loading what writes sheets."""

XLSX, CSV, LABEL_STUDIO = FORMATS = ("xlsx", "csv", "label-studio")
