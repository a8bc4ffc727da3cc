#!/usr/bin/env python3
"""Runs the steps of the Conan recipe that are its own, where Conan is not to be had: what it exports and packs, and the
version it finds. `conan_test.py <conanfile.py> <version>`"""

import fnmatch
import importlib.util
import os
import shutil
import sys
import tempfile
import types


def copy(_, pattern, src, dst):
    for folder, _, names in os.walk(src):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), src)
            if fnmatch.fnmatch(path, pattern):
                os.makedirs(os.path.dirname(os.path.join(dst, path)), exist_ok=True)
                shutil.copy(os.path.join(src, path), os.path.join(dst, path))


def load(_, path):
    with open(path, encoding="utf-8") as file:
        return file.read()


for module, names in {"conan": {"ConanFile": object}, "conan.tools": {}, "conan.tools.build": {"check_min_cppstd": None},
                      "conan.tools.files": {"copy": copy, "load": load}}.items():
    sys.modules[module] = types.ModuleType(module)
    vars(sys.modules[module]).update(names)

path, version = sys.argv[1:]
spec = importlib.util.spec_from_file_location("conanfile", path)
conanfile = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conanfile)
recipe = conanfile.PolyakConan()
recipe.recipe_folder = os.path.dirname(path)
with tempfile.TemporaryDirectory() as root:
    recipe.export_sources_folder = recipe.source_folder = os.path.join(root, "sources")
    recipe.package_folder = os.path.join(root, "package")
    recipe.set_version()
    recipe.export_sources()
    recipe.package()
    assert recipe.version == version, recipe.version
    for file in ("include/polyak/polyak.hpp", "include/polyak/io/npy.hpp", "licenses/LICENSE"):
        assert os.path.exists(os.path.join(recipe.package_folder, file)), file
