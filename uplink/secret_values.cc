#include "uplink/secret_values.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "core/descriptor.h"
#include "core/text.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kSecretBytesMax = std::size_t{64} * 1024;

// Not followed by a newline in what is sent: editors end files with one.
Result<std::string> read_secret(const std::string& path) {
  const auto problem = [&](const std::string& what) {
    return fail(ErrorCode::retry, "the secret in " + clip(path, 200) + " " + what);
  };
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status {};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) {
    return problem("cannot be read: " + std::generic_category().message(errno));
  }
  if (!S_ISREG(status.st_mode)) return problem("is not in a regular file");
  std::string text(kSecretBytesMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return problem("cannot be read: " + std::generic_category().message(errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kSecretBytesMax) return problem("is larger than 64KiB");
  text.resize(size);
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) return problem("is empty");
  if (has_control(text)) return problem("has control characters");
  return text;
}

}  // namespace

Result<void> read_secret_again(HttpHeader& secret) {
  if (secret.secret_file.empty()) return {};
  auto value = read_secret(secret.secret_file);
  if (!value) return tl::unexpected(value.error());
  secret.value = std::move(*value);
  return {};
}

// A long one may have been cut by who repeats it: what begins like it goes as far as it is like it.
void redact_secret(std::string& text, std::string_view secret) {
  if (secret.empty()) return;
  constexpr std::string_view kInstead = "(secret)";
  constexpr std::size_t kBeginning = 16;
  const std::string_view beginning = secret.substr(0, kBeginning);
  for (std::size_t at = text.find(beginning); at != std::string::npos;
       at = text.find(beginning, at + kInstead.size())) {
    const std::string_view found = std::string_view(text).substr(at, secret.size());
    const auto end = std::mismatch(found.begin(), found.end(), secret.begin()).first;
    text.replace(at, static_cast<std::size_t>(end - found.begin()), kInstead);
  }
}

void SentSecrets::add(std::string_view secret) {
  if (secret.empty() || (!secrets_.empty() && secrets_.back() == secret)) return;
  std::string newest(secret);  // it may be one of these
  std::erase(secrets_, newest);
  secrets_.push_back(std::move(newest));
  if (secrets_.size() > most_) secrets_.pop_front();
}

// The longest first: one may be a part of another.
std::string SentSecrets::without(std::string text) const {
  std::vector<std::string_view> longest_first(secrets_.begin(), secrets_.end());
  std::sort(longest_first.begin(), longest_first.end(), [](auto a, auto b) { return a.size() > b.size(); });
  for (const std::string_view secret : longest_first) redact_secret(text, secret);
  return text;
}

}  // namespace tidegate::uplink
