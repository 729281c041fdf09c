# Everything the project takes from outside, found once. LibTorch comes from CMAKE_PREFIX_PATH (tools/setup records it in
# .torch_dir), from TORCH_DIR in the environment, or from the project's own .venv.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(ZLIB REQUIRED)
find_path(BOOST_MATH_INCLUDE_DIR boost/math/distributions/beta.hpp REQUIRED)  # header-only
find_package(PNG REQUIRED)
find_package(CURL REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(OpenMP REQUIRED COMPONENTS CXX)
# By the compiler's flag and not by a file: LibTorch brings a runtime of the same name, which is the one to be loaded.
set_target_properties(OpenMP::OpenMP_CXX PROPERTIES INTERFACE_LINK_LIBRARIES "" INTERFACE_LINK_OPTIONS "${OpenMP_CXX_FLAGS}")
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)

# Three versions of each kernel, chosen at run time: the compiler's baseline, AVX2 and AVX-512 (on Arm the baseline is NEON).
add_library(unnoise_highway INTERFACE)
target_link_libraries(unnoise_highway INTERFACE PkgConfig::HWY)
target_compile_definitions(unnoise_highway INTERFACE "HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_SSE4|HWY_AVX3_DL)")
set_target_properties(unnoise_highway PROPERTIES EXPORT_NAME highway)
find_package(JPEG REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
find_package(LibArchive REQUIRED)
find_package(TIFF 4.5 REQUIRED)

if(NOT Torch_DIR)
  if(DEFINED ENV{TORCH_DIR})
    list(APPEND CMAKE_PREFIX_PATH $ENV{TORCH_DIR})
  elseif(EXISTS ${PROJECT_SOURCE_DIR}/build/.torch_dir)
    file(STRINGS ${PROJECT_SOURCE_DIR}/build/.torch_dir recorded_torch LIMIT_COUNT 1)
    list(APPEND CMAKE_PREFIX_PATH ${recorded_torch})
  else()
    file(GLOB venv_torch ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
    list(APPEND CMAKE_PREFIX_PATH ${venv_torch})
  endif()
endif()
find_package(Torch REQUIRED)

# One interface target: LibTorch as SYSTEM headers, so that our warnings stay ours. The wheel carries headers of another fmt, which
# would be found before the installed ones: a folder with a link to the latter comes first.
get_target_property(fmt_headers fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
set(fmt_first ${PROJECT_SOURCE_DIR}/build/.fmt-first)  # one path for all build folders, so that ccache can share
file(MAKE_DIRECTORY ${fmt_first})
file(CREATE_LINK ${fmt_headers}/fmt ${fmt_first}/fmt SYMBOLIC)
add_library(unnoise_torch INTERFACE)
target_include_directories(unnoise_torch INTERFACE $<BUILD_INTERFACE:${fmt_first}>)
target_include_directories(unnoise_torch SYSTEM INTERFACE "$<BUILD_INTERFACE:${TORCH_INCLUDE_DIRS}>")
target_compile_definitions(unnoise_torch INTERFACE $<BUILD_INTERFACE:AT_PER_OPERATOR_HEADERS>)  # a fifth less to compile
target_link_libraries(unnoise_torch INTERFACE $<BUILD_INTERFACE:${TORCH_LIBRARIES}> $<INSTALL_INTERFACE:torch>)
set_target_properties(unnoise_torch PROPERTIES EXPORT_NAME torch)

# Arrow (Parquet): the headers and libraries inside the PyPI pyarrow wheel, beside torch or in .venv; ARROW_DIR names another.
# The libraries there have only their versioned names. They are linked to one module that is loaded on demand (adr/0013).
if(NOT ARROW_DIR)
  if(DEFINED ENV{ARROW_DIR})
    set(ARROW_DIR $ENV{ARROW_DIR})
  elseif(EXISTS ${PROJECT_SOURCE_DIR}/build/.arrow_dir)
    file(STRINGS ${PROJECT_SOURCE_DIR}/build/.arrow_dir ARROW_DIR LIMIT_COUNT 1)
  else()
    file(GLOB ARROW_DIR ${TORCH_INSTALL_PREFIX}/../pyarrow ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/pyarrow)
    if(ARROW_DIR)
      list(GET ARROW_DIR 0 ARROW_DIR)
    endif()
  endif()
endif()
get_filename_component(ARROW_DIR "${ARROW_DIR}" ABSOLUTE)
file(GLOB arrow_libraries ${ARROW_DIR}/libarrow.so.* ${ARROW_DIR}/libparquet.so.*)
if(NOT arrow_libraries)
  message(FATAL_ERROR "Arrow was not found in \"${ARROW_DIR}\": run tools/setup, or set ARROW_DIR to the folder of an installed pyarrow")
endif()
add_library(unnoise_arrow INTERFACE)
target_include_directories(unnoise_arrow SYSTEM INTERFACE ${ARROW_DIR}/include)
target_link_libraries(unnoise_arrow INTERFACE ${arrow_libraries})
