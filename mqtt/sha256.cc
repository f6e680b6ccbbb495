#include "mqtt/sha256.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

namespace tidegate::mqtt {
namespace {

using Digest = std::array<unsigned char, EVP_MAX_MD_SIZE>;

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string text(const Digest& digest, unsigned int size) { return {digest.begin(), digest.begin() + size}; }

}  // namespace

std::string sha256(std::string_view data) {
  Digest digest{};
  unsigned int size = 0;
  if (EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) return {};
  return text(digest, size);
}

std::string hmac_sha256(std::string_view key, std::string_view data) {
  Digest digest{};
  unsigned int size = 0;
  const auto* const made =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(data), data.size(), digest.data(), &size);
  return made == nullptr ? std::string() : text(digest, size);
}

}  // namespace tidegate::mqtt
