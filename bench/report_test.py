#!/usr/bin/env python3
"""Tests of report.py: report_test.py smoke.json, the JSON of a short run with all families at their smallest n."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest

import report

CONTEXT = {"cpu": "a cpu", "compiler": "a compiler", "flags": "-O3", "load_avg": [0.5, 0.1, 0.1]}
FACTORS = {  # of the time of plain Sgd, which is n ns here
    "bare": 1,
    "two_eigen": 3,
    "ema_same_width": 2.1,
    "packets_ema_same_width": 2.05,
    "two_emas": 4,
    "four_emas": 6,
    "packets_four_emas": 5,
    "four_separate_emas": 8,
    "ema": 2.5,
    "packets_ema": 2.4,
    "ema_compensated": 2.7,
    "packets_ema_compensated": 2.5,
    "tail_average": 2.5,
    "swa_100": 1.02,
    "swa_100_same_width": 1.01,
    "momentum_ema_same_width": 3,
    "packets_momentum_ema_same_width": 3,
    "adamw": 4,
    "adamw_ema_same_width": 5.2,
    "packets_adamw_ema_same_width": 5,
    "adamw_four_eigen": 8,
    "guarded_ema": 3.25,
    "guarded_ema_same_width": 2.2,
    "adamw_guarded_ema_same_width": 5.46,
    "ema_update": 1,
    "guarded_ema_update": 1.4,
}
DEAD_FACTORS = {
    "ema_same_width_dead": 2.1,
    "momentum_ema_same_width_dead": 3.6,
    "adamw_ema_same_width_dead": 5.2,
}
SET_FACTORS = {"one_vector": 2, "fifty_even_blocks": 2.1, "fifty_odd_blocks": 2.4}
SPARSE_FACTORS = {
    "sparse_plain": 1,
    "sparse_never": 1.1,
    "sparse_uniform": 1.15,
    "sparse_ema": 1.16,
    "sparse_dense_ema": 100,
}
ALL_FACTORS = ((report.SIZES, FACTORS), (report.DEAD_SIZES, DEAD_FACTORS), (report.SET_SIZES, SET_FACTORS),
               (report.SPARSE_SIZES, SPARSE_FACTORS))


def all_times():
    """Three repetitions of everything; the median is the middle one."""
    times = {}
    for scalar in report.SCALARS:
        for n, family, factor in [(n, *each) for sizes, factors in ALL_FACTORS for n in sizes for each in factors.items()]:
            times[f"{family}<{scalar}>/{n}"] = [1.5 * n * factor, n * factor, 0.5 * n * factor]
    for batch in (10, 100):
        times[f"training/{batch}"] = [1000 * batch] * 3
        times[f"training_with_ema/{batch}"] = [1010 * batch] * 3
    return times


def benchmark_json(times, context=None, unit="ns"):
    runs = [
        {"name": name, "run_type": "iteration", "cpu_time": time, "real_time": 7 * time, "time_unit": unit}
        for name, repetitions in times.items()
        for time in repetitions
    ]
    aggregate = {"name": "bare<float>/64_mean", "run_type": "aggregate", "cpu_time": 1e9, "time_unit": "ns"}
    return {"context": context or CONTEXT, "benchmarks": runs + [aggregate]}


class ReportTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8", newline="") as stream:
            return stream.read()

    def results(self, times, **options):
        return self.write("results.json", json.dumps(benchmark_json(times, **options)))

    def run_report(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = report.main(list(arguments))
        return status, out.getvalue(), err.getvalue()

    def refused(self, message, *arguments):
        status, out, err = self.run_report(*arguments)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(message, err)

    def test_targets(self):
        times = all_times()
        times["training_with_ema/100"] = [100, 104000, 1e9]
        status, out, err = self.run_report(self.results(times))
        self.assertEqual((status, err), (0, ""))
        met = "| `Ema` of the weights' scalar / packets | n ≥ 2¹⁰ | float | 1.05 | 1.024 | 1.024 … 1.024 | met |"
        self.assertIn(met, out)
        self.assertIn("| n = 64, ns more | float | 12.00 | 3.200 | 2.400 … 4.000 | met |", out)
        dead = "| `Sgd` with momentum, a tenth dead / alive | n ≥ 2¹⁰ | double | 1.10 | 1.200 | 1.200 … 1.200 | **not met** |"
        self.assertIn(dead, out)
        self.assertIn("| `AdamW`, a tenth dead / alive | 1.00 | 1.00 | 1.00 |", out)
        self.assertIn("| n ≥ 2¹⁰ | double | 0.80 | 0.750 | 0.750 … 0.750 | met |", out)
        self.assertIn("| n ≥ 2¹⁸ | float | 0.75 | 0.650 | 0.650 … 0.650 | met |", out)
        self.assertIn("| at every n | float | 0.90 | 0.650 | 0.650 … 0.650 | met |", out)
        self.assertIn("| n = 2¹⁸ | double | 1.10 | 1.050 | 1.050 … 1.050 | met |", out)
        self.assertIn("| `AdamW` with `Ema` | 1.30 | 1.30 |", out)
        self.assertRegex(out, r"`Sgd`: guarded `Ema` / `Ema` \| n ≥ 2¹⁸ \| double \| 1.25 \| 1.300 \| .* \*\*not met\*\*")
        self.assertIn("| `update` alone: guarded `Ema` / `Ema` | 1.40 | 1.40 |", out)
        self.assertIn("| a set of 50 blocks of odd sizes / one vector | 1.20 | 1.20 |", out)
        self.assertRegex(out, r"batch 100 \| float \| 1.03 \| 1.040 \| [^|]* \| \*\*not met\*\* \|")
        self.assertNotIn("not measured", out)
        self.assertIn("| plain `Sgd` | 64 ns | 256 ns | 1.02 µs | 4.1 µs | 16.4 µs | 65.5 µs | 262 µs | 1.05 ms |", out)
        self.assertIn("a cpu, a compiler, `-O3`; 3 to 3 repetitions, load average at most 0.5", out)

    def test_ratio_is_the_geometric_mean_over_sizes_of_ratios_of_medians(self):
        times = {"ema<float>/64": [1, 8, 9], "bare<float>/64": [2, 2, 5], "ema<float>/256": [9], "bare<float>/256": [9]}
        results = report.Results([self.results(times)])
        ema = report.Comparison("", "ema", "bare")
        self.assertAlmostEqual(results.compare(ema, "float", (64,)), 4)
        self.assertAlmostEqual(results.compare(ema, "float", (64, 256)), 2)
        self.assertIsNone(results.compare(ema, "float", (64, 1024)))
        low, high = results.quartiles(ema, "float", (64,))  # of 1/2, 8/2 and 9/5
        self.assertAlmostEqual(low, (0.5 + 1.8) / 2)
        self.assertAlmostEqual(high, (1.8 + 4) / 2)

    def test_a_target_is_met_up_to_its_limit(self):
        for measured, verdict in ((1079, "met"), (1081, "**not met**")):
            times = {"training/10": [1000], "training_with_ema/10": [measured]}
            _, out, _ = self.run_report("--partial", self.results(times))
            self.assertIn(f" … {measured / 1000:.3f} | {verdict} |", out)

    def test_units(self):
        times = report.Results([self.results({"training/10": [3]}, unit="us")]).times
        self.assertEqual(times, {"training/10": [3000]})

    def test_files_add_up(self):
        half = self.write("half.json", json.dumps(benchmark_json({"training/10": [1, 2]})))
        self.assertEqual(report.Results([half, half]).times, {"training/10": [1, 2, 1, 2]})
        self.assertEqual(report.Results([self.directory]).times, {"training/10": [1, 2]})

    def test_refuses_what_is_incomplete(self):
        times = all_times()
        del times["packets_ema_same_width<float>/1024"]
        self.refused("packets_ema_same_width<float>/1024: not measured", self.results(times))
        status, out, _ = self.run_report("--partial", self.results(times))
        self.assertEqual(status, 0)
        self.assertRegex(out, r"packets \| n ≥ 2¹⁰ \| float \| 1.05 \| – \| – \| not measured")
        self.refused("no measurements in", "--partial", self.results({}))

    def test_says_why_a_benchmark_failed(self):
        content = benchmark_json({name: t for name, t in all_times().items() if name != "training/10"})
        failure = {"name": "training/10", "run_type": "iteration", "error_occurred": True, "error_message": "no data"}
        content["benchmarks"].append(failure)
        path = self.write("results.json", json.dumps(content))
        self.refused("training/10: no data", path)
        self.assertIn("training/10: no data", self.run_report("--partial", path)[1])

    def test_refuses_what_is_no_result(self):
        whole = json.dumps(benchmark_json(all_times()))
        self.refused("no-such.json: No such file", self.path("no-such.json"))
        self.refused("not JSON, or cut short", self.write("cut.json", whole[: len(whole) // 2]))
        self.refused("not JSON, or cut short", self.write("empty.json", ""))
        self.refused("not written by polyak_bench", self.write("list.json", "[1, 2]"))
        self.refused("'context'", self.write("other.json", "{}"))
        self.refused("'flags'", self.results(all_times(), context={"cpu": "", "compiler": ""}))
        self.refused("'cpu_time'", self.write("times.json", whole.replace("cpu_time", "time")))

    def test_refuses_to_mix_builds(self):
        other = self.write("other.json", json.dumps(benchmark_json({}, context={**CONTEXT, "flags": "-O2"})))
        self.refused("of another machine or build", "--partial", self.results({"training/10": [1]}), other)

    def test_readme_and_page(self):
        before, after = "# Title\r\n\n<!-- overhead -->\n", "<!-- /overhead -->\nThe end, ½.\n"
        readme = self.write("README.md", before + "stale\n" + after)
        page = self.write("page.md", before + "stale\n" + after)
        results = self.results(all_times())
        for _ in range(2):  # a second time changes nothing
            self.assertEqual(self.run_report("--readme", readme, "--page", page, results)[0], 0)
            for file in ("README.md", "page.md"):
                text = self.read(file)
                self.assertTrue(text.startswith(before) and text.endswith(after))
                self.assertNotIn("stale", text)
                self.assertIn("takes 1.01 times as long with an `Ema` at\nbatch size 10, 1.01 times at 100", text)
            self.assertIn("| `Sgd` with `Ema`, kept in double / `Sgd` | 2.50 | 2.50 | 2.50 | 2.50 |", self.read("README.md"))
            self.assertIn("| `AdamW` with `Ema<float>` / `AdamW` | 1.30 | 1.30 | 1.30 | 1.30 |", self.read("README.md"))
            self.assertIn("| `Ema` | 2.50 | 2.50 | 2.50 | 2.50 |", text)
            self.assertIn("| `AdamW` with `Ema` | 1.30 | 1.30 | 1.30 | 1.30 |", text)
            self.assertIn("| `AdamW`: guarded `Ema` / `Ema`, of the weights' scalar | 1.05 | 1.05 | 1.05 | 1.05 |", text)
        self.assertEqual(sorted(os.listdir(self.directory)), ["README.md", "page.md", "results.json"])

    def test_readme_stays_as_it_was_where_it_cannot_be_written(self):
        results = self.results(all_times())
        for text in ("no marker\n", "<!-- overhead -->\n", "<!-- /overhead -->\n<!-- overhead -->\n",
                     2 * "<!-- overhead -->\n<!-- /overhead -->\n"):
            self.refused("expected one line <!-- overhead -->", "--readme", self.write("README.md", text), results)
            self.assertEqual(self.read("README.md"), text)
        self.refused("No such file", "--readme", self.path("no-such.md"), results)
        self.write("README.md", "<!-- overhead -->\n<!-- /overhead -->\n")
        self.refused("not measured", "--readme", self.path("README.md"), self.results({"training/10": [1]}))
        self.assertEqual(self.read("README.md"), "<!-- overhead -->\n<!-- /overhead -->\n")

    def test_a_real_run(self):
        results = report.Results([smoke])
        for comparison in (*report.RELATIVE, *report.ADAMW, *report.TO_PACKETS, *report.TO_EIGEN, *report.DEAD):
            for scalar in report.SCALARS:
                self.assertEqual(results.missing(comparison, scalar, (64,)), [])
        families = [(family, 64) for family in (*FACTORS, *DEAD_FACTORS)] + [(family, 2**14) for family in SET_FACTORS]
        known = {report.benchmark_name(family, s, n) for family, n in families for s in report.SCALARS}
        known |= {report.benchmark_name(family, "double", 2**14) for family in SPARSE_FACTORS}
        self.assertEqual({name for name in results.times if not name.startswith("training")}, known)
        if "training/10" in results.times:
            self.assertEqual(results.missing(report.TRAINING, "", (10,)), [])
        status, out, _ = self.run_report("--partial", smoke)
        self.assertEqual(status, 0)
        self.assertRegex(out, r"\| n = 64, ns more \| double \| 12.00 \| -?[0-9.]+ \|")


if __name__ == "__main__":
    smoke = sys.argv.pop()
    unittest.main()
