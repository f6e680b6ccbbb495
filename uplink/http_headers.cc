#include "uplink/http_headers.h"

#include <algorithm>
#include <utility>

#include "uplink/batch_labels.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kKeptOfEach = 8;  // of what a header was: each value, and the token in it

std::string media_type(BatchFormat format) {
  switch (format) {
    case BatchFormat::json:
      return kJsonMediaType;
    case BatchFormat::ndjson:
      return "application/x-ndjson";
    case BatchFormat::influx:
      return kInfluxMediaType;
    case BatchFormat::kinesis:
      return "application/x-amz-json-1.1";
    case BatchFormat::pubsub:
      return kJsonMediaType;
  }
  return "application/octet-stream";
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

HttpHeaders::HttpHeaders(const HttpUplinkOptions& options, std::string gateway)
    : headers_(options.headers), sent_(kKeptOfEach * std::max<std::size_t>(headers_.size(), 1)) {
  common_ = {"User-Agent: tidegate/" TIDEGATE_VERSION, "Content-Type: " + media_type(options.format),
             // No question before the body, which some servers never answer.
             "Expect:"};
  if (options.compression == Compression::gzip) common_.emplace_back("Content-Encoding: gzip");
  if (options.compression == Compression::zstd) common_.emplace_back("Content-Encoding: zstd");
  key_gateway_ = std::move(gateway);
  key_uplink_ = options.forwarder.name;
  // A part of a batch must not have the name of the whole.
  has_key_ = options.format != BatchFormat::kinesis;
}

Result<std::vector<std::string>> HttpHeaders::lines(const OutgoingBatch& batch) {
  std::vector<std::string> lines = common_;
  for (const auto& [name, value] : batch_labels(key_gateway_, batch)) {
    lines.push_back(std::string(name).append(": ").append(value));
  }
  if (has_key_) lines.push_back("Idempotency-Key: " + idempotency_key(key_gateway_, key_uplink_, batch));
  for (HttpHeader& header : headers_) {
    if (auto read = read_secret_again(header); !read) return tl::unexpected(read.error());
    note_sent(header);
    lines.push_back(header.name + ": " + header.value);
  }
  return lines;
}

// Of "Bearer TOKEN" the token is a secret by itself.
void HttpHeaders::note_sent(const HttpHeader& header) {
  if (!header.is_secret) return;
  sent_.add(header.value);
  const std::size_t space = header.value.rfind(' ');
  if (space != std::string::npos) sent_.add(std::string_view(header.value).substr(space + 1));
}

std::string HttpHeaders::redact(std::string text) const { return sent_.without(std::move(text)); }

}  // namespace tidegate::uplink
