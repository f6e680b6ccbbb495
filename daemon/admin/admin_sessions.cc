#include "daemon/admin/admin_sessions.h"

#include <openssl/crypto.h>
#include <sys/random.h>

#include <algorithm>
#include <array>

#include "mqtt/sha256.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kRandomBytes = 32;

std::string random_digits() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, kRandomBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), GRND_NONBLOCK) != static_cast<ssize_t>(bytes.size())) return "";
  std::string digits;
  for (const unsigned char byte : bytes) {
    digits += kDigits[byte >> 4];
    digits += kDigits[byte & 0xfU];
  }
  return digits;
}

}  // namespace

bool is_same_secret(std::string_view digest, std::string_view other_digest) {
  return !digest.empty() && digest.size() == other_digest.size() &&
         CRYPTO_memcmp(digest.data(), other_digest.data(), digest.size()) == 0;
}

std::string AdminSessions::begin(BootTime now) {
  std::string cookie = random_digits();
  std::string digest = mqtt::sha256(cookie);
  if (cookie.empty() || digest.empty()) return "";
  std::erase_if(sessions_, [now](const Session& session) { return session.ends <= now; });
  if (sessions_.size() >= kSessionsMax) sessions_.erase(sessions_.begin());
  sessions_.push_back({std::move(digest), now + kLifetime});
  return cookie;
}

bool AdminSessions::holds(std::string_view cookie, BootTime now) const {
  const std::string digest = mqtt::sha256(cookie);
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const Session& session) {
    return session.ends > now && is_same_secret(session.digest, digest);
  });
}

void AdminSessions::end(std::string_view cookie) {
  const std::string digest = mqtt::sha256(cookie);
  std::erase_if(sessions_, [&](const Session& session) { return is_same_secret(session.digest, digest); });
}

}  // namespace tidegate::daemon
