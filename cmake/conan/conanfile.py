"""The recipe of a checkout, for Conan 2: conan create <checkout>/cmake/conan"""

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load


class PolyakConan(ConanFile):
    name = "polyak"
    license = "MIT"
    description = "SGD with Polyak averaging, header-only on Eigen"
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"io": [True, False]}
    default_options = {"io": False}
    no_copy_source = True

    @property
    def _checkout(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        text = load(self, os.path.join(self._checkout, "include", "polyak", "version.hpp"))
        self.version = ".".join(re.findall(r"#define POLYAK_VERSION_\w+ (\d+)", text))

    def export_sources(self):
        copy(self, "include/*", self._checkout, self.export_sources_folder)
        copy(self, "LICENSE", self._checkout, self.export_sources_folder)

    def requirements(self):
        self.requires("eigen/[>=3.4 <6]", transitive_headers=True)
        if self.options.io:
            self.requires("nlohmann_json/[>=3.9 <4]", transitive_headers=True)
            self.requires("xxhash/[>=0.8 <1]", transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "*.hpp", os.path.join(self.source_folder, "include"), os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.components["core"].set_property("cmake_target_name", "polyak::polyak")
        self.cpp_info.components["core"].requires = ["eigen::eigen"]
        if self.options.io:
            io = self.cpp_info.components["io"]
            io.set_property("cmake_target_name", "polyak::io")
            io.requires = ["core", "nlohmann_json::nlohmann_json", "xxhash::xxhash"]
        for component in self.cpp_info.components.values():
            component.bindirs, component.libdirs = [], []
