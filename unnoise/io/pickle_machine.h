// The stack, the memory and the input of the pickle reader; what the opcodes do with them is in pickle.cpp.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/io/pickle.h"

namespace unnoise {

class PickleMachine {
 public:
  PickleMachine(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  /// "where: the pickle cannot be read: what (byte n)".
  Error broken(std::string_view what) const;
  std::string_view where() const { return where_; }

  std::string_view take(uint64_t size);  ///< the next bytes of the input
  std::string_view take_line();          ///< up to a newline, which goes, too
  template <class T>
  T take_number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  PickleNode& push(PickleNode::Kind kind);                        ///< a new node
  void push_again(PickleNode& node) { stack_.push_back(&node); }  ///< one that there is already
  PickleNode& top() const;
  PickleNode& pop();
  void drop();                                   ///< the top, be it a mark
  std::vector<const PickleNode*> pop_to_mark();  ///< what lies above the last mark; the mark goes, too
  /// Adds to the list or dict on top.
  void extend(PickleNode::Kind kind, const std::vector<const PickleNode*>& items);
  /// Guards what copies nodes' references more often than the input is long.
  void count_copies(size_t n);

  void put(uint32_t key) { memory_[key] = &top(); }
  void put_next() { put(static_cast<uint32_t>(memory_.size())); }
  PickleNode& get(uint32_t key) const;

  /// Ends: the top is the root.
  Pickle finish();

 private:
  std::string_view bytes_;
  std::string_view where_;
  size_t at_ = 0;
  size_t copied_ = 0;
  Pickle pickle_;
  std::vector<PickleNode*> stack_;
  std::unordered_map<uint32_t, PickleNode*> memory_;
};

}  // namespace unnoise
