"""Reading of submitted files: workbooks, text files and exports of Label Studio, as rows of texts."""
