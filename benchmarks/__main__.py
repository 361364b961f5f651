# ruff: noqa: T201 - the table it prints is what it is for
"""`python -m benchmarks`: every comparison, then one table, also as CSV and as a chart; `--quick`: smaller and
once each.

Inputs that take their time to make are kept under DLBUG_HOME, and so are table and chart.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.comparisons import QUICK, Sizes, all_comparisons, prepare, prepare_extraction, quick_comparisons
from benchmarks.harness import PROJECT, ResultsDifferError, Row, SideFailedError, compare, table_text, write_csv


def main(arguments: list[str]) -> int:
    """Run them; returns the exit code: 1 where a side failed or results differ."""
    began = time.perf_counter()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Every comparison, then one table.")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, once each, without the full run")
    is_quick = parser.parse_args(arguments).quick
    sizes, chosen = (QUICK, quick_comparisons) if is_quick else (Sizes(), all_comparisons)
    kept = Path(os.environ.get("DLBUG_HOME") or PROJECT / "warehouse", "benchmarks")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="dlbug-bench-") as folder:
        try:
            print("making the inputs", file=sys.stderr)
            prepare(Path(folder), sizes)
            for comparison in chosen(Path(folder), prepare_extraction(kept, sizes)):
                print(f"{comparison.what} ...", file=sys.stderr)
                rows.append(compare(comparison))
        except (ResultsDifferError, SideFailedError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(table_text(rows))
    print("Seconds are medians, the ratio is the median of the pairs' ratios; below 1 we are faster.")
    table = kept / ("quick.csv" if is_quick else "benchmarks.csv")
    write_csv(table, rows)
    from benchmarks.chart import ratio_chart  # noqa: PLC0415 - everything is measured

    chart = table.with_suffix(".svg")
    chart.write_text(ratio_chart(rows), encoding="utf-8")
    print(f"The same as CSV, and as a chart: {table}, {chart}")
    print(f"Peak memory is that of a side's largest process. All of it took {time.perf_counter() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
