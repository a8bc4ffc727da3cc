#!/usr/bin/env python3
"""One epoch of averaged logistic regression on sparse samples by polyak and by scikit-learn's SGDClassifier, in turn.

    sparse_epoch.py polyak_sparse_epoch [--repetitions N]

Both run in one process each, on the same samples in the same order, and must arrive at the same average; times are
medians of the processor time. Needs scikit-learn; where this Python has none, /usr/bin/python3 is tried.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import numpy
    import scipy.sparse
    import sklearn
    from sklearn.linear_model import SGDClassifier
except ImportError as error:
    if os.path.realpath(sys.executable) == os.path.realpath("/usr/bin/python3") or not os.path.exists("/usr/bin/python3"):
        sys.exit(f"sparse_epoch.py: {error}; scikit-learn is Debian's python3-sklearn")
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--repetitions", type=int, default=21)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        read = lambda name, type: numpy.fromfile(os.path.join(directory, name), dtype=type)
        with subprocess.Popen([options.program, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as polyak:
            features, rows, nonzeros, rate, l2 = map(float, polyak.stdout.readline().split())
            samples = scipy.sparse.csr_matrix(
                (read("values", numpy.float64), read("indices", numpy.int32), read("starts", numpy.int64)),
                shape=(int(rows), int(features)))
            labels = read("labels", numpy.float64)
            times = {"polyak": [], "scikit-learn": []}
            for repetition in range(options.repetitions + 1):
                polyak.stdin.write("\n")
                polyak.stdin.flush()
                seconds = float(polyak.stdout.readline())
                classifier = SGDClassifier(loss="log_loss", alpha=l2, learning_rate="constant", eta0=rate, average=True,
                                           max_iter=1, tol=None, shuffle=False)
                start = time.process_time()
                classifier.fit(samples, labels)
                end = time.process_time()
                if repetition > 0:  # the first touches the memory
                    times["polyak"].append(seconds)
                    times["scikit-learn"].append(end - start)
            polyak.stdin.close()
        average = read("average", numpy.float64)
        difference = numpy.abs(average - classifier.coef_[0]).max() / numpy.abs(average).max()
    if not difference < 1e-9:
        sys.exit(f"sparse_epoch.py: the averages differ by {difference:.1e} of the largest weight")
    medians = {name: statistics.median(each) for name, each in times.items()}
    print(f"{int(rows):,} samples of {nonzeros:.0f} nonzeros, {int(features):,} features; "
          f"averages agree to {difference:.0e}\n")
    print("| an epoch of averaged logistic regression | median | least |\n|---|--:|--:|")
    for name, each in times.items():
        version = f" {sklearn.__version__}" if name == "scikit-learn" else ""
        print(f"| {name}{version} | {medians[name] * 1e3:.1f} ms | {min(each) * 1e3:.1f} ms |")
    print(f"| ratio | {medians['scikit-learn'] / medians['polyak']:.2f} | "
          f"{min(times['scikit-learn']) / min(times['polyak']):.2f} |")


if __name__ == "__main__":
    main()
