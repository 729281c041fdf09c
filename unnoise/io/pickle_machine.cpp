#include "unnoise/io/pickle_machine.h"

#include <fmt/format.h>

#include <algorithm>

namespace unnoise {
namespace {

using Kind = PickleNode::Kind;

constexpr size_t kMaxNodes = 8'000'000;
constexpr std::string_view kTooMany = "it has more values than any weight file";

}  // namespace

Error PickleMachine::broken(std::string_view what) const {
  return data_error(fmt::format("{}: the pickle cannot be read: {} (byte {})", where_, what, at_),
                    "The file is damaged, or no file of weights.");
}

std::string_view PickleMachine::take(uint64_t size) {
  if (size > bytes_.size() - at_) throw broken("it is cut short");
  const auto out = bytes_.substr(at_, size);
  at_ += size;
  return out;
}

std::string_view PickleMachine::take_line() {
  const size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) throw broken("it is cut short");
  const auto out = take(end - at_);
  take(1);
  return out;
}

PickleNode& PickleMachine::push(Kind kind) {
  if (pickle_.nodes.size() >= kMaxNodes) throw broken(kTooMany);
  PickleNode& node = pickle_.nodes.emplace_back();
  node.kind = kind;
  stack_.push_back(&node);
  return node;
}

PickleNode& PickleMachine::top() const {
  if (stack_.empty() || stack_.back()->kind == Kind::mark) throw broken("a value is missing");
  return *stack_.back();
}

PickleNode& PickleMachine::pop() {
  PickleNode& node = top();
  stack_.pop_back();
  return node;
}

void PickleMachine::drop() {
  if (stack_.empty()) throw broken("a value is missing");
  stack_.pop_back();
}

std::vector<const PickleNode*> PickleMachine::pop_to_mark() {
  const auto is_mark = [](const PickleNode* node) { return node->kind == Kind::mark; };
  const auto mark = std::find_if(stack_.rbegin(), stack_.rend(), is_mark);
  if (mark == stack_.rend()) throw broken("a mark is missing");
  std::vector<const PickleNode*> items(mark.base(), stack_.end());
  stack_.erase(mark.base() - 1, stack_.end());
  return items;
}

void PickleMachine::extend(Kind kind, const std::vector<const PickleNode*>& items) {
  PickleNode& target = top();
  if (target.kind != kind) throw broken("items are added to something that holds none");
  if (kind == Kind::dict && items.size() % 2 != 0) throw broken("a key has no value");
  target.items.insert(target.items.end(), items.begin(), items.end());
}

void PickleMachine::count_copies(size_t n) {
  if ((copied_ += n) > kMaxNodes) throw broken(kTooMany);
}

PickleNode& PickleMachine::get(uint32_t key) const {
  const auto found = memory_.find(key);
  if (found == memory_.end()) throw broken("it refers to a value that it has not stored");
  return *found->second;
}

Pickle PickleMachine::finish() {
  pickle_.root = &pop();
  pickle_.size = at_;
  return std::move(pickle_);
}

}  // namespace unnoise
