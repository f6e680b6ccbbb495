#pragma once

#include <string>
#include <string_view>

namespace tidegate::mqtt {

/// 32 bytes; empty when the library refuses, as one may that is set up to allow only what it was certified for.
std::string sha256(std::string_view data);
/// RFC 2104 with SHA-256; 32 bytes, or empty likewise.
std::string hmac_sha256(std::string_view key, std::string_view data);

}  // namespace tidegate::mqtt
