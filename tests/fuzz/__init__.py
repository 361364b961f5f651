"""A seeded fuzzer for everything that comes from outside: no input may crash, block or fill the process.

Each kind of input has valid examples, which are mutated, and a function that reads them as the project does. An input
fails if reading it raises anything but :class:`DlbugError`, takes longer than its time limit, or loses a row that the
mutation left as it was. Failing inputs are kept in inputs/<kind>/, named by their digest, and replayed by test_fuzz.py.

PYTHONPATH=tests python -m fuzz [--kind KIND] [--inputs N] [--seconds S] [--seed S]
"""
