# The port of a checkout: vcpkg install polyak --overlay-ports=<checkout>/cmake/vcpkg
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../.." ABSOLUTE)
set(VCPKG_BUILD_TYPE release)  # headers alone

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -DPOLYAK_BUILD_TESTS=OFF -DPOLYAK_BUILD_BENCHMARKS=OFF -DPOLYAK_BUILD_EXAMPLES=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/polyak)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/polyak")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
