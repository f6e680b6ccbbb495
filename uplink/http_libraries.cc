#include "uplink/http_libraries.h"

#include "uplink/curl_library.h"
#include "uplink/deflate_library.h"

namespace tidegate::uplink {

Result<void> load_http_libraries(const HttpUplinkOptions& options) {
  if (const auto curl = CurlLibrary::get(); !curl) return tl::unexpected(curl.error());
  if (options.compression != Compression::gzip) return {};
  if (const auto deflate = DeflateLibrary::get(); !deflate) return tl::unexpected(deflate.error());
  return {};
}

}  // namespace tidegate::uplink
