#include "buffer/batch_decoder.h"

namespace tidegate::buffer {

DecodeStatus BatchDecoder::decode(Stream stream, const FrameHeader& header, ByteSpan body, std::span<const TagId> tags,
                                  RecordBatch& batch) {
  batch.stream = stream;
  batch.epoch = header.epoch;
  batch.first = header.first;
  batch.times = header.times;
  batch.readings.clear();
  batch.documents.clear();
  return append(header, body, tags, batch);
}

DecodeStatus BatchDecoder::append(const FrameHeader& header, ByteSpan body, std::span<const TagId> tags,
                                  RecordBatch& batch) {
  const bool readings = batch.stream == Stream::readings;
  if (header.codec != (readings ? Codec::readings : Codec::documents)) return DecodeStatus::malformed;
  if ((header.flags & ~kSectionStart) != 0) return DecodeStatus::malformed;
  ByteReader reader(body);
  if (!read_body_prefix(reader, header, nullptr)) return DecodeStatus::malformed;
  if (!readings) {
    return decode_documents(header, reader, batch.documents) ? DecodeStatus::ok : DecodeStatus::malformed;
  }
  if (!skip_dictionary(reader)) return DecodeStatus::malformed;
  return readings_.decode(header, reader, tags, batch.readings);
}

void trim_front(RecordBatch& batch, std::uint64_t sequence) {
  if (sequence <= batch.first) return;
  const auto count = static_cast<std::ptrdiff_t>(sequence - batch.first);
  if (batch.stream == Stream::readings) {
    batch.readings.erase(batch.readings.begin(), batch.readings.begin() + count);
  } else {
    batch.documents.erase(batch.documents.begin(), batch.documents.begin() + count);
  }
  batch.first = sequence;
}

void trim_back(RecordBatch& batch, std::uint64_t end) {
  const auto count = static_cast<std::size_t>(end - batch.first);
  if (batch.readings.size() > count) batch.readings.resize(count);
  if (batch.documents.size() > count) batch.documents.resize(count);
}

}  // namespace tidegate::buffer
