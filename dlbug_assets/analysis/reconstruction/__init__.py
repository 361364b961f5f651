"""How printed numbers came about: a search over small edits of the released labels and of the printed columns.

Every printed table is read as the outcome of three steps: labels are counted, counts are rounded to the printed shares,
and P values are computed from these. An edit changes one step in one way, such as a row that is missing, or a share
that is raised by one so that its column sums to 100. The chosen edits are those of the shortest description in bits:
each costs the logarithm of its number of alternatives, and so does every printed share, P value and bar that remains
unexplained (Rissanen 1978, "Modeling by shortest data description").
"""
