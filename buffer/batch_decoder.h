#pragma once

#include <span>

#include "buffer/frame.h"
#include "buffer/readings_codec.h"
#include "core/record.h"

namespace tidegate::buffer {

/// Small frames of one moment are read together, up to this many records.
inline constexpr std::size_t kBatchRecordsMax = 512;

/// Frames to batches, the same way from memory and from disk. One thread.
class BatchDecoder {
 public:
  /// Makes `batch` the content of the frame. On any status but ok, `batch` is to be discarded.
  DecodeStatus decode(Stream stream, const FrameHeader& header, ByteSpan body, std::span<const TagId> tags,
                      RecordBatch& batch);
  /// Adds the frame behind, which must be of the same moment.
  DecodeStatus append(const FrameHeader& header, ByteSpan body, std::span<const TagId> tags, RecordBatch& batch);

 private:
  ReadingsDecoder readings_;
};

/// Takes away what lies before `sequence`.
void trim_front(RecordBatch& batch, std::uint64_t sequence);
/// Takes away `end` and what lies behind it.
void trim_back(RecordBatch& batch, std::uint64_t end);

}  // namespace tidegate::buffer
