#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "buffer/bytes.h"
#include "buffer/frame.h"
#include "buffer/packing.h"
#include "buffer/readings_codec.h"
#include "buffer/tag_dictionary.h"
#include "core/record.h"

namespace tidegate::buffer {

/// Records of neighbouring frames that were taken in at the same time.
struct Moment {
  FrameTimes times;
  std::uint32_t count = 0;
  bool operator==(const Moment& other) const {
    return times.wall == other.times.wall && times.boot == other.times.boot && times.quality == other.times.quality &&
           count == other.count;
  }
};

/// What a dense frame holds, in the order of the sequences; of documents only moments, payloads and text. A value's
/// payload is its number or its bits; of a text or a document, where it begins in `text` (upper half) and its length.
struct DenseRecords {
  std::vector<Moment> moments;
  std::vector<std::uint32_t> tags;  // numbers of this frame, in the order of first use
  std::vector<std::uint16_t> states;
  std::vector<std::uint64_t> times;
  std::vector<std::uint8_t> kinds;
  std::vector<std::uint64_t> payloads;
  std::vector<std::byte> text;

  void clear();
  std::size_t size() const { return payloads.size(); }
  /// The value of a record of readings, bit for bit, whatever short form it is stored in. Replaces what `value` was.
  void take_value(std::size_t index, Value& value) const;
  ByteSpan text_of(std::size_t index) const;
};

/// Collects records and makes one dense frame of them. Keeps its scratch memory, some 100 KiB and zstd's; one thread.
class DenseEncoder {
 public:
  DenseEncoder(const TagRegistry& registry, Stream stream);

  /// Records of the frame under way.
  std::size_t size() const { return finished_ ? 0 : records_.size(); }
  /// Takes records of the batch from `index` on, as many as the frame under way has room for and its times allow;
  /// returns how many. At least one when size() is 0.
  std::size_t add(const RecordBatch& batch, std::size_t index);
  /// Appends the frame's body to `out`; sets codec, flags, section, count, times and wall_span_ms of the header, whose
  /// `first` and `epoch` are the caller's. Nothing is under way afterwards.
  void finish(FrameHeader& header, const BootId& boot_id, std::span<const QueueMark> marks, OutBuffer& out);
  /// What the last finish() stored, values in the forms that it chose; until the next add().
  const DenseRecords& records() const { return records_; }
  std::span<const TagId> tags() const { return *tags_; }

 private:
  bool times_fit(const FrameTimes& times) const;
  bool takes(const Reading& reading);
  void add_reading(const Reading& reading);
  void add_text(std::string_view text);
  void begin();
  void group();
  void put_moments(OutBuffer& out);
  void put_readings(const FrameHeader& header, OutBuffer& out);
  void put_paths(OutBuffer& out);
  void put_order(OutBuffer& out);
  void put_times(WallTime wall, OutBuffer& out);
  void fill_times(std::uint8_t mode, std::uint64_t base, std::uint8_t unit);
  void choose_kinds();
  void choose_doubles(std::span<const std::uint32_t> group);
  void put_values(OutBuffer& out);
  void put_texts(OutBuffer& out);
  template <class Get>
  void put_grouped(OutBuffer& out, Get get);

  const TagRegistry& registry_;
  Stream stream_;
  TagDictionary dictionary_;
  std::shared_ptr<const std::vector<TagId>> tags_;
  DenseRecords records_;
  std::size_t path_bytes_ = 0;
  bool finished_ = true;
  std::vector<std::uint32_t> order_;   // indexes of the records, tag by tag
  std::vector<std::uint32_t> starts_;  // by tag: where its group begins in order_; one more at the end
  std::vector<std::uint64_t> symbols_;
  OutBuffer bytes_;
  OutBuffer candidate_;
  Packer packer_;
};

/// Dense frames to records. Keeps the memory of the frame that it read last; one thread.
class DenseDecoder {
 public:
  /// Reads the frame's body. On any status but ok there is nothing to be read.
  DecodeStatus open(const FrameHeader& header, ByteSpan body, TagRegistry& registry);
  /// The records of one moment from `sequence` on, which is in the frame. Moments next to each other of which the first
  /// frames would be read as one batch are.
  void read(std::uint64_t sequence, RecordBatch& batch);
  const DenseRecords& records() const { return records_; }
  std::span<const TagId> tags() const { return tags_; }

  /// The first sequence that was taken in at `time` or later. Reads only a part of the body.
  static std::optional<std::uint64_t> first_taken_in_at(WallTime time, const FrameHeader& header, ByteSpan body);

 private:
  void clear();
  bool read_moments(ByteReader& reader);
  DecodeStatus read_readings(ByteReader& reader, TagRegistry& registry);
  bool read_paths(ByteReader& reader, TagRegistry& registry);
  bool read_order(ByteReader& reader);
  bool read_states(ByteReader& reader);
  bool read_times(ByteReader& reader);
  bool read_kinds(ByteReader& reader);
  bool read_values(ByteReader& reader);
  bool read_integers(ByteReader& reader);
  bool read_planes(ByteReader& reader, std::uint8_t kind, std::size_t width);
  bool read_texts(ByteReader& reader);
  void take_readings(std::size_t from, std::span<Reading> readings) const;
  void append_documents(std::size_t from, std::size_t count, RecordBatch& batch) const;
  std::size_t moment_of(std::size_t index);

  FrameHeader header_;
  DenseRecords records_;
  std::vector<std::uint32_t> ends_;  // by moment: index of the record behind its last
  std::size_t moment_ = 0;           // the one that was read last
  std::vector<TagId> tags_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> starts_;
  std::vector<std::uint64_t> symbols_;
  std::unique_ptr<Unpacker> unpacker_;  // only while a frame is read
  std::vector<std::byte> bytes_;
};

}  // namespace tidegate::buffer
