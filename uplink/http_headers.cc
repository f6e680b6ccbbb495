#include "uplink/http_headers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

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
  std::string text(kSecretBytesMax, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return problem("cannot be read: " + std::generic_category().message(errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) return problem("is empty");
  if (has_control(text)) return problem("has control characters, which no header may have");
  return text;
}

std::string media_type(BatchFormat format) {
  switch (format) {
    case BatchFormat::json:
      return "application/json";
    case BatchFormat::ndjson:
      return "application/x-ndjson";
    case BatchFormat::influx:
      return "text/plain; charset=utf-8";
  }
  return "application/octet-stream";
}

void replace_all(std::string& text, std::string_view secret) {
  constexpr std::string_view kInstead = "(secret)";
  for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + kInstead.size())) {
    text.replace(at, secret.size(), kInstead);
  }
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

std::string idempotency_key(std::string_view gateway, std::string_view uplink, const OutgoingBatch& batch) {
  return percent_encoded(gateway) + "/" + percent_encoded(uplink) + "/" + to_string(batch.stream) + "/" +
         std::to_string(batch.epoch) + "/" + std::to_string(batch.from) + "-" + std::to_string(batch.to) +
         // Who remembers answers by the key has to look at it all the same.
         (batch.beside == 0 ? "" : "/" + std::to_string(batch.beside));
}

HttpHeaders::HttpHeaders(const HttpUplinkOptions& options, std::string gateway) : headers_(options.headers) {
  common_ = {"User-Agent: tidegate/" TIDEGATE_VERSION, "Content-Type: " + media_type(options.format),
             // No question before the body, which some servers never answer.
             "Expect:", "tidegate-gateway: " + gateway};
  if (options.compression == Compression::gzip) common_.emplace_back("Content-Encoding: gzip");
  if (options.compression == Compression::zstd) common_.emplace_back("Content-Encoding: zstd");
  key_gateway_ = std::move(gateway);
  key_uplink_ = options.forwarder.name;
}

Result<std::vector<std::string>> HttpHeaders::lines(const OutgoingBatch& batch) {
  std::vector<std::string> lines = common_;
  lines.push_back(std::string("tidegate-stream: ") + to_string(batch.stream));
  lines.push_back("tidegate-epoch: " + std::to_string(batch.epoch));
  lines.push_back("tidegate-from: " + std::to_string(batch.from));
  lines.push_back("tidegate-to: " + std::to_string(batch.to));
  lines.push_back("Idempotency-Key: " + idempotency_key(key_gateway_, key_uplink_, batch));
  for (HttpHeader& header : headers_) {
    if (!header.secret_file.empty()) {
      auto value = read_secret(header.secret_file);
      if (!value) return tl::unexpected(value.error());
      header.value = std::move(*value);
    }
    lines.push_back(header.name + ": " + header.value);
  }
  return lines;
}

std::string HttpHeaders::redact(std::string text) const {
  for (const HttpHeader& header : headers_) {
    if (!header.is_secret) continue;
    replace_all(text, header.value);
    // "Bearer TOKEN": the token is the secret.
    const std::size_t space = header.value.rfind(' ');
    if (space != std::string::npos && space + 1 < header.value.size())
      replace_all(text, header.value.substr(space + 1));
  }
  return text;
}

}  // namespace tidegate::uplink
