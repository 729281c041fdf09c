// What pictures there are to learn from: a folder, an IDX file or a set known by name, behind one small interface.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/core/observer.h"
#include "unnoise/io/image_read.h"

namespace unnoise {

/// A picture as it is stored.
struct PictureFile {
  std::string bytes;
  std::string name;  ///< without folders: "cat.png"; may be empty
};

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

  /// The file that picture i is stored as, byte for byte; nothing when the set holds bare pixels (IDX, CIFAR, npz).
  virtual std::optional<PictureFile> file(int64_t i) const;

  /// The caption: column "text", else "caption" or "prompt", when there is one and it is a string.
  std::optional<std::string> text(int64_t i) const;
};

/// Where `unnoise data get` puts what it installs: ~/.local/share/unnoise/datasets, the home folder being the user
/// database's.
fs::path user_datasets_folder();

struct DatasetOptions {
  /// A folder of pictures, of Parquet shards, of archives, of CIFAR's or of IDX files; an archive (zip, tar, tar.gz,
  /// tar.zst ..., WebDataset among them), a Parquet, IDX or npz file; or a name: "fashion-mnist". A file or folder wins
  /// over a name.
  std::string path_or_name;
  std::string split = "train";  ///< "train", "validation" or "test"
  bool strict = false;          ///< stop at the first file that would be skipped
  std::string config;           ///< of a hub data set with several: the folder of that name
  /// Where the sets known by name are looked for, in this order.
  std::vector<fs::path> installed_sets = {user_datasets_folder(), "/usr/share/datasets", "/usr/local/share/datasets"};
  /// Where packed archives are unpacked to, into a file without a name.
  fs::path scratch = "/var/tmp";
};

/// There are pictures, but none of the split that was asked for.
class NoSuchSplit : public Error {
 public:
  explicit NoSuchSplit(std::string message, std::string hint = {})
      : Error(ErrorKind::data, std::move(message), std::move(hint)) {}
};

/// Opens a set. Files that are no pictures, or damaged ones, are named and skipped through Observer::warn (with strict:
/// an Error::data). Error::data when nothing is left, or when nothing of that name exists; a Hub id ("user/set") is an
/// Error::usage.
std::shared_ptr<const Dataset> open_dataset(const DatasetOptions& options, const Observer& observer = {});

/// The pictures of options.split where the set marks such a part, else nullptr: one file, or a folder whose pictures
/// are not told apart, is no part of itself. Other mistakes and damage are errors as in open_dataset.
std::shared_ptr<const Dataset> find_split(const DatasetOptions& options, const Observer& observer = {});

/// Every split that there is, of train, validation and test (options.split does not count); archives are opened once. A
/// set without marked splits is one called "train".
struct SplitDataset {
  std::string split;
  std::shared_ptr<const Dataset> data;
};
std::vector<SplitDataset> open_splits(const DatasetOptions& options, const Observer& observer = {});

}  // namespace unnoise
