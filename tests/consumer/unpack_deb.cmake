# cmake -D BUILD=<build of polyak> -D ROOT=<folder> -P unpack_deb.cmake: packs it for Debian, and unpacks that into a clean
# root.
file(REMOVE_RECURSE ${ROOT})
execute_process(COMMAND ${CMAKE_CPACK_COMMAND} -G DEB -B ${ROOT}/packed --config ${BUILD}/CPackConfig.cmake
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(GLOB package ${ROOT}/packed/libpolyak-dev_*_all.deb)
execute_process(COMMAND dpkg-deb --extract ${package} ${ROOT} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND dpkg-deb --field ${package} Depends OUTPUT_VARIABLE depends COMMAND_ERROR_IS_FATAL ANY)
if(NOT depends MATCHES "libeigen3-dev" OR NOT EXISTS ${ROOT}/usr/share/doc/libpolyak-dev/copyright)
  message(FATAL_ERROR "the package depends on ${depends}, or has no copyright file")
endif()
