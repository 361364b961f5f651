"""Findings on relations: the two sources (4, 10, 15), root cause and bug type (11), libraries (19), years (20, 21).

One function per metric, in the order of findings.csv.
"""

from functools import partial
from itertools import pairwise

from dlbug_assets.analysis.comparison import SIGNIFICANCE
from dlbug_assets.analysis.findings.distributions import IPS, SI
from dlbug_assets.analysis.findings.evidence import Evidence, NotTestable
from dlbug_assets.analysis.findings.verdicts import (
    Metric,
    Reading,
    close_to,
    just_above,
    listed,
    lowest,
    named,
    smallest,
    spread,
)
from dlbug_assets.analysis.statistics.shares import Share, leads

_MODEL_BUGS = tuple(
    f"Structural {kind} Bug" for kind in ("Control and Sequence", "Data Flow", "Initialization", "Logic", "Processing")
)
_NON_MODEL_BUGS = tuple(
    f"Non Model Structural {kind} Bug" for kind in ("Control and Sequence", "Initialization", "Logic", "Processing")
)
_BY_TYPE = "share of root causes within the type's Stack Overflow bugs, all libraries pooled"
_BY_YEAR = "share of the library's Stack Overflow bugs of the year"
_HALF = 50

_A_P_VALUE, _A_CHANGE = "P values are compared", "years are compared"

# Evans (1996) calls correlations strong from .6 and very weak below .2.
_STRONG, _VERY_WEAK = 0.6, 0.2

_FIRST_YEAR, _LAST_YEAR = 2015, 2018


def _same_p(computed: float | None, published: float) -> bool:
    """Return whether both are equal as printed, with four decimals."""
    return computed is not None and f"{computed:.4f}" == f"{published:.4f}"


def _sources_alike(dimension: str, except_for: str | None, evidence: Evidence) -> Reading:
    """Judge that no category except the named one differs between the sources."""
    p_values = evidence.p_values(dimension)
    if except_for and (except_for not in p_values or p_values[except_for].exact is None):
        raise NotTestable(f"there is no P value for {except_for}")
    tested = {name: p.exact for name, p in p_values.items() if p.exact is not None}
    different = [name for name, p in tested.items() if p < SIGNIFICANCE]
    same = [name for name, p in p_values.items() if _same_p(p.rounded, p.published)]
    computed = "; ".join(f"{name}={p.rounded:.4f}" for name, p in p_values.items() if p.rounded is not None)
    reason = (
        f"of {len(tested)} P values {', '.join(different) or 'none'} {'are' if len(different) > 1 else 'is'} "
        f"below {SIGNIFICANCE}, and {len(same)} of {len(p_values)} are as printed"
    )
    return Reading(
        computed, different == ([except_for] if except_for else []), reason, evidence.smallest_library(dimension),
        "Student's t-test on one share per library and source, decided with exact shares, "
        "shown with shares rounded to whole percent, as those printed are", _A_P_VALUE,
        as_printed=len(same) == len(p_values),
    )  # fmt: skip


def effects_quoted_in_text(evidence: Evidence) -> Reading:
    """Judge that the P values of Bad Performance and Crash are not significant."""
    p_values = evidence.p_values("effect")
    names = ("Bad Performance", "Crash")
    exact = {name: p.exact for name, p in p_values.items()}
    quoted = {name: p for name in names if (p := exact.get(name)) is not None}
    if len(quoted) < len(names):
        raise NotTestable("there is no P value for Bad Performance or Crash")
    computed = "; ".join(f"{name}={100 * p:.0f}" for name, p in quoted.items())
    holds = all(p > SIGNIFICANCE for p in quoted.values())
    printed = "; ".join(f"{name}={p_values[name].published:.4f}" for name in quoted)
    reason = f"{'both are' if holds else 'not both are'} above {SIGNIFICANCE} (the paper's Table 4 prints {printed})"
    return Reading(computed, holds, reason, evidence.smallest_library("effect"),
                   "Student's t-test on one share per library and source, exact shares", _A_P_VALUE)  # fmt: skip


def _causes(evidence: Evidence, root_cause: str, bug_types: tuple[str, ...]) -> dict[str, Share]:
    return {bug_type: evidence.root_cause(bug_type, root_cause) for bug_type in bug_types}


def _si_and_ips(evidence: Evidence) -> dict[str, Share]:
    both = zip(_causes(evidence, SI, _MODEL_BUGS).items(), _causes(evidence, IPS, _MODEL_BUGS).values(), strict=True)
    return {bug_type: Share(si.bugs + ips.bugs, si.total) for (bug_type, si), ips in both}


def model_bugs_ranges(evidence: Evidence) -> Reading:
    """Judge that SI and IPS together cause most bugs of the model."""
    si, ips = (_causes(evidence, cause, _MODEL_BUGS).values() for cause in (SI, IPS))
    together = _si_and_ips(evidence).values()
    pooled = Share(sum(share.bugs for share in together), sum(share.total for share in together))
    reason = f"SI and IPS cause {pooled} bugs of the model ({pooled.printed}%)"
    return Reading(f"SI={spread(si)} | IPS={spread(ips)}", pooled.percent > _HALF, reason, smallest(si), _BY_TYPE,
                   pooled, claim_n=pooled.total)  # fmt: skip


def _cause_per_model_bug(root_cause: str, evidence: Evidence) -> Reading:
    shares = _causes(evidence, root_cause, _MODEL_BUGS).values()
    together = _si_and_ips(evidence)
    fewer = [bug_type for bug_type, share in together.items() if share.percent < _HALF]
    reason = "SI and IPS together cause half or more of every such type"
    reason += f" but {', '.join(fewer)}" if fewer else ""
    return Reading(listed(shares), not fewer, reason, smallest(shares), _BY_TYPE, lowest(together.values()))


def non_model_bugs(evidence: Evidence) -> Reading:
    """Judge that API Misuse causes most bugs outside the model."""
    shares = {}
    for bug_type in _NON_MODEL_BUGS:
        try:
            shares[bug_type] = evidence.root_cause(bug_type, "API Misuse")
        except NotTestable:
            # A rare type may not occur; the range is over those that do, but the two named ones are required.
            if bug_type in (_NON_MODEL_BUGS[1], _NON_MODEL_BUGS[3]):
                raise
    two = (shares[_NON_MODEL_BUGS[1]], shares[_NON_MODEL_BUGS[3]])
    pooled = Share(sum(share.bugs for share in shares.values()), sum(share.total for share in shares.values()))
    reason = f"API Misuse causes {pooled} bugs outside the model ({pooled.printed}%)"
    return Reading(f"{spread(shares.values())} | {listed(two)}", pooled.percent > _HALF, reason,
                   smallest(shares.values()), _BY_TYPE, pooled, claim_n=pooled.total)  # fmt: skip


def api_bug_causes(evidence: Evidence) -> Reading:
    """Judge that API Change causes most API Bugs."""
    shares = {cause: evidence.root_cause("API Bug", cause) for cause in ("API Change", "API Misuse")}
    change = shares["API Change"]
    holds = change.percent > _HALF
    reason = f"API Change causes {change} API Bugs, {'more' if holds else 'not more'} than half"
    return Reading(named(shares), holds, reason, change.total, _BY_TYPE, change)


def input_kludge(evidence: Evidence) -> Reading:
    """Judge that Tensorflow and Caffe have similar antipatterns, unlike Torch."""
    shares = evidence.per_library("antipattern", "Input Kludge", ("Tensorflow", "Caffe"))
    distance = evidence.similarity("antipattern", "jensen_shannon", ("Caffe", "Tensorflow", "Torch"))
    alike, unlike = distance["Caffe", "Tensorflow"], (distance["Caffe", "Torch"], distance["Tensorflow", "Torch"])
    reason = (
        f"the distributions of Tensorflow and Caffe are {alike:.2f} apart, "
        f"of Torch and Caffe {unlike[0]:.2f}, of Torch and Tensorflow {unlike[1]:.2f}"
    )
    totals = evidence.per_library("antipattern", "Input Kludge", ("Tensorflow", "Caffe", "Torch"))
    return Reading(
        named(shares), alike < min(unlike), reason, smallest(shares.values()),
        "share of the library's Stack Overflow antipatterns; Jensen-Shannon distance, base 2", "distances are compared",
        as_printed=all(just_above(share, 30) for share in shares.values()), claim_n=smallest(totals.values()),
    )  # fmt: skip


def cut_and_paste(evidence: Evidence) -> Reading:
    """Judge that Cut and Paste Programming is the most frequent antipattern in Torch."""
    shares = evidence.per_library("antipattern", "Cut and Paste Programming", ("Torch",))
    holds, reason = leads(evidence.categories("antipattern", "Torch"), "Cut and Paste Programming")
    return Reading(named(shares), holds, f"in Torch {reason}", smallest(shares.values()),
                   "share of Torch's Stack Overflow antipatterns", shares["Torch"])  # fmt: skip


def libraries_correlate(evidence: Evidence) -> Reading:
    """Judge that all libraries except Torch are strongly correlated by bug type."""
    pearson = evidence.similarity("bug_type", "pearson")
    with_torch = {pair: r for pair, r in pearson.items() if "Torch" in pair}
    without = {pair: r for pair, r in pearson.items() if "Torch" not in pair}
    if not with_torch or not without:
        raise NotTestable("it needs Torch and two other libraries")
    holds = min(without.values()) >= _STRONG and max(with_torch.values()) < _VERY_WEAK
    same = sum(pair in pearson and f"{pearson[pair]:.2f}" == f"{printed:.2f}"
               for pair, printed in evidence.published_correlation.items())  # fmt: skip
    reason = (
        f"Torch correlates with the others by {min(with_torch.values()):.2f} to {max(with_torch.values()):.2f}, "
        f"the others by {min(without.values()):.2f} to {max(without.values()):.2f} among themselves, and "
        f"{same} of {len(evidence.published_correlation)} are as printed"
    )
    return Reading(
        "; ".join(f"{a}-{b}={r:.2f}" for (a, b), r in pearson.items()), holds, reason,
        evidence.smallest_library("bug_type", ("Stack Overflow",)),
        f"Pearson over the bug types' shares on Stack Overflow, strong from {_STRONG}, "
        f"very weak under {_VERY_WEAK} (Evans 1996)",
        "correlations are compared",
        as_printed=same == len(evidence.published_correlation),
    )  # fmt: skip


def _ends(evidence: Evidence, category: str, library: str) -> tuple[Share, Share]:
    return evidence.in_year(category, library, _FIRST_YEAR), evidence.in_year(category, library, _LAST_YEAR)


def _course(ends: tuple[Share, Share]) -> str:
    return f"from {ends[0]} in {_FIRST_YEAR} to {ends[1]} in {_LAST_YEAR}"


def logic_bugs_by_year(evidence: Evidence) -> Reading:
    """Judge that the share of Structural Logic Bugs increases in Keras, Caffe and Tensorflow."""
    years = range(_FIRST_YEAR, _LAST_YEAR + 1)
    caffe = {str(year): evidence.in_year("Structural Logic Bug", "Caffe", year) for year in years}
    ends = {library: _ends(evidence, "Structural Logic Bug", library) for library in ("Keras", "Caffe", "Tensorflow")}
    falling = [library for library, (first, last) in ends.items() if last.exact <= first.exact]
    steady = all(later.exact >= earlier.exact for earlier, later in pairwise(caffe.values()))
    reason = ", ".join(f"{library} goes {_course(pair)}" for library, pair in ends.items())
    reason += f"; in Caffe {'no' if steady else 'a'} year is below the one before"
    return Reading(named(caffe), not falling, reason, smallest(caffe.values()), _BY_YEAR, _A_CHANGE,
                   claim_n=smallest(*ends.values(), caffe.values()))  # fmt: skip


def torch_data_bugs(evidence: Evidence) -> Reading:
    """Judge that the share of Data Bugs in Torch stays almost constant."""
    shares = [evidence.in_year("Data Bug", "Torch", year) for year in (2016, 2017, 2018)]
    pooled = Share(sum(share.bugs for share in shares), sum(share.total for share in shares))
    holds = all(close_to(share.percent, pooled.percent) for share in shares)
    reason = f"{listed(shares)} percent in 2016, 2017 and 2018, {'close' if holds else 'not all close'} to their mean"
    return Reading(str(pooled.printed), holds, reason, smallest(shares),
                   f"{_BY_YEAR}, the three years pooled for the value", pooled,
                   as_printed=all(close_to(share.percent, 50) for share in shares))  # fmt: skip


def _falling_data_bugs(library: str, evidence: Evidence) -> Reading:
    first, last = ends = _ends(evidence, "Data Bug", library)
    return Reading(listed(ends), last.exact < first.exact, f"{library} goes {_course(ends)}", smallest(ends), _BY_YEAR,
                   _A_CHANGE)  # fmt: skip


def vanishing_data_bugs(evidence: Evidence) -> Reading:
    """Judge that the share of Data Bugs decreases in Caffe and Theano."""
    ends = {library: _ends(evidence, "Data Bug", library) for library in ("Caffe", "Theano")}
    last = {library: pair[1] for library, pair in ends.items()}
    holds = all(after.exact < before.exact for before, after in ends.values())
    reason = " and ".join(f"{library} goes {_course(pair)}" for library, pair in ends.items())
    return Reading(named(last), holds, reason, smallest(*ends.values()), _BY_YEAR, _A_CHANGE,
                   as_printed=all(close_to(share.percent, 0) for share in last.values()))  # fmt: skip


#: The metrics of each finding: text as in findings.csv and function, in the order of findings.csv.
RELATION_METRICS: dict[int, tuple[tuple[str, Metric], ...]] = {
    4: (
        ("t-test P value per bug type; every one above 0.05 except Non Model Structural Logic Bug",
         partial(_sources_alike, "bug_type", "Non Model Structural Logic Bug")),
    ),
    10: (
        ("t-test P value per root cause; only API Misuse below 0.05",
         partial(_sources_alike, "root_cause", "API Misuse")),
    ),
    11: (
        ("range of the SI share and of the IPS share over the model related bug types (percent)", model_bugs_ranges),
        ("SI share (percent) of Structural Control and Sequence, Data Flow, Initialization, Logic, Processing bugs",
         partial(_cause_per_model_bug, SI)),
        ("IPS share (percent) of Structural Control and Sequence, Data Flow, Initialization, Logic, Processing bugs",
         partial(_cause_per_model_bug, IPS)),
        ("range of the API Misuse share over the non model bug types (percent); "
         "Non Model Structural Initialization and Processing Bugs", non_model_bugs),
        ("root cause shares within API Bug (percent)", api_bug_causes),
    ),
    15: (
        ("t-test P value per effect; none below 0.05", partial(_sources_alike, "effect", None)),
        ("P value in percent", effects_quoted_in_text),
    ),
    19: (
        ("Input Kludge share of antipatterns (percent, at least)", input_kludge),
        ("Cut and Paste Programming share of antipatterns (percent)", cut_and_paste),
        ("correlation of bug type distributions; the text calls the others close to 1 and Torch very weak",
         libraries_correlate),
    ),
    20: (("Structural Logic Bug share in Caffe by year (percent)", logic_bugs_by_year),),
    21: (
        ("Data Bug share, Torch, 2016-2018 (percent, close to)", torch_data_bugs),
        ("Data Bug share, Keras, from 2015 on (percent, first and last)", partial(_falling_data_bugs, "Keras")),
        ("Data Bug share, Tensorflow, 2015 and 2018 (percent)", partial(_falling_data_bugs, "Tensorflow")),
        ("Data Bug share, Caffe and Theano, last years (percent, close to)", vanishing_data_bugs),
    ),
}  # fmt: skip
