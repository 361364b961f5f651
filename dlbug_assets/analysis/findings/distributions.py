"""Findings on shares within Stack Overflow: bug types (1 to 3), root causes (5 to 9), effects (12 to 14), stages.

One function per metric, in the order of findings.csv. The paper's "average" and "all the libraries" refer to a share
"of the bugs": the bugs of all libraries are pooled, and the note states the mean of the libraries' shares.
"""

import statistics
from dataclasses import replace
from functools import partial

from dlbug_assets.analysis.findings.evidence import Evidence, NotTestable
from dlbug_assets.analysis.findings.verdicts import Metric, Reading, just_above, lowest, named, smallest, spread
from dlbug_assets.analysis.statistics.shares import Share, leads, rank

IPS = "Incorrect Model Parameter or Structure"
SI = "Structure Inefficiency"

_PER_LIBRARY = "share of the library's Stack Overflow bugs"

# Percent from which a category is worth a finding.
_NOTEWORTHY = 5
# "Common" means rank 3 or better, "many" rank 2 or better, "most" more than half (in percent).
_COMMON, _MANY, _HALF = 3, 2, 50


def _pooled(evidence: Evidence, dimension: str, category: str) -> str:
    mean = statistics.mean(share.percent for share in evidence.per_library(dimension, category).values())
    return f"Stack Overflow bugs of all libraries pooled (mean of the libraries' shares: {mean:.1f})"


def _others(shares: dict[str, Share], names: tuple[str, ...]) -> dict[str, Share]:
    others = {library: share for library, share in shares.items() if library not in names}
    if not others:
        raise NotTestable(f"the study has no library beside {', '.join(names)}")
    return others


def _pooled_leader(dimension: str, category: str, evidence: Evidence) -> Reading:
    shares = evidence.categories(dimension)
    holds, reason = leads(shares, category)
    reason = f"with {shares[category].percent:.1f}% {reason}"
    return Reading(str(shares[category].printed), holds, reason, shares[category].total,
                   _pooled(evidence, dimension, category), shares[category])  # fmt: skip


def caffe_logic_bugs(evidence: Evidence) -> Reading:
    """Judge that Caffe has the largest share of Structural Logic Bugs."""
    shares = evidence.per_library("bug_type", "Structural Logic Bug")
    caffe = evidence.share("bug_type", "Structural Logic Bug", "Caffe")
    _others(shares, ("Caffe",))
    holds, reason = leads(shares, "Caffe")
    return Reading(
        str(caffe.printed), holds, reason, caffe.total, _PER_LIBRARY, caffe, claim_n=smallest(shares.values())
    )


def data_bugs_per_library(evidence: Evidence) -> Reading:
    """Judge that Data Bugs lead in most libraries."""
    shares = evidence.per_library("bug_type", "Data Bug", ("Tensorflow", "Keras", "Torch", "Theano", "Caffe"))
    leading = [library for library in shares if leads(evidence.categories("bug_type", library), "Data Bug")[0]]
    # In the paper's own table another category leads in Caffe, so that the claim cannot mean every library.
    holds = 2 * len(leading) > len(shares)
    reason = f"Data Bug leads in {len(leading)} of {len(shares)} libraries ({', '.join(leading) or 'none'})"
    return Reading(named(shares), holds, reason, smallest(shares.values()), _PER_LIBRARY,
                   "libraries are counted")  # fmt: skip


def logic_bugs_elsewhere(evidence: Evidence) -> Reading:
    """Judge that Structural Logic Bugs are frequent in the libraries other than Caffe."""
    shares = evidence.per_library("bug_type", "Structural Logic Bug", ("Keras", "Tensorflow", "Theano", "Torch"))
    with_some = [library for library, share in shares.items() if share.percent >= _NOTEWORTHY]
    # One of the four may have none: the printed range starts at 0.
    holds = len(with_some) >= len(shares) - 1
    reason = f"{len(with_some)} of the other {len(shares)} libraries have {_NOTEWORTHY}% or more ({named(shares)})"
    return Reading(spread(shares.values()), holds, reason, smallest(shares.values()), _PER_LIBRARY,
                   "libraries are counted")  # fmt: skip


def api_bugs_frequent(evidence: Evidence) -> Reading:
    """Judge that API Bugs are more frequent in Torch, Keras and Tensorflow than in the other libraries."""
    shown = evidence.per_library("bug_type", "API Bug", ("Torch", "Keras", "Tensorflow"))
    others = _others(evidence.per_library("bug_type", "API Bug"), tuple(shown))
    low, high = min(shown.values(), key=lambda s: s.exact), max(others.values(), key=lambda s: s.exact)
    reason = f"API Bugs are {low} bugs in the lowest of the three libraries and {high} in the highest of the others"
    return Reading(named(shown), low.exact > high.exact, reason, smallest(shown.values()), _PER_LIBRARY, low,
                   claim_n=smallest(shown.values(), others.values()))  # fmt: skip


def api_bugs_from_two(evidence: Evidence) -> Reading:
    """Judge that most API Bugs are from Keras and Tensorflow."""
    two = evidence.per_library("bug_type", "API Bug", ("Keras", "Tensorflow"))
    every = evidence.share("bug_type", "API Bug")
    if every.bugs == 0:
        raise NotTestable("there is no API Bug on Stack Overflow")
    share = Share(sum(one.bugs for one in two.values()), every.bugs)
    both = [evidence.share("bug_type", "API Bug", library, "both") for library in (*two, "All")]
    beside = Share(both[0].bugs + both[1].bugs, both[2].bugs)
    estimator = f"all API Bugs on Stack Overflow (with GitHub: {beside.printed})"
    reason = f"{share} API Bugs ({share.percent:.1f}%) are from Keras or Tensorflow"
    return Reading(str(share.printed), share.percent > _HALF, reason, every.bugs, estimator, share,
                   just_above(share, 81))  # fmt: skip


def ips_leads_in_two(evidence: Evidence) -> Reading:
    """Judge that IPS is the most frequent root cause in Tensorflow and Theano."""
    shown = evidence.per_library("root_cause", IPS, ("Tensorflow", "Theano"))
    leaders = {library: leads(evidence.categories("root_cause", library), IPS) for library in shown}
    reason = " and ".join(f"in {library} {words}" for library, (_, words) in leaders.items())
    holds = all(leading for leading, _ in leaders.values())
    return Reading(named(shown), holds, reason, smallest(shown.values()), _PER_LIBRARY, lowest(shown.values()))


def si_in_two(evidence: Evidence) -> Reading:
    """Judge that SI is among the two most frequent root causes in Keras and Caffe."""
    shown = evidence.per_library("root_cause", SI, ("Keras", "Caffe"))
    ranks = {library: rank(evidence.categories("root_cause", library), SI) for library in shown}
    reason = f"SI is number {ranks['Keras']} of the root causes in Keras and number {ranks['Caffe']} in Caffe"
    return Reading(named(shown), max(ranks.values()) <= _MANY, reason, smallest(shown.values()), _PER_LIBRARY,
                   lowest(shown.values()))  # fmt: skip


def ut_top_in_torch(evidence: Evidence) -> Reading:
    """Judge that Unaligned Tensor is the most frequent root cause in Torch."""
    shown = evidence.per_library("root_cause", "Unaligned Tensor", ("Torch",))
    holds, reason = leads(evidence.categories("root_cause", "Torch"), "Unaligned Tensor")
    return Reading(named(shown), holds, reason, smallest(shown.values()), _PER_LIBRARY, shown["Torch"])


def ut_per_library(evidence: Evidence) -> Reading:
    """Judge that Torch has the largest share of bugs with the root cause Unaligned Tensor."""
    libraries = ("Tensorflow", "Keras", "Torch", "Theano", "Caffe")
    shown = evidence.per_library("root_cause", "Unaligned Tensor", libraries)
    holds, reason = leads(shown, "Torch")
    return Reading(named(shown), holds, reason, smallest(shown.values()), _PER_LIBRARY, shown["Torch"])


def type_checking_in_theano(evidence: Evidence) -> Reading:
    """Judge that Theano has the largest share of bugs with the root cause Absence of type checking."""
    shown = evidence.per_library("root_cause", "Absence of type checking", ("Theano", "Keras", "Tensorflow"))
    shares = evidence.per_library("root_cause", "Absence of type checking")
    holds, reason = leads(shares, "Theano")
    return Reading(named(shown), holds, reason, smallest(shown.values()), _PER_LIBRARY,
                   shown["Theano"], claim_n=smallest(shares.values()))  # fmt: skip


def api_change_in_two(evidence: Evidence) -> Reading:
    """Judge that API Change is a noteworthy root cause in Tensorflow and Keras."""
    shown = evidence.per_library("root_cause", "API Change", ("Tensorflow", "Keras"))
    holds = all(share.percent >= _NOTEWORTHY for share in shown.values())
    reason = "API Change causes " + " and ".join(f"{share} bugs in {library}" for library, share in shown.items())
    reason += f", {'both' if holds else 'not both'} {_NOTEWORTHY}% or more"
    return Reading(named(shown), holds, reason, smallest(shown.values()), _PER_LIBRARY, lowest(shown.values()))


def crash_average(evidence: Evidence) -> Reading:
    """Judge that Crash is the most frequent effect over all libraries."""
    reading = _pooled_leader("effect", "Crash", evidence)
    return replace(reading, as_printed=just_above(evidence.share("effect", "Crash"), 66))


def crash_in_every_library(evidence: Evidence) -> Reading:
    """Judge that Crash is the most frequent effect in every library."""
    shares = evidence.per_library("effect", "Crash")
    behind = [library for library in shares if not leads(evidence.categories("effect", library), "Crash")[0]]
    reason = f"Crash is the top effect in every library but {', '.join(behind)}" if behind else (
        f"Crash is the top effect in each of the {len(shares)} libraries"
    )  # fmt: skip
    return Reading(spread(shares.values()), not behind, reason, smallest(shares.values()), _PER_LIBRARY,
                   lowest(shares.values()))  # fmt: skip


def _common_effect(effect: str, evidence: Evidence) -> tuple[bool, str]:
    place = rank(evidence.categories("effect"), effect)
    return place <= _COMMON, f"{effect} is number {place} of the effects ({evidence.share('effect', effect)})"


def bad_performance(evidence: Evidence) -> Reading:
    """Judge that Bad Performance is among the three most frequent effects."""
    libraries = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch")
    shown = evidence.per_library("effect", "Bad Performance", libraries)
    holds, reason = _common_effect("Bad Performance", evidence)
    return Reading(named(shown), holds, reason, smallest(shown.values()), _PER_LIBRARY,
                   evidence.share("effect", "Bad Performance"))  # fmt: skip


def incorrect_functionality(evidence: Evidence) -> Reading:
    """Judge that Incorrect Functionality is among the three most frequent effects."""
    share = evidence.share("effect", "Incorrect Functionality")
    holds, reason = _common_effect("Incorrect Functionality", evidence)
    estimator = _pooled(evidence, "effect", "Incorrect Functionality")
    return Reading(str(share.printed), holds, reason, share.total, estimator, share)


def theano_functionality(evidence: Evidence) -> Reading:
    """Judge that Incorrect Functionality is more frequent than Bad Performance in Theano."""
    function = evidence.share("effect", "Incorrect Functionality", "Theano")
    performance = evidence.share("effect", "Bad Performance", "Theano")
    sign = ">" if function.exact > performance.exact else "=" if function.exact == performance.exact else "<"
    reason = f"Incorrect Functionality has {function} bugs and Bad Performance {performance}"
    computed = f"Incorrect Functionality {sign} Bad Performance"
    return Reading(computed, sign == ">", reason, function.total, _PER_LIBRARY, function)


def _stage(stage: str, place: int, evidence: Evidence) -> Reading:
    shares = evidence.categories("stage")
    at = rank(shares, stage)
    tied = sum(share.exact == shares[stage].exact for share in shares.values()) > 1
    reason = f"{stage} is number {at} of the stages ({shares[stage]}){', with another' if tied else ''}"
    return Reading(str(shares[stage].printed), at == place and not tied, reason, shares[stage].total,
                   _pooled(evidence, "stage", stage), shares[stage])  # fmt: skip


#: The metrics of each finding: text as in findings.csv and function, in the order of findings.csv.
DISTRIBUTION_METRICS: dict[int, tuple[tuple[str, Metric], ...]] = {
    1: (
        ("share of Stack Overflow bugs that are Data Bugs, all libraries together (percent)",
         partial(_pooled_leader, "bug_type", "Data Bug")),
        ("Data Bug share of Stack Overflow bugs per library (percent)", data_bugs_per_library),
    ),
    2: (
        ("Structural Logic Bug share of Stack Overflow bugs, Caffe (percent)", caffe_logic_bugs),
        ("range of the Structural Logic Bug share over the other four libraries (percent)", logic_bugs_elsewhere),
    ),
    3: (
        ("API Bug share of Stack Overflow bugs (percent)", api_bugs_frequent),
        ("share of API Bugs that are from Keras or Tensorflow (percent, more than)", api_bugs_from_two),
    ),
    5: (
        ("average IPS share of bugs over the libraries (percent)", partial(_pooled_leader, "root_cause", IPS)),
        ("IPS share of Stack Overflow bugs (percent)", ips_leads_in_two),
    ),
    6: (("SI share of Stack Overflow bugs (percent)", si_in_two),),
    7: (
        ("UT share of Stack Overflow bugs (percent)", ut_top_in_torch),
        ("UT share of Stack Overflow bugs (percent)", ut_per_library),
    ),
    8: (("Absence of type checking share of Stack Overflow bugs (percent)", type_checking_in_theano),),
    9: (("API Change share of Stack Overflow bugs (percent)", api_change_in_two),),
    12: (
        ("average share of bugs that crash (percent, more than)", crash_average),
        ("range of the Crash share over the libraries, Stack Overflow (percent)", crash_in_every_library),
    ),
    13: (("Bad Performance share of Stack Overflow bugs (percent)", bad_performance),),
    14: (
        ("average Incorrect Functionality share of bugs (percent)", incorrect_functionality),
        ("comparison of the two shares, Theano, Stack Overflow", theano_functionality),
    ),
    16: (("share of bugs in Data Preparation (percent)", partial(_stage, "Data Preparation", 1)),),
    17: (("share of bugs in Training (percent)", partial(_stage, "Training", 2)),),
    18: (("share of bugs in Choice of Model (percent)", partial(_stage, "Choice of Model", 3)),),
}  # fmt: skip
