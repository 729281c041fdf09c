// safetensors: tensors by name in one file that is mapped, never executed.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/io/mapped_file.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// One file, checked when it is opened: header size against file size, JSON, duplicate names, dtypes, shape times dtype
/// against the byte range, ranges without holes or overlaps up to the end of the file. Each fault is an Error::data
/// that names the file, the tensor and what is wrong. Reads F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL C64
/// F8_E4M3 F8_E5M2 (and their FNUZ kinds), also tensors of rank 0 and without elements.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const fs::path& path);
  /// The same for a file that is already in memory; `where` names it in errors. The bytes are copied.
  static SafetensorsFile parse(std::string_view bytes, std::string_view where);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// In the order in which the data lies in the file.
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return index_.contains(name); }

  /// A CPU tensor over the mapping (a copy where the file does not align it), which stays valid after this object is
  /// gone. Writing into it changes memory only. Error::data when there is no such name, with the nearest one.
  Tensor tensor(const std::string& name) const;
  /// All of them, in the order of names().
  StateDict state() const;

 private:
  struct Entry {
    std::string name;
    at::ScalarType dtype;
    Shape shape;
    uint64_t begin = 0;  // in the file's data part
    uint64_t end = 0;
  };

  SafetensorsFile(SharedBytes bytes, std::string where);
  void read_header(std::string_view header);
  void check_ranges(uint64_t data_size);
  Tensor view(const Entry& entry) const;

  SharedBytes bytes_;
  std::string where_;
  size_t data_at_ = 0;
  std::map<std::string, std::string> metadata_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t> index_;
};

/// Writes atomically, byte for byte what the Python package writes for the same tensors: wide dtypes first, then by
/// name, a header padded to 8 bytes. Tensors that are not contiguous or lie on another device are copied first; tensors
/// that share memory are written each in full. Error::usage for a name used twice and for a dtype or layout that the
/// format does not have.
void save_safetensors(const fs::path& path, const StateDict& tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace unnoise
