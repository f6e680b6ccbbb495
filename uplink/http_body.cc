#include "uplink/http_body.h"

#include <zstd.h>

#include <utility>

namespace tidegate::uplink {
namespace {

constexpr int kZstdLevel = 3;

Result<std::string> zstd(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size = ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), kZstdLevel);
  if (ZSTD_isError(size) != 0) {
    return fail(ErrorCode::retry, std::string("cannot compress a batch: ") + ZSTD_getErrorName(size));
  }
  packed.resize(size);
  return packed;
}

}  // namespace

HttpBody::HttpBody(const HttpUplinkOptions& options, const std::string& gateway)
    : format_(options.format),
      compression_(options.compression),
      ndjson_(gateway),
      influx_(gateway, options.integers_as_floats),
      kinesis_(options, gateway),
      pubsub_(options, gateway) {}

Result<void> HttpBody::prepare() {
  if (compression_ != Compression::gzip) return {};
  const auto loaded = DeflateLibrary::get();
  if (!loaded) return tl::unexpected(loaded.error());
  deflate_ = *loaded;
  return {};
}

Result<std::string> HttpBody::make(const OutgoingBatch& batch) {
  auto text = format(batch);
  if (!text || text->empty()) return text;
  switch (compression_) {
    case Compression::none:
      return text;
    case Compression::gzip:
      return gzip(*deflate_, *text);
    case Compression::zstd:
      return zstd(*text);
  }
  return text;
}

HttpVerdict HttpBody::judge(const OutgoingBatch& batch, const HttpAnswer& answer) {
  if (format_ == BatchFormat::kinesis) return kinesis_.judge(batch, answer);
  if (format_ == BatchFormat::pubsub) return pubsub_.judge(batch, answer);
  return uplink::judge(answer, batch.count);
}

void HttpBody::forget(const OutgoingBatch& batch) {
  kinesis_.forget(batch);
  pubsub_.forget(batch);
}

Result<std::string> HttpBody::format(const OutgoingBatch& batch) {
  std::string text;
  switch (format_) {
    case BatchFormat::json:
      return *batch.payload;
    case BatchFormat::ndjson:
      if (auto done = ndjson_.append(text, batch); !done) return tl::unexpected(done.error());
      return text;
    case BatchFormat::influx:
      if (auto done = influx_.append(text, batch); !done) return tl::unexpected(done.error());
      return text;
    case BatchFormat::kinesis:
      return kinesis_.body(batch);
    case BatchFormat::pubsub:
      return pubsub_.body(batch);
  }
  return text;
}

}  // namespace tidegate::uplink
