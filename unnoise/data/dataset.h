// What pictures there are to learn from: a folder, an IDX file or a set known by name, behind one small interface.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/core/observer.h"
#include "unnoise/io/image_read.h"

namespace unnoise {

/// Pictures by index, in an order that depends on the files' names alone. Const calls may come from any number of
/// threads.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  /// Picture i, 0 <= i < size(). Error::data when its file is damaged.
  virtual DecodedImage read(int64_t i) const = 0;
  /// For messages: the file's path below the folder, or "train-images-idx3-ubyte.gz[17]".
  virtual std::string name(int64_t i) const = 0;
  /// Class of picture i; either every picture has one or none.
  virtual std::optional<int64_t> label(int64_t i) const;
  /// Names of classes 0, 1, ...; empty when there are no labels or they are bare numbers.
  virtual std::vector<std::string> label_names() const;
  /// The other columns of metadata.csv or metadata.jsonl: {"text": "a red fox", ...}; an empty object when there are
  /// none.
  virtual Json columns(int64_t i) const;

  /// The caption: column "text", when there is one and it is a string.
  std::optional<std::string> text(int64_t i) const;
};

struct DatasetOptions {
  std::string
      path_or_name;  ///< folder, IDX images file, or a name: "fashion-mnist". A file or folder wins over a name.
  std::string split = "train";  ///< "train", "validation" or "test"
  bool strict = false;          ///< stop at the first file that would be skipped
  /// Where the sets known by name are looked for, in this order.
  std::vector<fs::path> installed_sets = {"/usr/share/datasets", "/usr/local/share/datasets"};
};

/// Opens a set. Files that are no pictures, or damaged ones, are named and skipped through Observer::warn (with strict:
/// an Error::data). Error::data when nothing is left, or when nothing of that name exists; a Hub id ("user/set") is an
/// Error::usage.
std::shared_ptr<const Dataset> open_dataset(const DatasetOptions& options, const Observer& observer = {});

/// Names that open_dataset knows without a path.
std::vector<std::string> known_datasets();

}  // namespace unnoise
