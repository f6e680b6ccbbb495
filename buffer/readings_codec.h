#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "buffer/bytes.h"
#include "buffer/columns.h"
#include "buffer/frame.h"
#include "buffer/tag_dictionary.h"
#include "core/reading.h"

namespace tidegate::buffer {

/// Less room than this is not worth a frame.
inline constexpr std::size_t kBodyRoomMin = 4096;
/// Queue marks that one frame can carry.
inline constexpr std::size_t kFrameMarksMax = 64;

/// What a frame body says beside its records.
struct BodyStart {
  const BootId* boot_id = nullptr;   // of a section's first frame
  std::span<const QueueMark> marks;  // go into the frame that takes the last record
  WallTime wall{};                   // of the frame; reading times are stored relative to it
  std::uint64_t block = 0;           // where the frame begins
};

/// Body of a frame of readings: dictionary, then columns. Bit exact. Keeps its scratch memory; one thread.
class ReadingsEncoder {
 public:
  explicit ReadingsEncoder(const TagRegistry& registry) : registry_(registry) {}

  /// Appends a body with as many readings from the front as surely fit into `body_max` bytes, but at least one, which
  /// may then be longer. Returns how many. `body_max` is at least kBodyRoomMin.
  std::size_t encode(std::span<const Reading> readings, const BodyStart& start, TagDictionary& dictionary,
                     std::size_t body_max, OutBuffer& out);
  /// The longest text of a reading that always fits into a frame of its own.
  static std::size_t text_bytes_max(std::size_t body_max);
  /// Whether a reading always fits into a frame of its own.
  static bool fits(const Reading& reading, std::size_t body_max);

 private:
  std::size_t number_tags(std::span<const Reading> readings, TagDictionary& dictionary, std::size_t room,
                          std::size_t paths_max);
  void put_tags(OutBuffer& out);
  void put_states(std::span<const Reading> readings, OutBuffer& out);
  void put_times(std::span<const Reading> readings, WallTime wall, OutBuffer& out);
  void choose_kinds(std::span<const Reading> readings);
  void put_values(std::span<const Reading> readings, OutBuffer& out);

  const TagRegistry& registry_;
  std::vector<std::uint32_t> tags_;      // the section's number of each reading's tag
  std::vector<std::uint64_t> symbols_;   // the column being written
  std::vector<std::uint64_t> payloads_;  // values, where they are numbers
  DoubleShortener doubles_;
  ValueGuess guess_;
};

enum class DecodeStatus : std::uint8_t {
  ok,
  unknown_tag,  // a path was stored in a frame that was not seen
  malformed,
};

/// The other way. Keeps its scratch memory; one thread.
class ReadingsDecoder {
 public:
  /// Appends `count` readings. `reader` stands behind the dictionary part; `tags` is by the section's numbers.
  /// On any status but ok, what was appended is to be discarded.
  DecodeStatus decode(const FrameHeader& header, ByteReader& reader, std::span<const TagId> tags,
                      std::vector<Reading>& out);

 private:
  DecodeStatus read_tags(ByteReader& reader, std::span<const TagId> tags, std::span<Reading> out);
  bool read_states(ByteReader& reader, std::span<Reading> out);
  bool read_times(ByteReader& reader, WallTime wall, std::span<Reading> out);
  bool read_values(ByteReader& reader, std::span<Reading> out);
  bool read_value(ByteReader& reader, std::uint64_t kind, std::uint32_t tag, Value& value);

  std::vector<std::uint32_t> tags_;
  std::vector<std::uint64_t> symbols_;
  ValueGuess guess_;
};

/// Body of a frame of documents: each with its length in front. Returns how many from the front were taken.
std::size_t encode_documents(std::span<const std::string> documents, const BodyStart& start, std::size_t body_max,
                             OutBuffer& out);
bool decode_documents(const FrameHeader& header, ByteReader& reader, std::vector<std::string>& out);
bool document_fits(const std::string& document, std::size_t body_max);

}  // namespace tidegate::buffer
