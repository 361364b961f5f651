# ruff: noqa: T201 - the table it prints is what it is for
"""`python -m benchmarks`: every comparison, then one table. Nothing is left behind."""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.comparisons import Sizes, all_comparisons, prepare
from benchmarks.harness import ResultsDifferError, Row, SideFailedError, compare, table_text


def main() -> int:
    """Run them all; returns the exit code: 1 where a side failed or results differ."""
    began = time.perf_counter()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="dlbug-bench-") as folder:
        try:
            print("making the inputs", file=sys.stderr)
            prepare(Path(folder), Sizes())
            for comparison in all_comparisons(Path(folder)):
                print(f"{comparison.what} ...", file=sys.stderr)
                rows.append(compare(comparison))
        except (ResultsDifferError, SideFailedError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(table_text(rows))
    print("Seconds are medians, the ratio is the median of the pairs' ratios; below 1 we are faster.")
    print(f"Peak memory is that of a side's largest process. All of it took {time.perf_counter() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
