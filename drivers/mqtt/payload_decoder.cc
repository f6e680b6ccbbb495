#include "drivers/mqtt/payload_decoder.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "core/free_room.h"
#include "core/spare_room.h"
#include "core/text.h"
#include "drivers/mqtt/csv_line.h"
#include "drivers/mqtt/decimal.h"
#include "drivers/mqtt/source_time.h"

namespace tidegate::drivers {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

// The parser takes fourteen times as much: what a single payload of such a size took is given back at the next one.
constexpr std::size_t kLargeBytes = 64 * 1024;

// What keeps a pointer from finding its value; none when it does.
Refusal find_member(simdjson::dom::object object, std::string_view name, element& found) {
  bool is_found = false;
  for (const auto& [key, value] : object) {
    if (key != name) continue;
    if (is_found) return Refusal::key_twice;
    is_found = true;
    found = value;
  }
  return is_found ? Refusal::none : Refusal::value_missing;
}

Refusal resolve(const JsonPointer& pointer, element from, element& found) {
  for (const JsonPointer::Step& step : pointer.steps()) {
    simdjson::dom::object object;
    simdjson::dom::array array;
    if (from.get(object) == simdjson::SUCCESS) {
      if (const Refusal why = find_member(object, step.member, from); why != Refusal::none) return why;
    } else if (!step.index || from.get(array) != simdjson::SUCCESS ||
               array.at(*step.index).get(from) != simdjson::SUCCESS) {
      return Refusal::value_missing;
    }
  }
  found = from;
  return Refusal::none;
}

// False for what is no scalar.
bool take_scalar(element from, Sample& sample) {
  switch (from.type()) {
    case element_type::INT64:
      sample.value = std::int64_t{from.get_int64().value_unsafe()};
      return true;
    case element_type::UINT64:
      sample.value = std::uint64_t{from.get_uint64().value_unsafe()};
      return true;
    case element_type::DOUBLE:
      sample.value = from.get_double().value_unsafe();
      return true;
    case element_type::BOOL:
      sample.value = from.get_bool().value_unsafe();
      return true;
    case element_type::STRING:
      sample.value = std::string(from.get_string().value_unsafe());
      return true;
    case element_type::NULL_VALUE:
      sample.value = std::monostate{};
      sample.quality = Quality::bad;
      return true;
    case element_type::ARRAY:
    case element_type::OBJECT:
      return false;
  }
  return false;
}

std::optional<WallTime> take_time(element from, TimeUnit unit) {
  switch (from.type()) {
    case element_type::INT64:
      return source_time(std::int64_t{from.get_int64().value_unsafe()}, unit);
    case element_type::DOUBLE:
      return source_time(from.get_double().value_unsafe(), unit);
    case element_type::STRING:
      return source_time(from.get_string().value_unsafe(), unit);
    default:
      return std::nullopt;
  }
}

template <class Integer>
bool is_out_of_range(std::string_view digits) {
  Integer number = 0;
  return std::from_chars(digits.data(), digits.data() + digits.size(), number).ec == std::errc::result_out_of_range;
}

// simdjson refuses integers beyond 64 bits; with a fraction behind them they are read as doubles.
std::string with_large_integers_as_doubles(std::string_view json) {
  std::string out;
  bool in_text = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    out += c;
    if (in_text && c == '\\' && i + 1 < json.size()) out += json[++i];
    if (c == '"') in_text = !in_text;
    if (in_text || c < '0' || c > '9') continue;
    std::size_t end = i;
    while (end < json.size() && json[end] >= '0' && json[end] <= '9') ++end;
    const bool continues = end < json.size() && std::string_view(".eE").find(json[end]) != std::string_view::npos;
    const bool is_fraction = i > 0 && std::string_view(".eE+").find(json[i - 1]) != std::string_view::npos;
    out.append(json.substr(i + 1, end - i - 1));
    const bool is_negative = i > 0 && json[i - 1] == '-';
    const bool is_large = is_negative ? is_out_of_range<std::int64_t>(json.substr(i - 1, end - i + 1))
                                      : is_out_of_range<std::uint64_t>(json.substr(i, end - i));
    if (is_large && !continues && !is_fraction) out += ".0";
    i = end - 1;
  }
  return out;
}

}  // namespace

class PayloadDecoder::Json {
 public:
  void forget() { state_ = State::unparsed; }

  /// The document, or nothing and why.
  bool document(std::string_view payload, PayloadFormat format, element& root, Refusal& why) {
    if (state_ == State::unparsed || format_ != format) parse_as(format, payload);
    root = root_;
    why = why_;
    return state_ == State::good;
  }

 private:
  enum class State : std::uint8_t { unparsed, good, bad };

  void parse_as(PayloadFormat format, std::string_view payload) {
    format_ = format;
    if (format != PayloadFormat::csv) return parse(payload);
    std::string json;
    why_ = csv_as_json(payload, json);
    if (why_ != Refusal::none) {
      state_ = State::bad;
    } else {
      parse(json);
    }
  }

  void parse(std::string_view payload) {
    const bool is_large = buffer_.size() > kLargeBytes && payload.size() < kLargeBytes / 2;
    if (spare_.is_too_much(payload.size(), buffer_.size()) || is_large) {
      free_room(buffer_);
      parser_ = simdjson::dom::parser();
    }
    auto problem = parse_text(payload);
    if (problem == simdjson::NUMBER_ERROR) problem = parse_text(with_large_integers_as_doubles(payload));
    // As where any other allocation fails: the process ends, and the message, not acknowledged, comes again.
    if (problem == simdjson::MEMALLOC) throw std::bad_alloc();
    state_ = problem == simdjson::SUCCESS ? State::good : State::bad;
    why_ = problem == simdjson::SUCCESS        ? Refusal::none
           : problem == simdjson::NUMBER_ERROR ? Refusal::bad_number
                                               : Refusal::not_json;
  }
  simdjson::error_code parse_text(std::string_view text) {
    if (buffer_.size() < text.size() + simdjson::SIMDJSON_PADDING) {
      buffer_.resize(text.size() + simdjson::SIMDJSON_PADDING);
    }
    if (!text.empty()) std::memcpy(buffer_.data(), text.data(), text.size());
    return parser_.parse(buffer_.data(), text.size(), false).get(root_);
  }

  State state_ = State::unparsed;
  PayloadFormat format_ = PayloadFormat::json;
  Refusal why_ = Refusal::none;
  std::vector<char> buffer_;
  simdjson::dom::parser parser_;
  SpareRoom spare_;
  element root_;
};

namespace {

// Takes what a rule asks for from one object, or from one element of an array.
class ItemDecoder {
 public:
  ItemDecoder(const PayloadRule& rule, WallTime received, WallTime latest, SampleSink& sink)
      : rule_(rule), received_(received), latest_(latest), sink_(sink) {}

  void decode(element item) {
    Sample sample;
    if (!take_name(rule_.device, item, device_digits_, sample.device)) return;
    if (!take_name(rule_.tag, item, tag_digits_, sample.tag)) return;
    put_time(item, sample);
    if (rule_.all_members) return decode_members(item, sample);
    for (std::size_t i = 0; i < rule_.values.size(); ++i) {
      element found;
      if (const Refusal why = resolve(rule_.values[i], item, found); why != Refusal::none) {
        sink_.refuse(why, rule_.values[i].text());
        continue;
      }
      sample.index = i;
      give(found, sample, rule_.values[i].text());
    }
  }

 private:
  bool take_name(const std::optional<JsonPointer>& pointer, element item, std::string& digits, std::string_view& name) {
    if (!pointer) return true;
    element found;
    const Refusal why = resolve(*pointer, item, found);
    if (why == Refusal::none) {
      if (found.is_string()) {
        name = found.get_string().value_unsafe();
        if (!name.empty()) return true;
      }
      if (found.is_int64()) {
        digits = std::to_string(found.get_int64().value_unsafe());
        name = digits;
        return true;
      }
    }
    sink_.refuse(why == Refusal::key_twice ? why : Refusal::name_missing, pointer->text());
    return false;
  }

  void put_time(element item, Sample& sample) {
    sample.time = received_;
    if (!rule_.time) return;
    element found;
    std::optional<WallTime> time;
    if (resolve(*rule_.time, item, found) == Refusal::none) time = take_time(found, rule_.time_unit);
    if (time && *time <= latest_) {
      sample.time = *time;
      sample.origin = TimeOrigin::source;
      return;
    }
    sample.quality = Quality::uncertain;
    sink_.refuse(Refusal::bad_time, rule_.time->text());
  }

  // The sample's quality is for the next value again what it was.
  void give(element found, Sample& sample, std::string_view detail) {
    const Quality before = sample.quality;
    if (take_scalar(found, sample)) {
      sink_.take(sample);
    } else {
      sink_.refuse(Refusal::value_not_scalar, detail);
    }
    sample.quality = before;
  }

  void decode_members(element item, Sample& sample) {
    const JsonPointer& base = rule_.values.front();
    element found;
    simdjson::dom::object object;
    if (const Refusal why = resolve(base, item, found);
        why != Refusal::none || found.get(object) != simdjson::SUCCESS) {
      return sink_.refuse(why == Refusal::key_twice ? why : Refusal::not_an_object, base.text());
    }
    find_keys_twice(object);
    for (const auto& [key, value] : object) {
      if (value.is_object() || value.is_array() || is_the_time(key)) continue;
      if (std::binary_search(keys_twice_.begin(), keys_twice_.end(), key)) {
        sink_.refuse(Refusal::key_twice, key);
        continue;
      }
      sample.member = key;
      give(value, sample, {});
    }
  }

  // Leaves them sorted in keys_twice_.
  void find_keys_twice(simdjson::dom::object object) {
    keys_.clear();
    keys_twice_.clear();
    for (const auto& [key, value] : object) keys_.push_back(key);
    std::sort(keys_.begin(), keys_.end());
    for (std::size_t i = 1; i < keys_.size(); ++i) {
      if (keys_[i] == keys_[i - 1]) keys_twice_.push_back(keys_[i]);
    }
  }

  bool is_the_time(std::string_view key) const {
    if (!rule_.time) return false;
    const auto& base = rule_.values.front().steps();
    const auto& time = rule_.time->steps();
    if (time.size() != base.size() + 1 || time.back().member != key) return false;
    return std::equal(base.begin(), base.end(), time.begin(),
                      [](const auto& left, const auto& right) { return left.member == right.member; });
  }

  const PayloadRule& rule_;
  const WallTime received_;
  const WallTime latest_;
  SampleSink& sink_;
  std::string device_digits_;
  std::string tag_digits_;
  std::vector<std::string_view> keys_;
  std::vector<std::string_view> keys_twice_;
};

}  // namespace

PayloadDecoder::PayloadDecoder() : json_(std::make_unique<Json>()) {}
PayloadDecoder::~PayloadDecoder() = default;

void PayloadDecoder::load(std::string_view payload, WallTime received, bool clock_is_synced) {
  json_->forget();
  payload_ = payload;
  received_ = received;
  latest_plausible_ = latest_plausible(received, clock_is_synced);
}

void PayloadDecoder::decode(const PayloadRule& rule, SampleSink& sink) {
  if (rule.format == PayloadFormat::number) return decode_number(sink);
  if (rule.format == PayloadFormat::text) return decode_text(sink);
  element root;
  Refusal why{};
  if (!json_->document(payload_, rule.format, root, why)) return sink.refuse(why, {});
  ItemDecoder items(rule, received_, latest_plausible_, sink);
  if (!rule.each) return items.decode(root);
  element found;
  simdjson::dom::array array;
  why = resolve(*rule.each, root, found);
  if (why != Refusal::none || found.get(array) != simdjson::SUCCESS) {
    return sink.refuse(why == Refusal::key_twice ? why : Refusal::not_an_array, rule.each->text());
  }
  for (const element item : array) items.decode(item);
}

void PayloadDecoder::decode_number(SampleSink& sink) const {
  Sample sample;
  sample.time = received_;
  const Refusal why = parse_number(trimmed(payload_), sample.value);
  if (why != Refusal::none) return sink.refuse(why, {});
  sink.take(sample);
}

void PayloadDecoder::decode_text(SampleSink& sink) const {
  if (!is_valid_utf8(payload_)) return sink.refuse(Refusal::not_utf8, {});
  Sample sample;
  sample.time = received_;
  sample.value = std::string(payload_);
  sink.take(sample);
}

}  // namespace tidegate::drivers
