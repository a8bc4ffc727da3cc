#!/usr/bin/env python3
"""Turns the JSON that polyak_bench writes into Markdown: each target met or not, and ratios of median times by size.

    report.py RESULTS...                                all families, or an error that says what is missing
    report.py --partial RESULTS...                      what there is
    report.py --readme README.md RESULTS...             also rewrites what is between <!-- overhead --> and
    report.py --page bench/README.md RESULTS...         <!-- /overhead -->: a small table, or all of them

RESULTS are JSON files or directories of them.
"""

import argparse
import json
import math
import os
import statistics
import sys
import typing
from dataclasses import dataclass

SCALARS = ("float", "double")
SIZES = tuple(2**k for k in range(6, 23, 2))
DEAD_SIZES = tuple(2**k for k in (6, 10, 14))
SET_SIZES = tuple(2**k for k in (14, 18, 22))
SPARSE_SIZES = (2**14, 47236, *(2**k for k in (18, 20, 22, 24)))
README_SIZES = tuple(2**k for k in range(10, 23, 4))
MARKERS = ("<!-- overhead -->\n", "<!-- /overhead -->\n")


@dataclass(frozen=True)
class Comparison:
    """The time of a step of one family beside that of another."""

    what: str
    family: str
    base: str


def ratio(pairs):
    return statistics.geometric_mean(time / base for time, base in pairs)


def worst_ratio(pairs):
    return max(time / base for time, base in pairs)


def nanoseconds_more(pairs):
    return statistics.mean(time - base for time, base in pairs)


@dataclass(frozen=True)
class Target:
    comparison: Comparison
    where: str
    sizes: tuple
    scalars: tuple
    limit: float
    of: typing.Callable = ratio  # the times of both families at these sizes: this is held to the limit


def to_packets(what, family):
    return Comparison(what + " / packets", family, "packets_" + family)


def to_alive(what, family):
    return Comparison(what + ", a tenth dead / alive", family + "_dead", family)


EMA_TO_PACKETS = to_packets("`Ema` of the weights' scalar", "ema_same_width")
WIDE_TO_PACKETS = to_packets("`Ema`", "ema")
COMPENSATED_TO_PACKETS = to_packets("compensated `Ema`", "ema_compensated")
FOUR_TO_PACKETS = to_packets("four `Ema` of the weights' scalar", "four_emas")
MOMENTUM_TO_PACKETS = to_packets("`Sgd` with momentum, `Ema` of the weights' scalar", "momentum_ema_same_width")
ADAMW_TO_PACKETS = to_packets("`AdamW`, `Ema` of the weights' scalar", "adamw_ema_same_width")
TO_PACKETS = (EMA_TO_PACKETS, WIDE_TO_PACKETS, COMPENSATED_TO_PACKETS, FOUR_TO_PACKETS, MOMENTUM_TO_PACKETS,
              ADAMW_TO_PACKETS)
EMA_TO_EIGEN = Comparison("`Ema` of the weights' scalar / two Eigen statements", "ema_same_width", "two_eigen")
ADAMW_TO_EIGEN = Comparison("`AdamW` with `Ema` / four Eigen statements", "adamw_ema_same_width", "adamw_four_eigen")
TO_EIGEN = (EMA_TO_EIGEN, ADAMW_TO_EIGEN)
DEAD = (
    to_alive("`Sgd`, `Ema` of the weights' scalar", "ema_same_width"),
    to_alive("`Sgd` with momentum", "momentum_ema_same_width"),
    to_alive("`AdamW`", "adamw_ema_same_width"),
)
FOUR_EMAS = Comparison("four `Ema` in one `Averaged` / four separate updates", "four_emas", "four_separate_emas")
SWA = Comparison("`Swa` of the weights' scalar, every 100 steps / plain `Sgd`", "swa_100_same_width", "bare")
WIDE_SWA = Comparison("`Swa` every 100 steps / plain `Sgd`", "swa_100", "bare")
TRAINING = Comparison("training with `Ema` / without", "training_with_ema", "training")
GUARDED_EMA = Comparison("`Sgd`: guarded `Ema` / `Ema`", "guarded_ema", "ema")
GUARDED_SAME_WIDTH = Comparison("`Sgd`: guarded `Ema` / `Ema`, of the weights' scalar", "guarded_ema_same_width",
                                "ema_same_width")
GUARDED_ADAMW = Comparison("`AdamW`: guarded `Ema` / `Ema`, of the weights' scalar", "adamw_guarded_ema_same_width",
                           "adamw_ema_same_width")
GUARDED_UPDATE = Comparison("`update` alone: guarded `Ema` / `Ema`", "guarded_ema_update", "ema_update")
EVEN_BLOCKS = Comparison("a set of 50 blocks of round sizes / one vector", "fifty_even_blocks", "one_vector")
ODD_BLOCKS = Comparison("a set of 50 blocks of odd sizes / one vector", "fifty_odd_blocks", "one_vector")
SPARSE_UNIFORM = Comparison("sparse, `TailAverage` / by hand without average", "sparse_uniform", "sparse_plain")
SPARSE_EMA = Comparison("sparse, `Ema` / by hand without average", "sparse_ema", "sparse_plain")
SPARSE_TO_DENSE = Comparison("sparse, `Ema` / by hand with a dense EMA", "sparse_ema", "sparse_dense_ema")
SAME_CODE = Comparison("the same code twice", "ema", "ema_same_width")  # for double weights

TARGETS = (
    *(Target(each, "n ≥ 2¹⁰", SIZES[2:], SCALARS, 1.05)
      for each in (EMA_TO_PACKETS, WIDE_TO_PACKETS, MOMENTUM_TO_PACKETS, ADAMW_TO_PACKETS)),
    Target(EMA_TO_PACKETS, "n = 2⁸", SIZES[1:2], SCALARS, 1.20),
    Target(EMA_TO_PACKETS, "n = 64", SIZES[:1], SCALARS, 12, nanoseconds_more),
    Target(EMA_TO_EIGEN, "n = 2⁸, 2¹⁰", SIZES[1:3], SCALARS, 1.00, worst_ratio),
    Target(EMA_TO_EIGEN, "n ≥ 2¹²", SIZES[3:], SCALARS, 0.95),
    Target(EMA_TO_EIGEN, "n ≥ 2¹⁸", SIZES[6:], SCALARS, 0.90),
    Target(ADAMW_TO_EIGEN, "at every n", SIZES, SCALARS, 0.90, worst_ratio),
    Target(ADAMW_TO_EIGEN, "n ≥ 2¹⁸", SIZES[6:], SCALARS, 0.75),
    *(Target(each, "n ≥ 2¹⁰", DEAD_SIZES[1:], SCALARS, 1.10) for each in DEAD),
    Target(FOUR_EMAS, "n ≥ 2¹⁰", SIZES[2:], SCALARS, 0.80),
    Target(SWA, "n ≥ 2¹⁰", SIZES[2:], SCALARS, 1.03),
    Target(WIDE_SWA, "n ≥ 2¹⁰", SIZES[2:], SCALARS, 1.03),
    Target(GUARDED_EMA, "n ≥ 2¹⁸", SIZES[6:], SCALARS, 1.25),
    Target(GUARDED_SAME_WIDTH, "n ≥ 2¹⁸", SIZES[6:], SCALARS, 1.25),
    Target(GUARDED_ADAMW, "n ≥ 2¹⁸", SIZES[6:], SCALARS, 1.25),
    Target(EVEN_BLOCKS, "n = 2¹⁸", SET_SIZES[1:2], SCALARS, 1.10),
    Target(ODD_BLOCKS, "n = 2¹⁸", SET_SIZES[1:2], SCALARS, 1.10),
    *(Target(each, "d ≤ 2¹⁸", SPARSE_SIZES[:3], ("double",), 1.10) for each in (SPARSE_UNIFORM, SPARSE_EMA)),
    *(Target(each, "d = 2²⁰, 2²²", SPARSE_SIZES[3:5], ("double",), 1.30) for each in (SPARSE_UNIFORM, SPARSE_EMA)),
    *(Target(each, "d = 2²⁴", SPARSE_SIZES[-1:], ("double",), 1.20) for each in (SPARSE_UNIFORM, SPARSE_EMA)),
    Target(SPARSE_TO_DENSE, "d = 47,236", SPARSE_SIZES[1:2], ("double",), 0.02),
    Target(TRAINING, "Fashion-MNIST, batch 10", (10,), ("",), 1.08),
    Target(TRAINING, "Fashion-MNIST, batch 100", (100,), ("",), 1.03),
)

BY_HAND = (
    Comparison("one EMA by hand: packets", "packets_ema_same_width", "bare"),
    Comparison("one EMA by hand: two Eigen statements", "two_eigen", "bare"),
)
BY_POLYAK = (
    Comparison("`Ema`, shadow of the weights' scalar", "ema_same_width", "bare"),
    Comparison("`Ema`", "ema", "bare"),
    Comparison("`Ema`, compensated shadow of the weights' scalar", "ema_compensated", "bare"),
    Comparison("`TailAverage`", "tail_average", "bare"),
    Comparison("`Swa` every 100 steps", "swa_100", "bare"),
)
SEVERAL = (
    Comparison("two `Ema`, shadows of the weights' scalar", "two_emas", "bare"),
    Comparison("four `Ema`, shadows of the weights' scalar", "four_emas", "bare"),
    Comparison("four `Ema` by separate updates", "four_separate_emas", "bare"),
)
ADAMW = (
    Comparison("`AdamW` with `Ema`", "adamw_ema_same_width", "adamw"),
    Comparison("by hand: packets", "packets_adamw_ema_same_width", "adamw"),
    Comparison("by hand: four Eigen statements", "adamw_four_eigen", "adamw"),
)
GUARDS = (GUARDED_EMA, GUARDED_SAME_WIDTH, GUARDED_ADAMW, GUARDED_UPDATE)
SETS = (EVEN_BLOCKS, ODD_BLOCKS)
SPARSE = (
    Comparison("`SparseSgd` that never folds", "sparse_never", "sparse_plain"),
    Comparison("`SparseSgd`, `TailAverage`", "sparse_uniform", "sparse_plain"),
    Comparison("`SparseSgd`, `Ema`", "sparse_ema", "sparse_plain"),
    Comparison("by hand, dense EMA", "sparse_dense_ema", "sparse_plain"),
)
SMALL = (
    Comparison("`Sgd` with `Ema<float>` / `Sgd`", "ema_same_width", "bare"),
    Comparison("`Sgd` with `Ema`, kept in double / `Sgd`", "ema", "bare"),
    Comparison("`Sgd` with four `Ema<float>` / `Sgd`", "four_emas", "bare"),
    Comparison("by hand, two Eigen statements / `Sgd`", "two_eigen", "bare"),
    Comparison("`AdamW` with `Ema<float>` / `AdamW`", "adamw_ema_same_width", "adamw"),
)
RELATIVE = (*BY_HAND, *BY_POLYAK, *SEVERAL, SWA)  # to plain Sgd


class ReportError(Exception):
    pass


def benchmark_name(family, scalar, n):
    return f"{family}<{scalar}>/{n}" if scalar else f"{family}/{n}"


class Results:
    """The times of all repetitions by name, from any number of files of one machine and build."""

    def __init__(self, files):
        self.times = {}
        self.failures = {}
        self.context = None
        self.load = 0.0
        for file in files:
            inside = sorted(os.path.join(file, name) for name in os.listdir(file)) if os.path.isdir(file) else [file]
            for each in inside:
                self._read(each)

    def _read(self, file):
        try:
            with open(file, encoding="utf-8") as stream:
                content = json.load(stream)
        except OSError as error:
            raise ReportError(f"{file}: {error.strerror}") from error
        except ValueError as error:
            raise ReportError(f"{file}: not JSON, or cut short: {error}") from error
        try:
            context = {key: content["context"][key] for key in ("cpu", "compiler", "flags")}
            self.load = max([self.load, *content["context"].get("load_avg", [])])
            for run in content["benchmarks"]:
                if run.get("error_occurred"):
                    self.failures[run["name"]] = run["error_message"]
                elif run["run_type"] == "iteration":
                    nanoseconds = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[run["time_unit"]]
                    self.times.setdefault(run["name"], []).append(run["cpu_time"] * nanoseconds)
        except (KeyError, TypeError, AttributeError) as error:
            raise ReportError(f"{file}: not written by polyak_bench: {error!r} is missing or wrong") from error
        if self.context not in (None, context):
            raise ReportError(f"{file}: of another machine or build than the files before: {context}, {self.context}")
        self.context = context

    def median(self, *name):
        return statistics.median(self.times[benchmark_name(*name)])

    def missing(self, comparison, scalar, sizes):
        names = (benchmark_name(f, scalar, n) for n in sizes for f in (comparison.family, comparison.base))
        return [name for name in names if name not in self.times]

    def compare(self, comparison, scalar, sizes, of=ratio):
        """What `of` makes of the medians, or None where something was not measured."""
        if self.missing(comparison, scalar, sizes):
            return None
        return of([[self.median(f, scalar, n) for f in (comparison.family, comparison.base)] for n in sizes])

    def quartiles(self, comparison, scalar, sizes, of=ratio):
        """Those of what `of` makes of one repetition at a time."""
        series = [[self.times[benchmark_name(f, scalar, n)] for f in (comparison.family, comparison.base)] for n in sizes]
        values = [of(pairs) for pairs in zip(*(zip(*pair) for pair in series))]
        if len(values) < 2:
            return values[0], values[0]
        low, _, high = statistics.quantiles(values, method="inclusive")
        return low, high


def require_all(results):
    comparisons = [(t.comparison, scalar, t.sizes) for t in TARGETS for scalar in t.scalars]
    comparisons += [(c, s, SIZES) for c in RELATIVE + ADAMW + TO_PACKETS + TO_EIGEN + GUARDS for s in SCALARS]
    comparisons += [(c, s, DEAD_SIZES) for c in DEAD for s in SCALARS]
    comparisons += [(c, s, SET_SIZES) for c in SETS for s in SCALARS]
    comparisons += [(c, "double", SPARSE_SIZES) for c in SPARSE]
    missing = list(dict.fromkeys(name for c in comparisons for name in results.missing(*c)))
    if missing:
        reasons = [f"{name}: {results.failures.get(name, 'not measured')}" for name in missing[:5]]
        more = f"\nand {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ReportError("\n".join(reasons) + more + "\n(--partial reports what there is)")


def table(rows):
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---|" + "--:|" * (len(rows[0]) - 1), *body]) + "\n"


def size_text(n):
    if n & (n - 1):
        return f"{n:,}"
    return "2" + str(n.bit_length() - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def cell(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def duration(nanoseconds):
    """In three digits."""
    for exponent, unit in ((0, "ns"), (3, "µs"), (6, "ms"), (9, "s")):
        value = float(f"{nanoseconds / 10**exponent:.3g}")
        if value < 1000:
            break
    return f"{value:g} {unit}"


def targets_table(results):
    rows = [("median times", "where", "weights", "at most", "measured", "quartiles", "")]
    for target in TARGETS:
        for scalar in target.scalars:
            what = (target.comparison, scalar, target.sizes, target.of)
            measured = results.compare(*what)
            spread, verdict = "–", "not measured"
            if measured is not None:
                spread = "{:.3f} … {:.3f}".format(*results.quartiles(*what))
                verdict = "met" if measured <= target.limit else "**not met**"
            where = target.where + (", ns more" if target.of is nanoseconds_more else "")
            rows.append((target.comparison.what, where, scalar or "float", cell(target.limit),
                         cell(measured, 3), spread, verdict))
    return table(rows)


def ratios_table(results, comparisons, scalars_and_sizes):
    heads = [f"{scalar}, {size_text(n)}" for scalar, n in scalars_and_sizes]
    rows = [("n weights", *heads)]
    for comparison in comparisons:
        rows.append((comparison.what, *(cell(results.compare(comparison, s, (n,))) for s, n in scalars_and_sizes)))
    return table(rows)


def size_table(results, scalar):
    sizes = [(scalar, n) for n in SIZES]
    lines = ratios_table(results, RELATIVE, sizes).split("\n")
    measured = (results.times.get(benchmark_name("bare", *size)) for size in sizes)
    bare = [duration(statistics.median(times)) if times else "–" for times in measured]
    return "\n".join([*lines[:2], f"| plain `Sgd` | {' | '.join(bare)} |", *lines[2:]])


def tables_by_scalar(results, comparisons, sizes):
    return ratios_table(results, comparisons, [(scalar, n) for scalar in SCALARS for n in sizes])


def sparse_table(results):
    rows = [("d features", *map(size_text, SPARSE_SIZES))]
    times = [results.times.get(benchmark_name("sparse_plain", "double", n)) for n in SPARSE_SIZES]
    rows.append(("by hand, no average", *(duration(statistics.median(each)) if each else "–" for each in times)))
    for comparison in SPARSE:
        ratios = [results.compare(comparison, "double", (n,)) for n in SPARSE_SIZES]
        rows.append((comparison.what, *(cell(ratio, 2 if not ratio or ratio < 10 else 0) for ratio in ratios)))
    return table(rows)


def provenance(results):
    return "{cpu}, {compiler}, `{flags}`".format(**results.context)


def report(results):
    repetitions = sorted({len(times) for times in results.times.values()})
    text = f"{provenance(results)}; {repetitions[0]} to {repetitions[-1]} repetitions, "
    text += f"load average at most {results.load:.1f}.\n\n{targets_table(results)}\n"
    for scalar in SCALARS:
        text += f"Time of a step relative to plain `Sgd`, {scalar} weights:\n\n{size_table(results, scalar)}\n"
        beside = ratios_table(results, TO_PACKETS + TO_EIGEN + ADAMW + GUARDS, [(scalar, n) for n in SIZES])
        text += f"Beside a step by hand, `AdamW` alone, and an average that is not guarded:\n\n{beside}\n"
    text += f"Coordinates that are dead:\n\n{tables_by_scalar(results, DEAD, DEAD_SIZES)}\n"
    text += f"Parameter sets:\n\n{tables_by_scalar(results, SETS, SET_SIZES)}\n"
    text += f"A step on a sparse sample of about 70 nonzeros:\n\n{sparse_table(results)}\n"
    twice = [results.compare(SAME_CODE, "double", (n,)) for n in SIZES]
    noise = [abs(math.log(ratio)) for ratio in twice if ratio]
    if noise:
        text += f"Noise: `Ema` of double weights is measured twice; the two differ by {statistics.median(noise):.1%} "
        text += f"in the median size, {max(noise):.1%} in the worst.\n\n"
    return text + "".join(f"Failed: {name}: {message}\n" for name, message in results.failures.items())


def training_sentence(results):
    training = {n: cell(results.compare(TRAINING, "", (n,))) for n in (10, 100)}
    return (
        f"A step of softmax regression on Fashion-MNIST, gradient included, takes {training[10]} times as long with an `Ema` at\n"
        f"batch size 10, {training[100]} times at 100.\n"
    )


def readme_block(results):
    rows = [("n weights, float", *map(size_text, README_SIZES))]
    rows += [(c.what, *(cell(results.compare(c, "float", (n,))) for n in README_SIZES)) for c in SMALL]
    return (
        f"Time of a step with an average, relative to one without, the gradient being at hand\n({provenance(results)}):\n\n"
        f"{table(rows)}\n{training_sentence(results)}"
    )


def page_block(results):
    return (
        f"Time of a step on n weights with an average, relative to plain `Sgd`, the gradient being at hand\n"
        f"({provenance(results)}):\n\n{tables_by_scalar(results, BY_POLYAK + SEVERAL + BY_HAND, README_SIZES)}\n"
        f"The same for `AdamW`, relative to `AdamW` alone, everything in the scalar of the weights:\n\n"
        f"{tables_by_scalar(results, ADAMW, README_SIZES)}\n"
        f"Relative to the limit, the same by hand in packets, and to the Eigen statements that one would write:\n\n"
        f"{tables_by_scalar(results, TO_PACKETS + TO_EIGEN, README_SIZES)}\n"
        f"With the average `Guarded`, relative to the same without:\n\n"
        f"{tables_by_scalar(results, GUARDS, README_SIZES)}\n"
        f"A set of 50 blocks, n weights in all, relative to one vector:\n\n{tables_by_scalar(results, SETS, SET_SIZES)}\n"
        f"A step of sparse logistic regression, about 70 nonzeros of d features: time by hand, and relative to it:\n\n"
        f"{sparse_table(results)}\n"
        f"Computing a gradient costs more than all of this where it is dense. {training_sentence(results)}"
    )


def rewrite(path, block):
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            text = stream.read()
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    before, after = MARKERS
    if text.count(before) != 1 or text.count(after) != 1 or text.index(before) > text.index(after):
        raise ReportError(f"{path}: expected one line {before.strip()} and then one line {after.strip()}")
    head, rest = text.split(before)
    tail = rest.split(after)[1]
    with open(path + ".new", "w", encoding="utf-8", newline="") as stream:
        stream.write(head + before + block + after + tail)
    os.replace(path + ".new", path)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", metavar="RESULTS")
    parser.add_argument("--partial", action="store_true", help="report what there is")
    parser.add_argument("--readme", metavar="FILE", help="rewrite the small table of this file")
    parser.add_argument("--page", metavar="FILE", help="rewrite the tables of this file")
    options = parser.parse_args(arguments)
    if options.partial and (options.readme or options.page):
        parser.error("argument --partial: not allowed with --readme or --page")
    try:
        results = Results(options.results)
        if not results.times and not results.failures:
            raise ReportError("no measurements in " + ", ".join(options.results))
        if not options.partial:
            require_all(results)
        for path, block in ((options.readme, readme_block), (options.page, page_block)):
            if path:
                rewrite(path, block(results))
        print(report(results), end="")
    except ReportError as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
