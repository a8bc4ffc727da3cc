#!/usr/bin/env python3
"""What including polyak costs a compiler beside Eigen/Core alone: the time of an empty translation unit, and its size once
preprocessed.

    compile_cost.py COMPILER INCLUDE_DIRECTORY... [--repetitions N]

The two are compiled in turn; times are medians of the processor time, the ratio is that of the medians.
"""

import argparse
import os
import resource
import statistics
import subprocess
import tempfile

HEADERS = ("Eigen/Core", "polyak/polyak.hpp")


def processor_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compiler")
    parser.add_argument("include_directories", nargs="+")
    parser.add_argument("--repetitions", type=int, default=11)
    options = parser.parse_args()
    flags = ["-std=c++20", "-O2", *(f"-I{each}" for each in options.include_directories)]
    times = {header: [] for header in HEADERS}
    sizes = {}
    with tempfile.TemporaryDirectory() as directory:
        units = {}
        for i, header in enumerate(HEADERS):
            units[header] = os.path.join(directory, f"{i}.cpp")
            with open(units[header], "w", encoding="utf-8") as unit:
                unit.write(f"#include <{header}>\n")
            text = subprocess.run([options.compiler, *flags, "-E", "-P", units[header]], check=True, capture_output=True)
            sizes[header] = len(text.stdout)
        for repetition in range(options.repetitions + 1):
            for header, unit in units.items():
                seconds = processor_seconds([options.compiler, *flags, "-c", unit, "-o", os.devnull])
                if repetition > 0:  # the first brings the files into memory
                    times[header].append(seconds)
    seconds = {header: statistics.median(times[header]) for header in HEADERS}
    print("| header | compile time | preprocessed |\n|---|--:|--:|")
    for header in HEADERS:
        print(f"| {header} | {seconds[header]:.2f} s | {sizes[header] / 1e6:.2f} MB |")
    alone, with_polyak = HEADERS
    print(f"| ratio | {seconds[with_polyak] / seconds[alone]:.2f} | {sizes[with_polyak] / sizes[alone]:.2f} |")


if __name__ == "__main__":
    main()
