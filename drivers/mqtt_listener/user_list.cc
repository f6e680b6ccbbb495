#include "drivers/mqtt_listener/user_list.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::drivers {
namespace {

// Each CONNECT is hashed so often on the thread that takes readings in, also for users that do not exist: this is 5 ms
// of a small ARM. What protects a password of a sensor is its length; guessing needs the file, or the network.
constexpr int kIterationsMax = 2'000;
constexpr std::size_t kHashBytes = 64;  // SHA-512

Result<std::string> decode_base64(std::string_view text) {
  std::string decoded(text.size() / 4 * 3 + 3, '\0');
  const int bytes = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  const auto padding = static_cast<std::size_t>(std::count(text.begin(), text.end(), '='));
  if (bytes < 0 || text.empty() || padding > 2) return fail(ErrorCode::invalid, "is no base64");
  decoded.resize(static_cast<std::size_t>(bytes) - padding);
  return decoded;
}

std::string hash_of(std::string_view password, std::string_view salt, int iterations) {
  std::string hash(kHashBytes, '\0');
  const int done =
      PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                        reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()), iterations,
                        EVP_sha512(), static_cast<int>(hash.size()), reinterpret_cast<unsigned char*>(hash.data()));
  return done == 1 ? hash : std::string();
}

}  // namespace

Result<UserList::Password> UserList::parse_password(std::string_view text) {
  const auto parts = split(text, '$');
  if (parts.size() != 5 || !parts[0].empty() || parts[1] != "7") {
    return fail(ErrorCode::invalid, "must be NAME:$7$ITERATIONS$SALT$HASH; make it by mosquitto_passwd");
  }
  const auto iterations = parse_whole<int>(parts[2]);
  if (!iterations || *iterations < 1 || *iterations > kIterationsMax) {
    return fail(ErrorCode::invalid,
                fmt::format("has a number of iterations that is not from 1 to {}: more would hold up the readings at "
                            "every login; mosquitto_passwd takes 101, or what its -I says",
                            kIterationsMax));
  }
  auto salt = decode_base64(parts[3]);
  auto hash = decode_base64(parts[4]);
  if (!salt || !hash || hash->size() != kHashBytes) {
    return fail(ErrorCode::invalid, "has a salt or hash that is no base64 of the right length");
  }
  Password password;
  password.iterations = *iterations;
  password.salt = std::move(*salt);
  password.hash = std::move(*hash);
  return password;
}

Result<std::unique_ptr<UserList>> UserList::parse(std::string_view content) {
  auto list = std::make_unique<UserList>();
  std::size_t number = 0;
  for (std::string_view line : split(content, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    auto password = colon == std::string_view::npos ? fail(ErrorCode::invalid, "has no colon behind a name")
                                                    : parse_password(line.substr(colon + 1));
    if (password && name.empty()) password = fail(ErrorCode::invalid, "has no name");
    if (!password) return fail(ErrorCode::invalid, fmt::format("line {} {}", number, password.error().message));
    if (!list->users_.emplace(name, std::move(*password)).second) {
      return fail(ErrorCode::invalid, fmt::format("line {} names the user \"{}\" again", number, clip(name)));
    }
  }
  if (list->users_.empty()) return fail(ErrorCode::invalid, "names no user: nobody could connect");
  return list;
}

bool UserList::admits(std::string_view name, std::string_view password) const {
  const auto found = users_.find(name);
  const Password& wanted = found == users_.end() ? users_.begin()->second : found->second;
  const std::string hash = hash_of(password, wanted.salt, wanted.iterations);
  const bool same =
      hash.size() == wanted.hash.size() && CRYPTO_memcmp(hash.data(), wanted.hash.data(), hash.size()) == 0;
  return same && found != users_.end();
}

}  // namespace tidegate::drivers
