# ruff: noqa: T201 - its purpose is to print a table
"""Run every comparison and print one table: `python -m benchmarks`, or with `--quick` once each on smaller inputs.

The table is also written as CSV and as a chart under DLBUG_HOME, where inputs that are slow to generate are kept.
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
    """Run the comparisons and return the exit code: 1 if a side failed or results differ."""
    began = time.perf_counter()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the comparisons and print a table.")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, once each, without the full run")
    is_quick = parser.parse_args(arguments).quick
    sizes, comparisons = (QUICK, quick_comparisons) if is_quick else (Sizes(), all_comparisons)
    kept = Path(os.environ.get("DLBUG_HOME") or PROJECT / "warehouse", "benchmarks")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="dlbug-bench-") as folder:
        try:
            print("generating the inputs", file=sys.stderr)
            prepare(Path(folder), sizes)
            for comparison in comparisons(Path(folder), prepare_extraction(kept, sizes)):
                print(f"{comparison.task} ...", file=sys.stderr)
                rows.append(compare(comparison))
        except (ResultsDifferError, SideFailedError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(table_text(rows))
    print("Seconds are medians, the ratio is the median of the pairs' ratios; below 1, dlbug is faster.")
    table = kept / ("quick.csv" if is_quick else "benchmarks.csv")
    write_csv(table, rows)
    from benchmarks.chart import ratio_chart  # noqa: PLC0415 - after all measurements

    chart = table.with_suffix(".svg")
    chart.write_text(ratio_chart(rows), encoding="utf-8")
    print(f"Table as CSV and as a chart: {table}, {chart}")
    print(f"Peak memory is that of a side's largest process. Total time: {time.perf_counter() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
