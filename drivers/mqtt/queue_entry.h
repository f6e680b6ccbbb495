#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/time.h"

namespace tidegate::drivers {

/// A message as it waits in a SharedQueue. The views point into whatever it was made from.
struct QueueEntry {
  std::string_view topic;
  std::string_view payload;
  WallTime received{};
  BootTime received_boot{};
  bool retained = false;
  bool duplicate = false;
};

/// The bytes of an entry in the ring, in this processor's own order, because the file never leaves the boot that made
/// it. Entries begin at multiples of 8 and do not wrap: what is left at the end of the ring is one filler entry, or
/// nothing where not even its header fits.
///
///     0 u32 CRC-32C of bytes 4 to the end of the payload, seeded with queue id and position,
///           so that what an earlier round left in the ring is never read as an entry
///     4 u32 bytes of topic and payload, or of the filler behind its header
///     8 u16 bytes of the topic
///    10 u8  kind: 1 message, 2 filler
///    11 u8  flags: 1 retained, 2 duplicate
///    12 u32 zero
///    16 i64 received, wall time in nanoseconds
///    24 i64 received, boot time in nanoseconds
///    32     topic, payload, zero to seven unused bytes
class QueueEntryCodec {
 public:
  static constexpr std::size_t kHeaderBytes = 32;
  static constexpr std::size_t kTopicBytesMax = 65'535;

  explicit QueueEntryCodec(std::uint64_t queue_id);

  /// What an entry takes in the ring.
  static std::size_t bytes_of(const QueueEntry& entry) {
    return (kHeaderBytes + entry.topic.size() + entry.payload.size() + 7U) & ~std::size_t{7};
  }

  /// `into` has at least bytes_of(entry) bytes, or for a filler is all that it fills, at least kHeaderBytes.
  void write(std::span<std::byte> into, std::uint64_t position, const QueueEntry& entry) const;
  void write_filler(std::span<std::byte> into, std::uint64_t position) const;

  struct Found {
    std::size_t bytes = 0;  // to the next entry
    bool is_filler = false;
    QueueEntry entry;
  };
  /// The entry at the beginning of `from`, which reaches to the end of the ring or less. Nothing when there is no whole
  /// and undamaged one.
  std::optional<Found> read(std::span<const std::byte> from, std::uint64_t position) const;

 private:
  std::uint32_t seed(std::uint64_t position) const;

  std::uint32_t queue_seed_;
};

}  // namespace tidegate::drivers
