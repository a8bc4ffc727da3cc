#!/usr/bin/env python3
"""Counts the templates that a program has a compiler instantiate beyond those of Eigen/Core alone, by clang's -ftime-trace,
and fails where they are more than LIMIT.

    instantiations.py CLANG LIMIT PROGRAM INCLUDE_DIRECTORY...

The number is the same on every run and every machine, which a time is not; it depends on the versions of the compiler, of
its standard library and of Eigen.
"""

import json
import pathlib
import subprocess
import sys
import tempfile


def instantiations(clang, source, include_directories, directory):
    flags = ["-std=c++20", "-O0", "-ftime-trace", "-ftime-trace-granularity=0", *(f"-I{each}" for each in include_directories)]
    subprocess.run([clang, *flags, "-c", str(source), "-o", str(directory / "unit.o")], check=True)
    events = json.loads((directory / "unit.json").read_text(encoding="utf-8"))["traceEvents"]
    # "Total …" sums the others up.
    return sum(event["name"] in ("InstantiateClass", "InstantiateFunction") for event in events)


def main():
    clang, limit, program, *include_directories = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        alone = directory / "alone.cpp"
        alone.write_text("#include <Eigen/Core>\n", encoding="utf-8")
        count = instantiations(clang, program, include_directories, directory) - instantiations(
            clang, alone, include_directories, directory)
    print(f"{count} templates, at most {limit}")
    if count > int(limit):
        sys.exit(f"{program} has {count} templates instantiated, more than {limit}: is what was added worth it?")


if __name__ == "__main__":
    main()
