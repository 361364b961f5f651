"""Write sheets in each format, with the texts that raters read and the cells that they fill in."""
