#include "unnoise/io/tensor_bytes.h"

#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"

namespace unnoise {

std::optional<uint64_t> byte_size(const Shape& shape, at::ScalarType dtype) {
  int64_t extent = static_cast<int64_t>(c10::elementSize(dtype));
  bool empty = false;
  for (const int64_t n : shape) {
    empty |= n == 0;
    if (n < 0 || __builtin_mul_overflow(extent, std::max<int64_t>(n, 1), &extent)) return std::nullopt;
  }
  return empty ? 0 : static_cast<uint64_t>(extent);
}

Tensor tensor_over(const SharedBytes& bytes, size_t at, const Shape& shape, at::ScalarType dtype,
                   std::string_view where) {
  char* data = bytes.data.get() + at;
  const size_t size = byte_size(shape, dtype).value();
  if (dtype == at::kBool && std::any_of(data, data + size, [](char c) { return c != 0 && c != 1; }))
    throw data_error(fmt::format("{} is BOOL and holds bytes other than 0 and 1", where));
  SharedBytes owner = bytes;
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(dtype) != 0) {
    owner = copy_bytes({data, size});
    data = owner.data.get();
  }
  return at::from_blob(
      data, shape, [keep = owner.data](void*) {}, at::TensorOptions(dtype));
}

}  // namespace unnoise
