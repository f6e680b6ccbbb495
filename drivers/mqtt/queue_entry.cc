#include "drivers/mqtt/queue_entry.h"

#include <cassert>
#include <cstring>

#include "core/crc32c.h"

namespace tidegate::drivers {
namespace {

constexpr std::uint8_t kMessage = 1;
constexpr std::uint8_t kFiller = 2;
constexpr std::uint8_t kRetained = 1;
constexpr std::uint8_t kDuplicate = 2;

struct Header {
  std::uint32_t crc = 0;
  std::uint32_t length = 0;
  std::uint16_t topic_length = 0;
  std::uint8_t kind = 0;
  std::uint8_t flags = 0;
  std::uint32_t zero = 0;
  std::int64_t wall = 0;
  std::int64_t boot = 0;
};
static_assert(sizeof(Header) == QueueEntryCodec::kHeaderBytes);

std::span<const std::byte> bytes_of_text(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::uint32_t crc_of_header(const Header& header, std::uint32_t seed) {
  return crc32c(std::as_bytes(std::span(&header, 1)).subspan(sizeof header.crc), seed);
}

std::string_view text_at(std::span<const std::byte> from, std::size_t at, std::size_t size) {
  return {reinterpret_cast<const char*>(from.data() + at), size};
}

}  // namespace

QueueEntryCodec::QueueEntryCodec(std::uint64_t queue_id)
    : queue_seed_(crc32c(std::as_bytes(std::span(&queue_id, 1)))) {}

std::uint32_t QueueEntryCodec::seed(std::uint64_t position) const {
  return crc32c(std::as_bytes(std::span(&position, 1)), queue_seed_);
}

void QueueEntryCodec::write(std::span<std::byte> into, std::uint64_t position, const QueueEntry& entry) const {
  assert(into.size() >= bytes_of(entry) && entry.topic.size() <= kTopicBytesMax);
  Header header;
  header.length = static_cast<std::uint32_t>(entry.topic.size() + entry.payload.size());
  header.topic_length = static_cast<std::uint16_t>(entry.topic.size());
  header.kind = kMessage;
  header.flags = static_cast<std::uint8_t>((entry.retained ? kRetained : 0U) | (entry.duplicate ? kDuplicate : 0U));
  header.wall = entry.received.time_since_epoch().count();
  header.boot = entry.received_boot.time_since_epoch().count();
  header.crc =
      crc32c(bytes_of_text(entry.payload), crc32c(bytes_of_text(entry.topic), crc_of_header(header, seed(position))));
  std::byte* at = into.data();
  std::memcpy(at, &header, sizeof header);
  at += sizeof header;
  if (!entry.topic.empty()) std::memcpy(at, entry.topic.data(), entry.topic.size());
  if (!entry.payload.empty()) std::memcpy(at + entry.topic.size(), entry.payload.data(), entry.payload.size());
}

void QueueEntryCodec::write_filler(std::span<std::byte> into, std::uint64_t position) const {
  assert(into.size() >= kHeaderBytes);
  Header header;
  header.length = static_cast<std::uint32_t>(into.size() - kHeaderBytes);
  header.kind = kFiller;
  header.crc = crc_of_header(header, seed(position));
  std::memcpy(into.data(), &header, sizeof header);
}

std::optional<QueueEntryCodec::Found> QueueEntryCodec::read(std::span<const std::byte> from,
                                                            std::uint64_t position) const {
  if (from.size() < kHeaderBytes) return std::nullopt;
  Header header;
  std::memcpy(&header, from.data(), sizeof header);
  if (header.length > from.size() - kHeaderBytes) return std::nullopt;
  const std::uint32_t crc = crc_of_header(header, seed(position));
  if (header.kind == kFiller) {
    if (crc != header.crc) return std::nullopt;
    return Found{kHeaderBytes + header.length, true, {}};
  }
  if (header.kind != kMessage || header.topic_length > header.length) return std::nullopt;
  if (crc32c(from.subspan(kHeaderBytes, header.length), crc) != header.crc) return std::nullopt;
  Found found;
  found.entry.topic = text_at(from, kHeaderBytes, header.topic_length);
  found.entry.payload = text_at(from, kHeaderBytes + header.topic_length, header.length - header.topic_length);
  found.entry.received = WallTime(Duration(header.wall));
  found.entry.received_boot = BootTime(Duration(header.boot));
  found.entry.retained = (header.flags & kRetained) != 0;
  found.entry.duplicate = (header.flags & kDuplicate) != 0;
  found.bytes = bytes_of(found.entry);
  if (found.bytes > from.size()) return std::nullopt;
  return found;
}

}  // namespace tidegate::drivers
