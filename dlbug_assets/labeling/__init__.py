"""From candidates to agreed bugs: the queue of items, what raters hand in, their agreement, and its resolution."""
