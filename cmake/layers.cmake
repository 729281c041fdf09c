# The layer table of docs/architecture.md as CMake targets: one library a folder, its links are its row of the table.
# tools/check_layers compares the #include lines with the same table.

# g++ 12 gives false -Wrestrict warnings inside std::string
set(UNNOISE_WARNINGS -Wall -Wextra -Wpedantic -Wno-unused-parameter -Wno-missing-field-initializers -Wno-restrict)

add_library(unnoise_options INTERFACE)
target_include_directories(unnoise_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                                     $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(unnoise_options INTERFACE cxx_std_20)
if(UNNOISE_SANITIZE)
  target_compile_options(unnoise_options INTERFACE -fsanitize=${UNNOISE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(unnoise_options INTERFACE -fsanitize=${UNNOISE_SANITIZE})
endif()
if(UNNOISE_FUZZ AND CMAKE_CXX_COMPILER_ID MATCHES Clang)  # so that a fuzzer sees which branches an input took
  target_compile_options(unnoise_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Several files in one compilation: LibTorch's headers are most of each. Names in anonymous namespaces then have to differ
# within a folder.
function(unnoise_unity target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${UNNOISE_UNITY} UNITY_BUILD_BATCH_SIZE 8)
endfunction()

# unnoise_layer(<folder> <other layers and outside libraries it may use> ...)
function(unnoise_layer folder)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/unnoise/${folder}/*.cpp)
  if(NOT sources)  # a folder appears with its first file
    add_library(unnoise_${folder} INTERFACE)
    return()
  endif()
  add_library(unnoise_${folder} STATIC ${sources})
  add_library(unnoise::${folder} ALIAS unnoise_${folder})
  target_compile_options(unnoise_${folder} PRIVATE ${UNNOISE_WARNINGS})
  target_link_libraries(unnoise_${folder} PUBLIC unnoise_options ${ARGN})
  set_target_properties(unnoise_${folder} PROPERTIES EXPORT_NAME ${folder})
  unnoise_unity(unnoise_${folder})
  set_property(GLOBAL APPEND PROPERTY UNNOISE_LAYERS unnoise_${folder})
endfunction()
