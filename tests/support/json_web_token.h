#pragma once

#include <string>
#include <string_view>

namespace tidegate::testing {

/// RFC 4648, 5, without padding.
inline std::string base64url(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  unsigned bits = 0;
  unsigned held = 0;
  for (const char c : bytes) {
    bits = (bits << 8U | static_cast<unsigned char>(c)) & 0xFFFFU;
    for (held += 8; held >= 6; held -= 6) out += kDigits[bits >> (held - 6) & 63U];
  }
  if (held > 0) out += kDigits[bits << (6 - held) & 63U];
  return out;
}

/// One that nobody has signed, which Apache Kafka takes where it is told nothing else.
inline std::string json_web_token(std::string_view claims) {
  return base64url(R"({"alg":"none"})") + "." + base64url(claims) + ".";
}

}  // namespace tidegate::testing
