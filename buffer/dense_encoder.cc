// Records to dense frames.
#include <algorithm>
#include <array>
#include <bit>

#include "buffer/dense_codec.h"
#include "buffer/dense_format.h"

namespace tidegate::buffer {
namespace {

// What a record is taken to need beside its text and its tag's path, so that most frames are full of records, and none
// is longer than a frame can be unless its records are noise all over.
constexpr std::size_t kRecordBytes = 24;
constexpr std::size_t kRawBytesMax = kFrameBodyMax - 16 * 1024;
constexpr std::uint64_t kSpanMaxMs = UINT32_MAX - 1;
constexpr std::size_t kDoublesTried = 64;

/// How many values of a group are decimals with so many places, and no fewer.
struct Scales {
  std::array<std::size_t, kScaleMax + 1> counts{};
  std::size_t tried = 0;
  std::size_t found = 0;

  /// The places that nine in ten of the decimals get by with.
  unsigned most() const {
    std::size_t below = 0;
    for (unsigned scale = 0; scale <= kScaleMax; ++scale) {
      below += counts[scale];
      if (below * 10 >= found * 9) return scale;
    }
    return kScaleMax;
  }
};

template <class Try>
void count_scale(Scales& scales, unsigned from, unsigned to, Try fits) {
  ++scales.tried;
  for (unsigned scale = from; scale <= to; ++scale) {
    if (!fits(scale)) continue;
    ++scales.counts[scale];
    ++scales.found;
    return;
  }
}

/// The forms that the doubles of one tag are tried in.
struct DoubleForms {
  std::optional<unsigned> scale;
  std::optional<unsigned> float_scale;
};

StoredDouble store_double(double value, const DoubleForms& forms) {
  StoredDouble stored{kDoubleRaw, std::bit_cast<std::uint64_t>(value)};
  if (forms.scale && scale_double(value, *forms.scale, stored)) return stored;
  if (forms.float_scale && scale_float(value, *forms.float_scale, stored)) return stored;
  if (narrow_double(value, stored)) return stored;
  for (unsigned scale = 0; scale <= kScaleMax && forms.scale; ++scale) {
    if (scale_double(value, scale, stored)) return stored;
  }
  return stored;
}

}  // namespace

DenseEncoder::DenseEncoder(const TagRegistry& registry, Stream stream) : registry_(registry), stream_(stream) {}

void DenseEncoder::begin() {
  finished_ = false;
  records_.clear();
  dictionary_.restart();
  tags_ = dictionary_.tags();
  path_bytes_ = 0;
}

bool DenseEncoder::times_fit(const FrameTimes& times) const {
  if (records_.moments.empty()) return true;
  // Unsigned, because times that were read from a file can lie anywhere.
  return bits_of(times.wall) - bits_of(records_.moments.front().times.wall) <= kSpanMaxMs * kMillisecond;
}

std::size_t DenseEncoder::add(const RecordBatch& batch, std::size_t index) {
  if (finished_) begin();
  if (!times_fit(batch.times)) return 0;
  std::size_t taken = 0;
  for (; index + taken < batch.size(); ++taken) {
    const std::size_t used = records_.size() * kRecordBytes + records_.text.size() + path_bytes_;
    if (records_.size() >= kFrameRecordsMax) break;
    if (records_.size() > 0 && used > kRawBytesMax) break;
    if (stream_ == Stream::readings) {
      if (!takes(batch.readings[index + taken])) break;
      add_reading(batch.readings[index + taken]);
    } else {
      const std::string& document = batch.documents[index + taken];
      if (records_.size() > 0 && used + document.size() > kRawBytesMax) break;
      add_text(document);
    }
  }
  if (taken == 0) return 0;
  Moment moment{batch.times, static_cast<std::uint32_t>(taken)};
  if (!records_.moments.empty()) {
    Moment& last = records_.moments.back();
    moment.count = last.count;
    if (last == moment) {
      last.count += static_cast<std::uint32_t>(taken);
      return taken;
    }
    moment.count = static_cast<std::uint32_t>(taken);
  }
  records_.moments.push_back(moment);
  return taken;
}

bool DenseEncoder::takes(const Reading& reading) {
  if (records_.size() == 0) return true;
  const auto* text = std::get_if<std::string>(&reading.value);
  const std::size_t path = dictionary_.has(reading.tag) ? 0 : registry_.tag(reading.tag).path.size() + 2;
  const std::size_t used = records_.size() * kRecordBytes + records_.text.size() + path_bytes_;
  return used + path + (text == nullptr ? 0 : text->size()) <= kRawBytesMax;
}

void DenseEncoder::add_text(std::string_view text) {
  records_.payloads.push_back(std::uint64_t{records_.text.size()} << 32 | text.size());
  const ByteSpan bytes = as_bytes(text);
  records_.text.insert(records_.text.end(), bytes.begin(), bytes.end());
}

void DenseEncoder::add_reading(const Reading& reading) {
  if (!dictionary_.has(reading.tag)) path_bytes_ += registry_.tag(reading.tag).path.size() + 2;
  records_.tags.push_back(dictionary_.number_of(reading.tag));
  records_.states.push_back(static_cast<std::uint16_t>(state_of(reading)));
  records_.times.push_back(bits_of(reading.time));
  const auto put = [&](std::uint8_t kind, std::uint64_t payload) {
    records_.kinds.push_back(kind);
    records_.payloads.push_back(payload);
  };
  const Value& value = reading.value;
  if (const auto* number = std::get_if<double>(&value)) {
    put(kDoubleRaw, std::bit_cast<std::uint64_t>(*number));
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    put(kInt64, static_cast<std::uint64_t>(*integer));
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    put(kUint64, *natural);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    put(*flag ? kTrue : kFalse, 0);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    records_.kinds.push_back(kText);
    add_text(*text);
  } else {
    put(kNull, 0);
  }
}

void DenseEncoder::finish(FrameHeader& header, const BootId& boot_id, std::span<const QueueMark> marks,
                          OutBuffer& out) {
  finished_ = true;
  const bool readings = stream_ == Stream::readings;
  header.codec = readings ? Codec::dense_readings : Codec::dense_documents;
  header.flags = kSectionStart;
  header.section = header.first;
  header.count = static_cast<std::uint32_t>(records_.size());
  header.times = records_.moments.front().times;
  std::uint64_t span = 0;
  for (const Moment& moment : records_.moments) {
    span = std::max(span, bits_of(moment.times.wall) - bits_of(header.times.wall));
  }
  header.wall_span_ms = static_cast<std::uint32_t>((span + kMillisecond - 1) / kMillisecond);
  put_body_prefix(out, &boot_id, marks);
  put_moments(out);
  if (readings) {
    put_readings(header, out);
  } else {
    order_.resize(records_.size());
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<std::uint32_t>(i);
    put_texts(out);
  }
}

void DenseEncoder::put_moments(OutBuffer& out) {
  const auto& moments = records_.moments;
  out.put_varint(moments.size());
  const auto put = [&](auto get) {
    symbols_.resize(moments.size());
    for (std::size_t i = 0; i < moments.size(); ++i) symbols_[i] = get(moments[i], moments[i == 0 ? 0 : i - 1]);
    packer_.put_numbers(out, symbols_);
  };
  put([](const Moment& one, const Moment&) { return std::uint64_t{one.count} - 1; });
  put([](const Moment& one, const Moment&) { return static_cast<std::uint64_t>(one.times.quality); });
  std::uint64_t unit = kBootUnit;
  for (const Moment& one : moments) {
    const std::uint64_t apart = bits_of(one.times.boot) - bits_of(moments.front().times.boot);
    if (static_cast<std::int64_t>(apart) % static_cast<std::int64_t>(unit) != 0) unit = 1;
  }
  out.put_byte(unit == 1 ? 0 : 1);
  put([&](const Moment& one, const Moment& before) {
    const std::uint64_t step = bits_of(one.times.boot) - bits_of(before.times.boot);
    return zigzag(static_cast<std::uint64_t>(static_cast<std::int64_t>(step) / static_cast<std::int64_t>(unit)));
  });
  put([](const Moment& one, const Moment& before) { return zigzag(wall_offset(one) - wall_offset(before)); });
}

// Indexes of the records tag by tag, in the order of the sequences within one.
void DenseEncoder::group() { group_by_tag(records_.tags, tags_->size(), order_, starts_); }

template <class Get>
void DenseEncoder::put_grouped(OutBuffer& out, Get get) {
  symbols_.resize(order_.size());
  for (std::size_t i = 0; i < order_.size(); ++i) symbols_[i] = get(order_[i]);
  packer_.put_numbers(out, symbols_);
}

void DenseEncoder::put_readings(const FrameHeader& header, OutBuffer& out) {
  group();
  put_paths(out);
  put_order(out);
  put_grouped(out, [&](std::uint32_t index) { return std::uint64_t{records_.states[index]}; });
  put_times(header.times.wall, out);
  choose_kinds();
  put_grouped(out, [&](std::uint32_t index) { return std::uint64_t{records_.kinds[index]}; });
  put_values(out);
}

void DenseEncoder::put_paths(OutBuffer& out) {
  bytes_.clear();
  for (const TagId tag : *tags_) {
    const std::string& path = registry_.tag(tag).path;
    bytes_.put_varint(path.size());
    bytes_.put_bytes(as_bytes(path));
  }
  out.put_varint(tags_->size());
  packer_.put_bytes(out, bytes_.view());
}

void DenseEncoder::put_order(OutBuffer& out) {
  TagOrder order(tags_->size());
  symbols_.resize(records_.size());
  for (std::size_t i = 0; i < records_.size(); ++i) {
    const std::uint32_t tag = records_.tags[i];
    symbols_[i] = tag == order.expected() ? 0 : std::uint64_t{tag} + 1;
    order.take(tag);
  }
  packer_.put_numbers(out, symbols_);
}

void DenseEncoder::fill_times(std::uint8_t mode, std::uint64_t base, std::uint8_t unit) {
  symbols_.clear();
  TimeSteps steps(mode, base, kTimeUnits[unit], records_.moments);
  if (mode != kTimesByTag) {
    for (const std::uint64_t time : records_.times) symbols_.push_back(zigzag(steps.difference(time, false)));
    return;
  }
  for_each_tag(order_, starts_, [&](std::span<const std::uint32_t> group) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      symbols_.push_back(zigzag(steps.difference(records_.times[group[i]], i == 0)));
    }
  });
}

// Which way of storing times is the shortest depends on who measured when; all are tried.
void DenseEncoder::put_times(WallTime wall, OutBuffer& out) {
  const std::uint64_t base = records_.times.front();
  symbols_.resize(records_.size());
  for (std::size_t i = 0; i < symbols_.size(); ++i) symbols_[i] = records_.times[i] - base;
  const std::uint8_t unit = common_unit(symbols_);
  bytes_.clear();
  std::uint8_t best = 0;
  for (std::uint8_t mode = 0; mode < kTimeModes; ++mode) {
    candidate_.clear();
    fill_times(mode, base, unit);
    packer_.put_numbers(candidate_, symbols_);
    if (mode > 0 && candidate_.size() >= bytes_.size()) continue;
    std::swap(bytes_, candidate_);
    best = mode;
  }
  out.put_byte(unit);
  out.put_byte(best);
  out.put_varint(zigzag(base - bits_of(wall)));
  out.put_bytes(bytes_.view());
}

void DenseEncoder::choose_kinds() {
  for_each_tag(order_, starts_, [&](std::span<const std::uint32_t> group) { choose_doubles(group); });
}

// All decimals of a tag get the same number of places, if they have about as many, so that the differences between them
// are small.
void DenseEncoder::choose_doubles(std::span<const std::uint32_t> group) {
  Scales decimals;
  Scales floats;
  StoredDouble stored;
  for (const std::uint32_t index : group) {
    if (records_.kinds[index] != kDoubleRaw) continue;
    if (decimals.tried >= kDoublesTried && decimals.found * 2 < decimals.tried && floats.found * 2 < floats.tried)
      break;
    const auto value = std::bit_cast<double>(records_.payloads[index]);
    count_scale(decimals, 0, kScaleMax, [&](unsigned scale) { return scale_double(value, scale, stored); });
    if (!narrow_double(value, stored)) continue;
    count_scale(floats, 1, kFloatScaleMax, [&](unsigned scale) { return scale_float(value, scale, stored); });
  }
  DoubleForms forms;
  if (decimals.found * 2 >= decimals.tried) forms.scale = decimals.most();
  if (floats.found * 10 >= floats.tried * 9) forms.float_scale = std::min(floats.most(), kFloatScaleMax);
  for (const std::uint32_t index : group) {
    if (records_.kinds[index] != kDoubleRaw) continue;
    stored = store_double(std::bit_cast<double>(records_.payloads[index]), forms);
    records_.kinds[index] = stored.kind;
    records_.payloads[index] = stored.payload;
  }
}

void DenseEncoder::put_values(OutBuffer& out) {
  symbols_.clear();
  for_each_tag(order_, starts_, [&](std::span<const std::uint32_t> group) {
    LastValues last{};
    for (const std::uint32_t index : group) {
      const std::uint8_t kind = records_.kinds[index];
      if (!is_integer(kind)) continue;
      symbols_.push_back(zigzag(records_.payloads[index] - last[kind]));
      last[kind] = records_.payloads[index];
    }
  });
  packer_.put_numbers(out, symbols_);
  const auto put_planes = [&](std::uint8_t kind, std::size_t width) {
    symbols_.clear();
    for (const std::uint32_t index : order_) {
      if (records_.kinds[index] == kind) symbols_.push_back(records_.payloads[index]);
    }
    packer_.put_planes(out, symbols_, width);
  };
  put_planes(kDoubleFloat, 4);
  put_planes(kDoubleRaw, 8);
  put_texts(out);
}

void DenseEncoder::put_texts(OutBuffer& out) {
  const auto is_text = [&](std::uint32_t index) { return records_.kinds.empty() || records_.kinds[index] == kText; };
  symbols_.clear();
  bytes_.clear();
  for (const std::uint32_t index : order_) {
    if (!is_text(index)) continue;
    const ByteSpan text = records_.text_of(index);
    symbols_.push_back(text.size());
    bytes_.put_bytes(text);
  }
  packer_.put_numbers(out, symbols_);
  packer_.put_bytes(out, bytes_.view());
}

}  // namespace tidegate::buffer
