include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/polyak)

install(TARGETS polyak EXPORT polyak-targets FILE_SET HEADERS)
install(TARGETS polyak_io EXPORT polyak-io-targets FILE_SET HEADERS)
install(EXPORT polyak-targets NAMESPACE polyak:: DESTINATION ${package_dir})
install(EXPORT polyak-io-targets NAMESPACE polyak:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/polyak-config.cmake.in ${PROJECT_BINARY_DIR}/polyak-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/polyak-config-version.cmake
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/polyak-config.cmake ${PROJECT_BINARY_DIR}/polyak-config-version.cmake
              ${CMAKE_CURRENT_LIST_DIR}/PolyakDependencies.cmake
        DESTINATION ${package_dir})
