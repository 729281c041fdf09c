// CRC-32C (Castagnoli), the checksum of TensorBoard's record files.
#pragma once

#include <cstdint>
#include <string_view>

namespace unnoise {

/// CRC-32C of `bytes` (reflected polynomial 0x82f63b78, as in iSCSI, RFC 3720): "123456789" gives 0xe3069283.
uint32_t crc32c(std::string_view bytes);

/// The form that record files store, so that a checksum of data that holds checksums stays strong: rotated right by 15
/// bits, plus 0xa282ead8.
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace unnoise
