#!/usr/bin/env bash
# Sets up, builds and runs the main example: logistic regression on the digits that come with polyak and, where it is
# installed, on Fashion-MNIST, with a picture of what averaging buys. BUILD_DIR is build/ unless set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD_DIR:-build}

cmake/install_dependencies.sh
cmake -S . -B "$build" -DPOLYAK_BUILD_EXAMPLES=ON
cmake --build "$build" --parallel "$(nproc)" --target logistic_regression

"$build"/examples/logistic_regression --data digits
if [[ -d /usr/share/datasets/fashion-mnist ]]; then
  "$build"/examples/logistic_regression --data fashion-mnist --plot "$build"/fashion_mnist.svg
  echo "The picture is $build/fashion_mnist.svg"
fi
