// Dense frames to records. Whatever the bytes are, nothing outside of them is read, and no more than a frame can hold
// is allocated.
#include <algorithm>
#include <bit>
#include <functional>

#include "buffer/batch_decoder.h"
#include "buffer/dense_codec.h"
#include "buffer/dense_format.h"

namespace tidegate::buffer {
namespace {

/// A column of the moments: each number made from the one before.
template <class Take>
bool read_moment_column(ByteReader& reader, Unpacker& unpacker, std::vector<std::uint64_t>& symbols,
                        std::vector<Moment>& moments, Take take) {
  symbols.resize(moments.size());
  unpacker.read_numbers(reader, symbols);
  if (!reader.ok()) return false;
  for (std::size_t i = 0; i < moments.size(); ++i) {
    if (!take(moments[i], symbols[i])) return false;
  }
  return true;
}

bool read_moments_of(const FrameHeader& header, ByteReader& reader, Unpacker& unpacker,
                     std::vector<std::uint64_t>& symbols, std::vector<Moment>& moments) {
  const std::uint64_t count = reader.varint();
  if (!reader.ok() || count == 0 || count > header.count) return false;
  moments.resize(static_cast<std::size_t>(count));
  std::uint64_t records = 0;
  const bool counted = read_moment_column(reader, unpacker, symbols, moments, [&](Moment& one, std::uint64_t number) {
    if (number >= header.count - records) return false;
    one.count = static_cast<std::uint32_t>(number + 1);
    records += number + 1;
    return true;
  });
  if (!counted || records != header.count) return false;
  const bool qualified = read_moment_column(reader, unpacker, symbols, moments, [](Moment& one, std::uint64_t number) {
    one.times.quality = static_cast<ClockQuality>(number);
    return number <= static_cast<std::uint64_t>(ClockQuality::synced);
  });
  const std::uint64_t unit = reader.byte() == 0 ? 1 : kBootUnit;
  std::uint64_t boot = bits_of(header.times.boot);
  std::uint64_t offset = bits_of(header.times.wall) - boot;
  if (!qualified) return false;
  const bool booted = read_moment_column(reader, unpacker, symbols, moments, [&](Moment& one, std::uint64_t number) {
    boot += unzigzag(number) * unit;
    one.times.boot = BootTime(Duration(static_cast<std::int64_t>(boot)));
    return true;
  });
  return booted && read_moment_column(reader, unpacker, symbols, moments, [&](Moment& one, std::uint64_t number) {
           offset += unzigzag(number);
           one.times.wall = WallTime(Duration(static_cast<std::int64_t>(bits_of(one.times.boot) + offset)));
           return true;
         });
}

bool is_constant(std::span<const std::uint64_t> symbols) {
  return std::adjacent_find(symbols.begin(), symbols.end(), std::not_equal_to<>()) == symbols.end();
}

}  // namespace

void DenseRecords::clear() {
  moments.clear();
  tags.clear();
  states.clear();
  times.clear();
  kinds.clear();
  payloads.clear();
  text.clear();
}

ByteSpan DenseRecords::text_of(std::size_t index) const {
  const std::uint64_t payload = payloads[index];
  return ByteSpan(text).subspan(static_cast<std::size_t>(payload >> 32), static_cast<std::uint32_t>(payload));
}

void DenseRecords::take_value(std::size_t index, Value& value) const {
  const std::uint64_t payload = payloads[index];
  const std::uint8_t kind = kinds[index];
  switch (kind) {
    case kNull:
      value = std::monostate();
      break;
    case kFalse:
    case kTrue:
      value = kind == kTrue;
      break;
    case kInt64:
      value = static_cast<std::int64_t>(payload);
      break;
    case kUint64:
      value = payload;
      break;
    case kDoubleRaw:
      value = std::bit_cast<double>(payload);
      break;
    case kDoubleFloat:
      value = static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(payload)));
      break;
    case kText: {
      const ByteSpan bytes = text_of(index);
      value = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      break;
    }
    default:
      value =
          kind >= kFloatScaled ? unscale_float(payload, kind - kFloatScaled) : unscale(payload, kind - kDoubleScaled);
  }
}

void DenseDecoder::clear() {
  records_.clear();
  ends_.clear();
  tags_.clear();
  moment_ = 0;
}

DecodeStatus DenseDecoder::open(const FrameHeader& header, ByteSpan body, TagRegistry& registry) {
  header_ = header;
  clear();
  unpacker_ = std::make_unique<Unpacker>();
  ByteReader reader(body);
  DecodeStatus status = DecodeStatus::malformed;
  if (header.section_start() && read_body_prefix(reader, header, nullptr) && read_moments(reader)) {
    records_.payloads.assign(header.count, 0);
    if (header.codec == Codec::dense_readings) {
      status = read_readings(reader, registry);
    } else {
      order_.resize(header.count);
      for (std::uint32_t i = 0; i < header.count; ++i) order_[i] = i;
      status = read_texts(reader) ? DecodeStatus::ok : DecodeStatus::malformed;
    }
    if (reader.left() != 0) status = DecodeStatus::malformed;
  }
  unpacker_.reset();
  if (status != DecodeStatus::ok) clear();
  return status;
}

bool DenseDecoder::read_moments(ByteReader& reader) {
  if (!read_moments_of(header_, reader, *unpacker_, symbols_, records_.moments)) return false;
  std::uint32_t end = 0;
  for (const Moment& moment : records_.moments) ends_.push_back(end += moment.count);
  return true;
}

DecodeStatus DenseDecoder::read_readings(ByteReader& reader, TagRegistry& registry) {
  if (!read_paths(reader, registry) || !read_order(reader)) return DecodeStatus::malformed;
  group_by_tag(records_.tags, tags_.size(), order_, starts_);
  const bool read = read_states(reader) && read_times(reader) && read_kinds(reader) && read_values(reader);
  if (!read) return DecodeStatus::malformed;
  const bool full = std::find(tags_.begin(), tags_.end(), kNoTag) != tags_.end();
  return full ? DecodeStatus::unknown_tag : DecodeStatus::ok;
}

bool DenseDecoder::read_paths(ByteReader& reader, TagRegistry& registry) {
  const std::uint64_t count = reader.varint();
  if (!reader.ok() || count == 0 || count > header_.count) return false;
  unpacker_->read_bytes(reader, kFrameBodyMax, bytes_);
  if (!reader.ok()) return false;
  ByteReader paths(bytes_);
  for (std::uint64_t i = 0; i < count; ++i) {
    const ByteSpan path = paths.bytes(paths.varint());
    if (!paths.ok()) return false;
    tags_.push_back(registry.intern({reinterpret_cast<const char*>(path.data()), path.size()}));
  }
  return paths.left() == 0;
}

bool DenseDecoder::read_order(ByteReader& reader) {
  symbols_.resize(header_.count);
  unpacker_->read_numbers(reader, symbols_);
  if (!reader.ok()) return false;
  TagOrder order(tags_.size());
  records_.tags.resize(header_.count);
  for (std::size_t i = 0; i < symbols_.size(); ++i) {
    const std::uint64_t tag = symbols_[i] == 0 ? order.expected() : symbols_[i] - 1;
    if (tag > order.seen() || tag >= tags_.size()) return false;
    records_.tags[i] = static_cast<std::uint32_t>(tag);
    order.take(records_.tags[i]);
  }
  return order.seen() == tags_.size();
}

bool DenseDecoder::read_states(ByteReader& reader) {
  unpacker_->read_numbers(reader, symbols_);
  if (!reader.ok()) return false;
  Reading any;
  const auto is_state = [&](std::uint64_t symbol) { return take_state(symbol, any); };
  if (is_constant(symbols_)) {
    records_.states.assign(header_.count, static_cast<std::uint16_t>(symbols_.front()));
    return is_state(symbols_.front());
  }
  records_.states.resize(header_.count);
  for (std::size_t i = 0; i < symbols_.size(); ++i)
    records_.states[order_[i]] = static_cast<std::uint16_t>(symbols_[i]);
  return std::all_of(symbols_.begin(), symbols_.end(), is_state);
}

bool DenseDecoder::read_times(ByteReader& reader) {
  const std::uint8_t unit = reader.byte();
  const std::uint8_t mode = reader.byte();
  const std::uint64_t base = bits_of(header_.times.wall) + unzigzag(reader.varint());
  unpacker_->read_numbers(reader, symbols_);
  if (!reader.ok() || unit >= kTimeUnits.size() || mode >= kTimeModes) return false;
  records_.times.resize(header_.count);
  TimeSteps steps(mode, base, kTimeUnits[unit], records_.moments);
  if (mode != kTimesByTag) {
    for (std::size_t i = 0; i < symbols_.size(); ++i) records_.times[i] = steps.time(unzigzag(symbols_[i]), false);
    return true;
  }
  const std::uint64_t* symbol = symbols_.data();
  for_each_tag(order_, starts_, [&](std::span<const std::uint32_t> group) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      records_.times[group[i]] = steps.time(unzigzag(*symbol++), i == 0);
    }
  });
  return true;
}

bool DenseDecoder::read_kinds(ByteReader& reader) {
  unpacker_->read_numbers(reader, symbols_);
  if (!reader.ok()) return false;
  if (is_constant(symbols_)) {
    records_.kinds.assign(header_.count, static_cast<std::uint8_t>(symbols_.front()));
    return is_kind(symbols_.front());
  }
  records_.kinds.resize(header_.count);
  for (std::size_t i = 0; i < symbols_.size(); ++i) records_.kinds[order_[i]] = static_cast<std::uint8_t>(symbols_[i]);
  return std::all_of(symbols_.begin(), symbols_.end(), is_kind);
}

bool DenseDecoder::read_values(ByteReader& reader) {
  return read_integers(reader) && read_planes(reader, kDoubleFloat, 4) && read_planes(reader, kDoubleRaw, 8) &&
         read_texts(reader);
}

bool DenseDecoder::read_integers(ByteReader& reader) {
  symbols_.resize(static_cast<std::size_t>(std::count_if(records_.kinds.begin(), records_.kinds.end(), is_integer)));
  unpacker_->read_numbers(reader, symbols_);
  if (!reader.ok()) return false;
  const std::uint64_t* symbol = symbols_.data();
  for_each_tag(order_, starts_, [&](std::span<const std::uint32_t> group) {
    LastValues last{};
    for (const std::uint32_t index : group) {
      const std::uint8_t kind = records_.kinds[index];
      if (is_integer(kind)) records_.payloads[index] = last[kind] += unzigzag(*symbol++);
    }
  });
  return true;
}

bool DenseDecoder::read_planes(ByteReader& reader, std::uint8_t kind, std::size_t width) {
  symbols_.resize(static_cast<std::size_t>(std::count(records_.kinds.begin(), records_.kinds.end(), kind)));
  unpacker_->read_planes(reader, symbols_, width);
  if (!reader.ok()) return false;
  if (symbols_.empty()) return true;
  const std::uint64_t* symbol = symbols_.data();
  for (const std::uint32_t index : order_) {
    if (records_.kinds[index] == kind) records_.payloads[index] = *symbol++;
  }
  return true;
}

bool DenseDecoder::read_texts(ByteReader& reader) {
  const auto is_text = [&](std::uint32_t index) { return records_.kinds.empty() || records_.kinds[index] == kText; };
  symbols_.resize(static_cast<std::size_t>(std::count_if(order_.begin(), order_.end(), is_text)));
  unpacker_->read_numbers(reader, symbols_);
  unpacker_->read_bytes(reader, kFrameBodyMax, records_.text);
  if (!reader.ok()) return false;
  if (symbols_.empty()) return records_.text.empty();
  const std::uint64_t* symbol = symbols_.data();
  std::uint64_t at = 0;
  for (const std::uint32_t index : order_) {
    if (!is_text(index)) continue;
    if (*symbol > records_.text.size() - at) return false;
    records_.payloads[index] = at << 32 | *symbol;
    at += *symbol++;
  }
  return at == records_.text.size();
}

void DenseDecoder::take_readings(std::size_t from, std::span<Reading> readings) const {
  for (Reading& reading : readings) {
    reading.tag = tags_[records_.tags[from]];
    (void)take_state(records_.states[from], reading);
    reading.time = WallTime(Duration(static_cast<std::int64_t>(records_.times[from])));
    records_.take_value(from++, reading.value);
  }
}

void DenseDecoder::append_documents(std::size_t from, std::size_t count, RecordBatch& batch) const {
  for (std::size_t i = from; i < from + count; ++i) {
    const ByteSpan text = records_.text_of(i);
    batch.documents.emplace_back(reinterpret_cast<const char*>(text.data()), text.size());
  }
}

// A frame is read from front to back, and may have as many moments as records.
std::size_t DenseDecoder::moment_of(std::size_t index) {
  const auto holds = [&](std::size_t moment) {
    return moment < ends_.size() && index < ends_[moment] && (moment == 0 || index >= ends_[moment - 1]);
  };
  if (holds(moment_)) return moment_;
  if (holds(moment_ + 1)) return ++moment_;
  moment_ = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
  return moment_;
}

void DenseDecoder::read(std::uint64_t sequence, RecordBatch& batch) {
  const auto index = static_cast<std::size_t>(sequence - header_.first);
  std::size_t moment = moment_of(index);
  batch.stream = header_.codec == Codec::dense_readings ? Stream::readings : batch.stream;
  batch.epoch = header_.epoch;
  batch.first = sequence;
  batch.times = records_.moments[moment].times;
  batch.documents.clear();
  std::size_t end = ends_[moment];
  for (++moment; moment < ends_.size(); ++moment) {
    const bool joins = same_moment(records_.moments[moment - 1].times, records_.moments[moment].times);
    if (!joins || ends_[moment] - index > kBatchRecordsMax) break;
    end = ends_[moment];
    moment_ = moment;
  }
  const bool readings = header_.codec == Codec::dense_readings;
  // Those of the batch before are written over: their memory is there already.
  batch.readings.resize(readings ? end - index : 0);
  if (readings) {
    take_readings(index, batch.readings);
  } else {
    append_documents(index, end - index, batch);
  }
}

std::optional<std::uint64_t> DenseDecoder::first_taken_in_at(WallTime time, const FrameHeader& header, ByteSpan body) {
  ByteReader reader(body);
  Unpacker unpacker;
  std::vector<std::uint64_t> symbols;
  std::vector<Moment> moments;
  if (!read_body_prefix(reader, header, nullptr)) return std::nullopt;
  if (!read_moments_of(header, reader, unpacker, symbols, moments)) return std::nullopt;
  std::uint64_t sequence = header.first;
  for (const Moment& moment : moments) {
    if (moment.times.wall >= time) return sequence;
    sequence += moment.count;
  }
  return std::nullopt;
}

}  // namespace tidegate::buffer
