// A Python pickle read as plain data: calls stay unevaluated nodes, so nothing can run.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace unnoise {

/// One value of a pickle. Nodes refer to each other (the same list may be held twice, or hold itself) and are owned by
/// their Pickle.
struct PickleNode {
  enum class Kind {
    none,
    boolean,     ///< integer is 0 or 1
    integer,     ///< integer; beyond 64 bits the little-endian two's complement bytes are in text
    real,        ///< real
    text,        ///< text: str, UTF-8
    bytes,       ///< text
    list,        ///< items; a set is a list too
    tuple,       ///< items
    dict,        ///< items: key, value, key, value, ...; OrderedDict too
    global,      ///< text: "module.name", one of the allowed
    call,        ///< text: the global that is called; items: the tuple of its arguments
    persistent,  ///< items: the one object that stands for something outside the pickle
    mark,        ///< inside the reader only
  };
  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<const PickleNode*> items;
};

/// The graph under `root`. Walking it must not recurse without a limit: a hostile file may nest deeply or in circles.
struct Pickle {
  std::deque<PickleNode> nodes;
  const PickleNode* root = nullptr;
  size_t size = 0;  ///< bytes that it took
};

/// Reads the pickle at the start of `bytes`. `is_allowed("module.name")` decides which globals may appear; the first
/// other one ends the reading with an Error::data that names it. Protocols 2 to 5 as far as torch writes them; an
/// opcode beyond that, a malformed stream and more than 8 million values are errors, too. `where` names the source.
Pickle read_pickle(std::string_view bytes, std::string_view where,
                   const std::function<bool(std::string_view)>& is_allowed);

}  // namespace unnoise
