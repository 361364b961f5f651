"""The formats and passes of a sheet, in a module of their own that loads nothing else."""

XLSX, CSV, LABEL_STUDIO = FORMATS = ("xlsx", "csv", "label-studio")

#: The two passes: first raters list the bugs of an item, then they rate each frozen unit.
LIST_BUGS, RATE_BUGS = PASSES = ("units", "dimensions")

#: The name of a workbook's sheet with the rows.
LABELS = "labels"
#: The names of its other sheets.
INSTRUCTIONS, CODEBOOK, LISTS = "instructions", "codebook", "lists"

#: Characters of a cell that is only shown, as far as it is read.
LONGEST_SHOWN = 1_000

#: The line number of a problem with a file as a whole.
WHOLE_FILE = 0
