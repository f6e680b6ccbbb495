#include "buffer/readings_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace tidegate::buffer {
namespace {

// What a reading takes at most beside its text and its tag's path: tag 5, state 3, time 20 (a run of one), kind 4,
// value 10, each with its share of column heads.
constexpr std::size_t kReadingBytesMax = 48;
constexpr std::size_t kColumnHeadBytes = 64;
constexpr std::size_t kPathBytesMax = 258;
// The paths that one frame stores for the first time, and those that it repeats, as shares of a body.
constexpr std::size_t kNewPathShare = 8;
constexpr std::size_t kRepeatedPathShare = 4;

std::uint64_t bits_of(WallTime time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }

std::size_t text_bytes(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? 0 : text->size();
}

}  // namespace

std::size_t ReadingsEncoder::text_bytes_max(std::size_t body_max) {
  const std::size_t around = body_prefix_bytes(kFrameMarksMax) + kColumnHeadBytes + kReadingBytesMax + kPathBytesMax +
                             body_max / kRepeatedPathShare;
  return body_max > around ? body_max - around : 0;
}

bool ReadingsEncoder::fits(const Reading& reading, std::size_t body_max) {
  return text_bytes(reading.value) <= text_bytes_max(body_max);
}

std::size_t ReadingsEncoder::encode(std::span<const Reading> readings, const BodyStart& start,
                                    TagDictionary& dictionary, std::size_t body_max, OutBuffer& out) {
  dictionary.begin_frame(start.block, registry_, body_max / kRepeatedPathShare);
  const std::size_t around = body_prefix_bytes(kFrameMarksMax) + kColumnHeadBytes + dictionary.repeated_bytes();
  const std::size_t count = number_tags(readings, dictionary, body_max - around, body_max / kNewPathShare);
  const auto taken = readings.first(count);
  put_body_prefix(out, start.boot_id, count == readings.size() ? start.marks : std::span<const QueueMark>());
  dictionary.put(out, registry_);
  put_tags(out);
  put_states(taken, out);
  put_times(taken, start.wall, out);
  guess_.begin_frame(dictionary.size());
  choose_kinds(taken);
  put_values(taken, out);
  return count;
}

std::size_t ReadingsEncoder::number_tags(std::span<const Reading> readings, TagDictionary& dictionary, std::size_t room,
                                         std::size_t paths_max) {
  std::size_t paths = 0;
  std::size_t used = 0;
  tags_.clear();
  for (const Reading& reading : readings.first(std::min(readings.size(), kFrameRecordsMax))) {
    used += kReadingBytesMax + text_bytes(reading.value);
    const bool known = dictionary.has(reading.tag);
    if (!known) {
      const std::size_t path = kReadingBytesMax + registry_.tag(reading.tag).path.size();
      used += path;
      paths += path;
    }
    const bool full = used > room || (!known && paths > paths_max);
    if (full && !tags_.empty()) break;
    tags_.push_back(dictionary.number_of(reading.tag));
  }
  return tags_.size();
}

void ReadingsEncoder::put_tags(OutBuffer& out) {
  symbols_.resize(tags_.size());
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < tags_.size(); ++i) {
    symbols_[i] = zigzag(tags_[i] - before);
    before = tags_[i];
  }
  put_column(out, symbols_);
}

void ReadingsEncoder::put_states(std::span<const Reading> readings, OutBuffer& out) {
  for (std::size_t i = 0; i < readings.size(); ++i) symbols_[i] = state_of(readings[i]);
  put_column(out, symbols_);
}

// Unit, first time, then how much each step differs from the step before.
void ReadingsEncoder::put_times(std::span<const Reading> readings, WallTime wall, OutBuffer& out) {
  symbols_.resize(readings.size() - 1);
  for (std::size_t i = 1; i < readings.size(); ++i) {
    symbols_[i - 1] = bits_of(readings[i].time) - bits_of(readings[i - 1].time);
  }
  const std::uint8_t unit = common_unit(symbols_);
  std::uint64_t before = 0;
  for (std::uint64_t& symbol : symbols_) {
    const auto step = static_cast<std::uint64_t>(static_cast<std::int64_t>(symbol) / kTimeUnits[unit]);
    symbol = zigzag(step - before);
    before = step;
  }
  out.put_byte(unit);
  out.put_varint(zigzag(bits_of(readings[0].time) - bits_of(wall)));
  put_column(out, symbols_);
}

void ReadingsEncoder::choose_kinds(std::span<const Reading> readings) {
  symbols_.resize(readings.size());
  payloads_.resize(readings.size());
  doubles_.begin_frame();
  for (std::size_t i = 0; i < readings.size(); ++i) {
    const Value& value = readings[i].value;
    if (const auto* number = std::get_if<double>(&value)) {
      const StoredDouble stored = doubles_.shorten(*number);
      symbols_[i] = stored.kind;
      payloads_[i] = stored.payload;
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      symbols_[i] = kInt64;
      payloads_[i] = static_cast<std::uint64_t>(*integer);
    } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
      symbols_[i] = kUint64;
      payloads_[i] = *natural;
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      symbols_[i] = *flag ? kTrue : kFalse;
    } else {
      symbols_[i] = std::holds_alternative<std::string>(value) ? kText : kNull;
    }
  }
}

void ReadingsEncoder::put_values(std::span<const Reading> readings, OutBuffer& out) {
  put_column(out, symbols_);
  for (std::size_t i = 0; i < readings.size(); ++i) {
    const auto kind = static_cast<std::uint8_t>(symbols_[i]);
    if (kind < kInt64) continue;
    std::byte* at = out.room(kVarintBytesMax);
    if (kind == kDoubleRaw) {
      store_le(at, payloads_[i]);
      out.end_at(at + 8);
    } else if (kind == kDoubleFloat) {
      store_le(at, static_cast<std::uint32_t>(payloads_[i]));
      out.end_at(at + 4);
    } else if (kind == kText) {
      const std::string& text = std::get<std::string>(readings[i].value);
      out.put_varint(text.size());
      out.put_bytes(as_bytes(text));
    } else {
      out.end_at(write_varint(at, zigzag(payloads_[i] - guess_.get(tags_[i], kind))));
      guess_.set(tags_[i], kind, payloads_[i]);
    }
  }
}

DecodeStatus ReadingsDecoder::decode(const FrameHeader& header, ByteReader& reader, std::span<const TagId> tags,
                                     std::vector<Reading>& out) {
  const std::size_t before = out.size();
  out.resize(before + header.count);
  const auto added = std::span(out).subspan(before);
  tags_.resize(header.count);
  symbols_.resize(header.count);
  const DecodeStatus named = read_tags(reader, tags, added);
  if (named != DecodeStatus::ok) return named;
  guess_.begin_frame(tags.size());
  const bool read = read_states(reader, added) && read_times(reader, header.times.wall, added) &&
                    read_values(reader, added) && reader.left() == 0;
  return read ? DecodeStatus::ok : DecodeStatus::malformed;
}

DecodeStatus ReadingsDecoder::read_tags(ByteReader& reader, std::span<const TagId> tags, std::span<Reading> out) {
  read_column(reader, symbols_);
  if (!reader.ok()) return DecodeStatus::malformed;
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    number += unzigzag(symbols_[i]);
    if (number >= kSectionTagsMax) return DecodeStatus::malformed;
    const auto place = static_cast<std::uint32_t>(number);
    if (place >= tags.size() || tags[place] == kNoTag) return DecodeStatus::unknown_tag;
    tags_[i] = place;
    out[i].tag = tags[place];
  }
  return DecodeStatus::ok;
}

bool ReadingsDecoder::read_states(ByteReader& reader, std::span<Reading> out) {
  read_column(reader, symbols_);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!take_state(symbols_[i], out[i])) return false;
  }
  return reader.ok();
}

bool ReadingsDecoder::read_times(ByteReader& reader, WallTime wall, std::span<Reading> out) {
  const std::uint8_t unit = reader.byte();
  if (unit >= kTimeUnits.size()) return false;
  std::uint64_t time = bits_of(wall) + unzigzag(reader.varint());
  const auto steps = std::span(symbols_).first(out.size() - 1);
  read_column(reader, steps);
  std::uint64_t step = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i > 0) {
      step += unzigzag(steps[i - 1]);
      time += step * static_cast<std::uint64_t>(kTimeUnits[unit]);
    }
    out[i].time = WallTime(Duration(static_cast<std::int64_t>(time)));
  }
  return reader.ok();
}

bool ReadingsDecoder::read_values(ByteReader& reader, std::span<Reading> out) {
  read_column(reader, symbols_);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!read_value(reader, symbols_[i], tags_[i], out[i].value)) return false;
  }
  return reader.ok();
}

bool ReadingsDecoder::read_value(ByteReader& reader, std::uint64_t kind, std::uint32_t tag, Value& value) {
  const auto guessed = [&] {
    const auto small_kind = static_cast<std::uint8_t>(kind);
    const std::uint64_t number = guess_.get(tag, small_kind) + unzigzag(reader.varint());
    guess_.set(tag, small_kind, number);
    return number;
  };
  switch (kind) {
    case kNull:
      value = std::monostate();
      return true;
    case kFalse:
    case kTrue:
      value = kind == kTrue;
      return true;
    case kInt64:
      value = static_cast<std::int64_t>(guessed());
      return true;
    case kUint64:
      value = guessed();
      return true;
    case kDoubleRaw:
      value = std::bit_cast<double>(reader.fixed<std::uint64_t>());
      return true;
    case kDoubleFloat:
      value = static_cast<double>(std::bit_cast<float>(reader.fixed<std::uint32_t>()));
      return true;
    case kText: {
      const ByteSpan text = reader.bytes(reader.varint());
      value.emplace<std::string>(reinterpret_cast<const char*>(text.data()), text.size());
      return reader.ok();
    }
    default:
      if (kind < kDoubleScaled || kind > kDoubleScaled + kScaleMax) return false;
      value = unscale(guessed(), static_cast<unsigned>(kind - kDoubleScaled));
      return true;
  }
}

std::size_t encode_documents(std::span<const std::string> documents, const BodyStart& start, std::size_t body_max,
                             OutBuffer& out) {
  std::size_t count = 0;
  std::size_t used = body_prefix_bytes(kFrameMarksMax);
  for (const std::string& document : documents.first(std::min(documents.size(), kFrameRecordsMax))) {
    used += kVarintBytesMax + document.size();
    if (used > body_max && count > 0) break;
    ++count;
  }
  put_body_prefix(out, start.boot_id, count == documents.size() ? start.marks : std::span<const QueueMark>());
  for (const std::string& document : documents.first(count)) {
    out.put_varint(document.size());
    out.put_bytes(as_bytes(document));
  }
  return count;
}

bool decode_documents(const FrameHeader& header, ByteReader& reader, std::vector<std::string>& out) {
  for (std::uint32_t i = 0; i < header.count; ++i) {
    const ByteSpan text = reader.bytes(reader.varint());
    if (!reader.ok()) return false;
    out.emplace_back(reinterpret_cast<const char*>(text.data()), text.size());
  }
  return reader.left() == 0;
}

bool document_fits(const std::string& document, std::size_t body_max) {
  return document.size() + body_prefix_bytes(kFrameMarksMax) + kVarintBytesMax <= body_max;
}

}  // namespace tidegate::buffer
