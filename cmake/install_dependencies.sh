#!/usr/bin/env bash
# Installs what the build lacks, where apt-get can; elsewhere CMake names what is missing and how to get it.
set -euo pipefail

packages=(cmake make g++ python3 python3-numpy libeigen3-dev catch2 libbenchmark-dev libcli11-dev libcereal-dev
  libboost-serialization-dev nlohmann-json3-dev libxxhash-dev zlib1g-dev gnuplot-nox dataset-fashion-mnist
  wamerican wdutch wfrench witalian wngerman wpolish wportuguese wspanish wswedish "$@")

command -v apt-get > /dev/null || exit 0
missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f='${Status}' "$package" 2> /dev/null) == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $(id -u) -eq 0 ]]; then
  as_root=()
elif command -v sudo > /dev/null; then
  as_root=(sudo)
else
  echo "Not root and no sudo, so not installed: ${missing[*]}" >&2
  exit 0
fi
echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
