#include "uplink/deflate_library.h"

#include "core/shared_library.h"

namespace tidegate::uplink {
namespace {

Result<DeflateLibrary> load() {
  const auto library = SharedLibrary::load("libz.so.1", "zlib1g");
  if (!library) return tl::unexpected(library.error());
  DeflateLibrary zlib;
  auto found = library->find("deflateInit2_", zlib.init);
  if (found) found = library->find("deflateBound", zlib.bound);
  if (found) found = library->find("deflate", zlib.deflate);
  if (found) found = library->find("deflateEnd", zlib.end);
  if (!found) return tl::unexpected(found.error());
  return zlib;
}

}  // namespace

Result<const DeflateLibrary*> DeflateLibrary::get() {
  static const Result<DeflateLibrary> kLoaded = load();
  if (!kLoaded) return tl::unexpected(kLoaded.error());
  return &*kLoaded;
}

Result<std::string> gzip(const DeflateLibrary& library, const std::string& text) {
  constexpr int kGzipWindow = 15 + 16;  // the largest window, with the head and tail of gzip
  constexpr int kMemoryLevel = 8;
  z_stream stream{};
  if (library.init(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY,
                   ZLIB_VERSION, sizeof stream) != Z_OK) {
    return fail(ErrorCode::retry, "cannot compress a batch: no memory");
  }
  std::string packed(library.bound(&stream, static_cast<uLong>(text.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // read only, whatever zlib declares
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int status = library.deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  library.end(&stream);
  if (status != Z_STREAM_END)
    return fail(ErrorCode::retry, "cannot compress a batch: zlib says " + std::to_string(status));
  return packed;
}

}  // namespace tidegate::uplink
