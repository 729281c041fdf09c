#include "unnoise/io/pickle.h"

#include <fmt/format.h>

#include <bit>

#include "unnoise/core/error.h"
#include "unnoise/io/pickle_machine.h"

namespace unnoise {
namespace {

using Kind = PickleNode::Kind;
using IsAllowed = std::function<bool(std::string_view)>;

constexpr uint8_t kNewestProtocol = 5;

/// The opcodes that torch and plain containers need, as Python's pickletools documents them.
namespace op {
constexpr uint8_t kMark = '(', kStop = '.', kPop = '0', kPopMark = '1', kDup = '2';
constexpr uint8_t kNone = 'N', kTrue = 0x88, kFalse = 0x89;
constexpr uint8_t kFloat64 = 'G', kInt32 = 'J', kUint8 = 'K', kUint16 = 'M', kLong8 = 0x8a, kLong32 = 0x8b;
constexpr uint8_t kString8 = 'U', kString32 = 'T', kText8 = 0x8c, kText32 = 'X', kText64 = 0x8d;
constexpr uint8_t kBytes8 = 'C', kBytes32 = 'B', kBytes64 = 0x8e;
constexpr uint8_t kEmptyList = ']', kEmptyDict = '}', kEmptySet = 0x8f;
constexpr uint8_t kEmptyTuple = ')', kTuple = 't', kTuple1 = 0x85, kTuple2 = 0x86, kTuple3 = 0x87;
constexpr uint8_t kAppend = 'a', kAppends = 'e', kAddItems = 0x90, kSetItem = 's', kSetItems = 'u';
constexpr uint8_t kGlobal = 'c', kStackGlobal = 0x93, kInstance = 'i';
constexpr uint8_t kReduce = 'R', kNewObject = 0x81, kBuild = 'b', kPersistent = 'Q';
constexpr uint8_t kGet8 = 'h', kGet32 = 'j', kPut8 = 'q', kPut32 = 'r', kMemoize = 0x94;
constexpr uint8_t kProtocol = 0x80, kFrame = 0x95;
}  // namespace op

void push_integer(PickleMachine& machine, int64_t value) { machine.push(Kind::integer).integer = value; }

void push_text(PickleMachine& machine, Kind kind, uint64_t size) {
  const auto text = machine.take(size);
  machine.push(kind).text = text;
}

/// Two's complement, little-endian, of any length.
void push_long(PickleMachine& machine, uint64_t size) {
  const auto digits = machine.take(size);
  if (size > 8) {
    machine.push(Kind::integer).text = digits;
    return;
  }
  uint64_t value = size > 0 && (digits.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
  std::memcpy(&value, digits.data(), size);
  push_integer(machine, static_cast<int64_t>(value));
}

void push_float(PickleMachine& machine) {
  const auto big_endian = machine.take_number<uint64_t>();
  machine.push(Kind::real).real = std::bit_cast<double>(__builtin_bswap64(big_endian));
}

void push_tuple(PickleMachine& machine, size_t size) {
  std::vector<const PickleNode*> items(size);
  for (size_t i = size; i-- > 0;) items[i] = &machine.pop();
  machine.push(Kind::tuple).items = std::move(items);
}

void push_tuple_to_mark(PickleMachine& machine) {
  auto items = machine.pop_to_mark();
  machine.push(Kind::tuple).items = std::move(items);
}

void append(PickleMachine& machine) {
  const PickleNode* item = &machine.pop();
  machine.extend(Kind::list, {item});
}

void set_item(PickleMachine& machine) {
  const PickleNode* value = &machine.pop();
  const PickleNode* key = &machine.pop();
  machine.extend(Kind::dict, {key, value});
}

void push_global(PickleMachine& machine, std::string_view module, std::string_view name, const IsAllowed& is_allowed) {
  std::string full = fmt::format("{}.{}", module, name);
  if (!is_allowed(full))
    throw data_error(
        fmt::format("{} wants to use \"{}\" while it is loaded, which no file of weights needs: refused",
                    machine.where(), full),
        "Nothing was run. If you trust where it comes from, load it with PyTorch and save it as safetensors.");
  machine.push(Kind::global).text = std::move(full);
}

void push_named_global(PickleMachine& machine, const IsAllowed& is_allowed) {
  const auto module = machine.take_line();
  const auto name = machine.take_line();
  push_global(machine, module, name, is_allowed);
}

void push_stack_global(PickleMachine& machine, const IsAllowed& is_allowed) {
  const PickleNode& name = machine.pop();
  const PickleNode& module = machine.pop();
  if (name.kind != Kind::text || module.kind != Kind::text) throw machine.broken("a global whose name is no text");
  push_global(machine, module.text, name.text, is_allowed);
}

/// As any dict; Python 2 gave the pairs at once, as OrderedDict([[key, value], ...]).
void push_ordered_dict(PickleMachine& machine, const std::vector<const PickleNode*>& arguments) {
  PickleNode& dict = machine.push(Kind::dict);
  if (arguments.empty()) return;
  if (arguments.size() != 1 || arguments[0]->kind != Kind::list) throw machine.broken("an OrderedDict of no pairs");
  machine.count_copies(arguments[0]->items.size());
  for (const PickleNode* pair : arguments[0]->items) {
    const bool is_pair = (pair->kind == Kind::list || pair->kind == Kind::tuple) && pair->items.size() == 2;
    if (!is_pair) throw machine.broken("an OrderedDict of no pairs");
    dict.items.insert(dict.items.end(), pair->items.begin(), pair->items.end());
  }
}

/// A call stays a node, but for OrderedDict, which is filled afterwards like any dict.
void push_call(PickleMachine& machine) {
  const PickleNode& arguments = machine.pop();
  const PickleNode& callee = machine.pop();
  if (arguments.kind != Kind::tuple || callee.kind != Kind::global)
    throw machine.broken("a call of what is no function");
  if (callee.text == "collections.OrderedDict") return push_ordered_dict(machine, arguments.items);
  PickleNode& call = machine.push(Kind::call);
  call.text = callee.text;
  call.items = {&arguments};
}

/// Attributes, such as the _metadata of a state dict, are not needed.
void drop_attributes(PickleMachine& machine) {
  machine.pop();
  if (machine.top().kind != Kind::dict) throw machine.broken("attributes are set on something that has none");
}

void push_persistent(PickleMachine& machine) {
  const PickleNode* id = &machine.pop();
  machine.push(Kind::persistent).items = {id};
}

void check_protocol(PickleMachine& machine) {
  const auto version = machine.take_number<uint8_t>();
  if (version > kNewestProtocol)
    throw machine.broken(fmt::format("protocol {} is newer than {}", version, kNewestProtocol));
}

// clang-format off
bool run_scalar(PickleMachine& machine, uint8_t code) {
  switch (code) {
    case op::kNone:     machine.push(Kind::none); return true;
    case op::kTrue:     machine.push(Kind::boolean).integer = 1; return true;
    case op::kFalse:    machine.push(Kind::boolean); return true;
    case op::kInt32:    push_integer(machine, machine.take_number<int32_t>()); return true;
    case op::kUint8:    push_integer(machine, machine.take_number<uint8_t>()); return true;
    case op::kUint16:   push_integer(machine, machine.take_number<uint16_t>()); return true;
    case op::kLong8:    push_long(machine, machine.take_number<uint8_t>()); return true;
    case op::kLong32:   push_long(machine, machine.take_number<uint32_t>()); return true;
    case op::kFloat64:  push_float(machine); return true;
    // Python 2 had one type for text and bytes; it wrote names so.
    case op::kString8:
    case op::kText8:    push_text(machine, Kind::text, machine.take_number<uint8_t>()); return true;
    case op::kString32:
    case op::kText32:   push_text(machine, Kind::text, machine.take_number<uint32_t>()); return true;
    case op::kText64:   push_text(machine, Kind::text, machine.take_number<uint64_t>()); return true;
    case op::kBytes8:   push_text(machine, Kind::bytes, machine.take_number<uint8_t>()); return true;
    case op::kBytes32:  push_text(machine, Kind::bytes, machine.take_number<uint32_t>()); return true;
    case op::kBytes64:  push_text(machine, Kind::bytes, machine.take_number<uint64_t>()); return true;
    default:            return false;
  }
}

bool run_container(PickleMachine& machine, uint8_t code) {
  switch (code) {
    case op::kEmptyList:
    case op::kEmptySet:   machine.push(Kind::list); return true;
    case op::kEmptyDict:  machine.push(Kind::dict); return true;
    case op::kEmptyTuple: machine.push(Kind::tuple); return true;
    case op::kTuple:      push_tuple_to_mark(machine); return true;
    case op::kTuple1:     push_tuple(machine, 1); return true;
    case op::kTuple2:     push_tuple(machine, 2); return true;
    case op::kTuple3:     push_tuple(machine, 3); return true;
    case op::kAppend:     append(machine); return true;
    case op::kAppends:
    case op::kAddItems:   machine.extend(Kind::list, machine.pop_to_mark()); return true;
    case op::kSetItem:    set_item(machine); return true;
    case op::kSetItems:   machine.extend(Kind::dict, machine.pop_to_mark()); return true;
    default:              return false;
  }
}

bool run_object(PickleMachine& machine, uint8_t code, const IsAllowed& is_allowed) {
  switch (code) {
    case op::kGlobal:
    case op::kInstance:    push_named_global(machine, is_allowed); return code == op::kGlobal;
    case op::kStackGlobal: push_stack_global(machine, is_allowed); return true;
    case op::kReduce:
    case op::kNewObject:   push_call(machine); return true;
    case op::kBuild:       drop_attributes(machine); return true;
    case op::kPersistent:  push_persistent(machine); return true;
    default:               return false;
  }
}

bool run_memory(PickleMachine& machine, uint8_t code) {
  switch (code) {
    case op::kMark:     machine.push(Kind::mark); return true;
    case op::kPop:      machine.drop(); return true;
    case op::kPopMark:  machine.pop_to_mark(); return true;
    case op::kDup:      machine.push_again(machine.top()); return true;
    case op::kGet8:     machine.push_again(machine.get(machine.take_number<uint8_t>())); return true;
    case op::kGet32:    machine.push_again(machine.get(machine.take_number<uint32_t>())); return true;
    case op::kPut8:     machine.put(machine.take_number<uint8_t>()); return true;
    case op::kPut32:    machine.put(machine.take_number<uint32_t>()); return true;
    case op::kMemoize:  machine.put_next(); return true;
    case op::kFrame:    machine.take(sizeof(uint64_t)); return true;
    case op::kProtocol: check_protocol(machine); return true;
    default:            return false;
  }
}
// clang-format on

}  // namespace

Pickle read_pickle(std::string_view bytes, std::string_view where, const IsAllowed& is_allowed) {
  PickleMachine machine(bytes, where);
  for (auto code = machine.take_number<uint8_t>(); code != op::kStop; code = machine.take_number<uint8_t>()) {
    if (!run_scalar(machine, code) && !run_container(machine, code) && !run_object(machine, code, is_allowed) &&
        !run_memory(machine, code))
      throw machine.broken(fmt::format("opcode 0x{:02x} is not one that weight files use", code));
  }
  return machine.finish();
}

}  // namespace unnoise
