# `cmake --install`: the library, its headers, and what find_package(bnq) reads. JSON and CLI11 stay inside.
include(CMakePackageConfigHelpers)
set(bnq_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bnq)

install(TARGETS bnq EXPORT bnqTargets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/bnq TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_BINARY_DIR}/src/include/bnq/version.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/bnq)
install(EXPORT bnqTargets NAMESPACE bnq:: DESTINATION ${bnq_config_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/bnqConfig.cmake.in ${PROJECT_BINARY_DIR}/bnqConfig.cmake
  INSTALL_DESTINATION ${bnq_config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/bnqConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/bnqConfig.cmake ${PROJECT_BINARY_DIR}/bnqConfigVersion.cmake
  DESTINATION ${bnq_config_dir})
