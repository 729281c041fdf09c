# `cmake --install` gives the program, the headers, the libraries and a package: find_package(unnoise), then link unnoise::recipes or a
# lower layer.
include(CMakePackageConfigHelpers)

get_property(layers GLOBAL PROPERTY UNNOISE_LAYERS)
install(TARGETS ${layers} unnoise_options unnoise_torch unnoise_highway EXPORT unnoise_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY unnoise DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/unnoise/recipes FILES_MATCHING PATTERN "*.json")
install(EXPORT unnoise_targets NAMESPACE unnoise:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unnoise)

configure_package_config_file(cmake/unnoise-config.cmake.in ${CMAKE_BINARY_DIR}/unnoise-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unnoise)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/unnoise-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/unnoise-config.cmake ${CMAKE_BINARY_DIR}/unnoise-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unnoise)

# What is part of the library already, for other programs to read.
install(DIRECTORY share/features DESTINATION ${CMAKE_INSTALL_DATADIR}/unnoise)
