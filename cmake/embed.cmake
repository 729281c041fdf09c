# Turns a file into a C++ source that defines one function which gives its bytes:
#   cmake -DIN=weights.safetensors -DOUT=weights.cpp -DHEADER=unnoise/x.h -DFUNCTION=builtin_x -P embed.cmake
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUT} "#include \"${HEADER}\"\n\nnamespace unnoise {\nnamespace {\n\nconstexpr unsigned char k_${FUNCTION}[] = {\n${hex}};\n\n}  // namespace\n
std::string_view ${FUNCTION}() {\n  return {reinterpret_cast<const char*>(k_${FUNCTION}), sizeof k_${FUNCTION}};\n}\n\n}  // namespace unnoise\n")
