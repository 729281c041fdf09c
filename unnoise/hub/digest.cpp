#include "unnoise/hub/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "unnoise/core/error.h"

namespace unnoise {

void Digest::Free::operator()(void* context) const { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context)); }

Digest::Digest(const char* algorithm) : context_(EVP_MD_CTX_new()) {
  const EVP_MD* method = EVP_get_digestbyname(algorithm);
  if (!context_ || !method || EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_.get()), method, nullptr) != 1)
    throw environment_error(fmt::format("this system's OpenSSL has no {}", algorithm));
}

Digest Digest::sha256() { return Digest("SHA256"); }

Digest Digest::git_blob(uint64_t size) {
  Digest digest("SHA1");
  const std::string head = fmt::format("blob {}", size);
  digest.add(std::string_view(head.c_str(), head.size() + 1));  // with its zero
  return digest;
}

void Digest::add(std::string_view bytes) {
  EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), bytes.data(), bytes.size());
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned size = 0;
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()), bytes.data(), &size);
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

void add_file(Digest& digest, const fs::path& path, std::stop_token stop) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw data_error(fmt::format("cannot read \"{}\": {}", path.string(), std::strerror(errno)));
  std::vector<char> piece(1 << 20);
  while (in && !stop.stop_requested()) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    digest.add({piece.data(), static_cast<size_t>(in.gcount())});
  }
  if (in.bad()) throw data_error(fmt::format("reading \"{}\" failed: {}", path.string(), std::strerror(errno)));
}

std::string sha256_of_file(const fs::path& path, std::stop_token stop) {
  Digest digest = Digest::sha256();
  add_file(digest, path, stop);
  return digest.hex();
}

std::string git_blob_of_file(const fs::path& path) {
  const std::string bytes = read_file(path);
  Digest digest = Digest::git_blob(bytes.size());
  digest.add(bytes);
  return digest.hex();
}

}  // namespace unnoise
