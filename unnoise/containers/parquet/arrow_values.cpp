#include "unnoise/containers/parquet/arrow_values.h"

#include <arrow/type.h>
#include <arrow/util/utf8.h>

namespace unnoise::arrow_values {
namespace {

template <class Array>
const Array& as(const arrow::Array& array) {
  return static_cast<const Array&>(array);
}

Json list_at(const arrow::Array& values, int64_t begin, int64_t end) {
  Json list = Json::array();
  for (int64_t i = begin; i < end; ++i) list.push_back(json_at(values, i));
  return list;
}

Json text_at(const arrow::Array& array, int64_t i) {
  const auto bytes = bytes_at(array, i);
  const bool is_text =
      arrow::util::ValidateUTF8(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int64_t>(bytes.size()));
  return is_text ? Json(bytes) : Json(nullptr);
}

}  // namespace

bool has_bytes(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return true;
    case arrow::Type::DICTIONARY:
      return has_bytes(*static_cast<const arrow::DictionaryType&>(type).value_type());
    default:
      return false;
  }
}

std::string_view bytes_at(const arrow::Array& array, int64_t i) {
  switch (array.type_id()) {
    case arrow::Type::BINARY:
    case arrow::Type::STRING:
      return as<arrow::BinaryArray>(array).GetView(i);
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::LARGE_STRING:
      return as<arrow::LargeBinaryArray>(array).GetView(i);
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::STRING_VIEW:
      return as<arrow::BinaryViewArray>(array).GetView(i);
    case arrow::Type::DICTIONARY: {
      const auto& dictionary = as<arrow::DictionaryArray>(array);
      return bytes_at(*dictionary.dictionary(), dictionary.GetValueIndex(i));
    }
    default:
      return {};
  }
}

Json json_at(const arrow::Array& array, int64_t i) {
  if (array.IsNull(i)) return nullptr;
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      return as<arrow::BooleanArray>(array).Value(i);
    case arrow::Type::INT8:
      return as<arrow::Int8Array>(array).Value(i);
    case arrow::Type::UINT8:
      return as<arrow::UInt8Array>(array).Value(i);
    case arrow::Type::INT16:
      return as<arrow::Int16Array>(array).Value(i);
    case arrow::Type::UINT16:
      return as<arrow::UInt16Array>(array).Value(i);
    case arrow::Type::INT32:
      return as<arrow::Int32Array>(array).Value(i);
    case arrow::Type::UINT32:
      return as<arrow::UInt32Array>(array).Value(i);
    case arrow::Type::INT64:
      return as<arrow::Int64Array>(array).Value(i);
    case arrow::Type::UINT64:
      return as<arrow::UInt64Array>(array).Value(i);
    case arrow::Type::FLOAT:
      return as<arrow::FloatArray>(array).Value(i);
    case arrow::Type::DOUBLE:
      return as<arrow::DoubleArray>(array).Value(i);
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return text_at(array, i);
    case arrow::Type::DICTIONARY: {
      const auto& dictionary = as<arrow::DictionaryArray>(array);
      return json_at(*dictionary.dictionary(), dictionary.GetValueIndex(i));
    }
    case arrow::Type::LIST:
      return list_at(*as<arrow::ListArray>(array).values(), as<arrow::ListArray>(array).value_offset(i),
                     as<arrow::ListArray>(array).value_offset(i + 1));
    case arrow::Type::LARGE_LIST:
      return list_at(*as<arrow::LargeListArray>(array).values(), as<arrow::LargeListArray>(array).value_offset(i),
                     as<arrow::LargeListArray>(array).value_offset(i + 1));
    case arrow::Type::STRUCT: {
      const auto& fields = as<arrow::StructArray>(array);
      Json object = Json::object();
      for (int f = 0; f < fields.num_fields(); ++f)
        object[fields.struct_type()->field(f)->name()] = json_at(*fields.field(f), i);
      return object;
    }
    default:
      return nullptr;
  }
}

}  // namespace unnoise::arrow_values
