#include "buffer/packing.h"

#include <zstd.h>

#include <algorithm>
#include <bit>

namespace tidegate::buffer {
namespace {

constexpr int kLevel = 3;
constexpr int kWindowLog = 17;
// Less than this is not worth a try.
constexpr std::size_t kPackedFrom = 24;
constexpr std::size_t kThirdByteShift = 14;
constexpr std::uint64_t kHighBits = 0x8080808080808080;

}  // namespace

struct Packer::Context {
  Context() : zstd(ZSTD_createCCtx()) {
    if (zstd == nullptr) return;
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, kWindowLog);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 0);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { ZSTD_freeCCtx(zstd); }
  ZSTD_CCtx* zstd;
};

Packer::Packer() : context_(std::make_unique<Context>()) {}
Packer::~Packer() = default;

void Packer::put_bytes(OutBuffer& out, ByteSpan raw) {
  packed_.clear();
  if (raw.size() >= kPackedFrom && context_->zstd != nullptr) {
    std::byte* at = packed_.room(raw.size());
    const std::size_t size = ZSTD_compress2(context_->zstd, at, raw.size(), raw.data(), raw.size());
    if (ZSTD_isError(size) == 0U) packed_.end_at(at + size);  // else it does not get smaller
  }
  const bool smaller = packed_.size() > 0 && packed_.size() < raw.size();
  out.put_varint(raw.size() * 2 + (smaller ? 1 : 0));
  if (smaller) out.put_varint(packed_.size());
  out.put_bytes(smaller ? packed_.view() : raw);
}

void Packer::put_numbers(OutBuffer& out, std::span<const std::uint64_t> numbers) {
  firsts_.clear();
  seconds_.clear();
  others_.clear();
  std::byte* first = firsts_.room(numbers.size());
  std::byte* second = seconds_.room(numbers.size());
  std::byte* other = others_.room(numbers.size() * kVarintBytesMax);
  for (std::uint64_t number : numbers) {
    const bool more = number >= 0x80;
    *first++ = static_cast<std::byte>(more ? number | 0x80 : number);
    if (!more) continue;
    number >>= 7;
    const bool yet_more = number >= 0x80;
    *second++ = static_cast<std::byte>(yet_more ? number | 0x80 : number);
    if (yet_more) other = write_varint(other, number >> 7);
  }
  firsts_.end_at(first);
  seconds_.end_at(second);
  others_.end_at(other);
  put_bytes(out, firsts_.view());
  put_bytes(out, seconds_.view());
  put_bytes(out, others_.view());
}

void Packer::put_planes(OutBuffer& out, std::span<const std::uint64_t> numbers, std::size_t width) {
  for (std::size_t place = 0; place < width; ++place) {
    firsts_.clear();
    std::byte* at = firsts_.room(numbers.size());
    for (const std::uint64_t number : numbers) *at++ = static_cast<std::byte>(number >> (8 * place));
    firsts_.end_at(at);
    put_bytes(out, firsts_.view());
  }
}

struct Unpacker::Context {
  Context() : zstd(ZSTD_createDCtx()) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { ZSTD_freeDCtx(zstd); }
  ZSTD_DCtx* zstd;
};

Unpacker::Unpacker() : context_(std::make_unique<Context>()) {}
Unpacker::~Unpacker() = default;

void Unpacker::read_bytes(ByteReader& reader, std::size_t bytes_max, std::vector<std::byte>& into) {
  const std::uint64_t head = reader.varint();
  const std::uint64_t bytes = head / 2;
  const bool packed = head % 2 == 1;
  if (bytes > bytes_max || (packed && context_->zstd == nullptr)) return reader.fail();
  const ByteSpan stored = reader.bytes(packed ? reader.varint() : bytes);
  if (!reader.ok()) return;
  into.resize(static_cast<std::size_t>(bytes));
  if (!packed) return static_cast<void>(std::copy(stored.begin(), stored.end(), into.begin()));
  const std::size_t size = ZSTD_decompressDCtx(context_->zstd, into.data(), into.size(), stored.data(), stored.size());
  if (size != bytes) reader.fail();  // an error is a very large size
}

void Unpacker::read_numbers(ByteReader& reader, std::span<std::uint64_t> numbers) {
  const std::size_t count = numbers.size();
  read_bytes(reader, count, firsts_);
  read_bytes(reader, count, seconds_);
  read_bytes(reader, count * (kVarintBytesMax - 2), others_);
  if (!reader.ok() || firsts_.size() != count) return reader.fail();
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<std::uint64_t>(firsts_[i]) & 0x7f;
  if (!read_further_bytes(numbers)) reader.fail();
}

// Most numbers are of one byte: the others are found eight at a time.
bool Unpacker::read_further_bytes(std::span<std::uint64_t> numbers) {
  ByteReader seconds(seconds_);
  ByteReader others(others_);
  const auto go_on = [&](std::uint64_t& number) {
    const std::uint64_t second = seconds.byte();
    number |= (second & 0x7f) << 7;
    if (second < 0x80) return;
    const std::uint64_t rest = others.varint();
    if (rest >> (64 - kThirdByteShift) != 0) others.fail();
    number |= rest << kThirdByteShift;
  };
  std::size_t i = 0;
  for (; i + 8 <= numbers.size(); i += 8) {
    std::uint64_t more = load_le<std::uint64_t>(&firsts_[i]) & kHighBits;
    for (; more != 0; more &= more - 1) go_on(numbers[i + static_cast<std::size_t>(std::countr_zero(more)) / 8]);
  }
  for (; i < numbers.size(); ++i) {
    if (static_cast<std::uint8_t>(firsts_[i]) >= 0x80) go_on(numbers[i]);
  }
  return seconds.ok() && others.ok() && seconds.left() == 0 && others.left() == 0;
}

void Unpacker::read_planes(ByteReader& reader, std::span<std::uint64_t> numbers, std::size_t width) {
  std::fill(numbers.begin(), numbers.end(), 0);
  for (std::size_t place = 0; place < width; ++place) {
    read_bytes(reader, numbers.size(), firsts_);
    if (!reader.ok() || firsts_.size() != numbers.size()) return reader.fail();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] |= static_cast<std::uint64_t>(firsts_[i]) << (8 * place);
    }
  }
}

}  // namespace tidegate::buffer
