"""Reading the files of a study, which people write: whatever they contain, a message names the place and the fix."""
