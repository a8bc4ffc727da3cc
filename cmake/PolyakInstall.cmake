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

configure_file(${CMAKE_CURRENT_LIST_DIR}/polyak.pc.in ${PROJECT_BINARY_DIR}/polyak.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/polyak.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)

# A package for Debian and Ubuntu: cpack -G DEB
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # nothing that is installed has to be built
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libpolyak-dev RENAME copyright)
  set(CPACK_GENERATOR DEB)
  set(CPACK_PACKAGE_NAME libpolyak-dev)
  set(CPACK_PACKAGE_CONTACT "polyak maintainers")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
  set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
  set(CPACK_DEBIAN_PACKAGE_DEPENDS "libeigen3-dev (>= 3.4)")
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "nlohmann-json3-dev, libxxhash-dev")
  include(CPack)
endif()
