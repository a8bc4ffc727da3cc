#!/usr/bin/env python3
"""Writes digits.csv from the copy of the UCI digits that scikit-learn ships.

Debian and Ubuntu: apt-get install python3-sklearn, then /usr/bin/python3 make_digits.py
"""

import pathlib

from sklearn.datasets import load_digits

digits = load_digits()
assert digits.data.shape == (1797, 64)
assert (digits.data == digits.data.astype(int)).all() and digits.data.min() == 0 and digits.data.max() == 16

columns = ["label"] + [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
lines = [",".join(columns)]
for label, pixels in zip(digits.target, digits.data.astype(int)):
    lines.append(",".join(map(str, [label, *pixels])))

path = pathlib.Path(__file__).with_name("digits.csv")
path.write_text("\n".join(lines) + "\n", encoding="ascii")
