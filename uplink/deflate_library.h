#pragma once

#include <zlib.h>

#include <string>

#include "core/error.h"

namespace tidegate::uplink {

/// zlib's functions, loaded when an uplink compresses with gzip (docs/adr/0018). Any thread.
struct DeflateLibrary {
  /// Error `not_found` names the package.
  static Result<const DeflateLibrary*> get();

  decltype(&::deflateInit2_) init = nullptr;
  decltype(&::deflateBound) bound = nullptr;
  decltype(&::deflate) deflate = nullptr;
  decltype(&::deflateEnd) end = nullptr;
};

/// `text` as one gzip member (RFC 1952).
Result<std::string> gzip(const DeflateLibrary& library, const std::string& text);

}  // namespace tidegate::uplink
