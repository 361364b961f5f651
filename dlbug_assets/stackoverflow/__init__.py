"""Stack Overflow: raw questions and answers, and the candidate posts among them."""
