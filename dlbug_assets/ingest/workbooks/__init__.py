"""Workbooks: the cells of their sheets, with what spreadsheets leave in them."""
