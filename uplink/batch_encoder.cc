#include "uplink/batch_encoder.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <system_error>

#include "core/text.h"
#include "uplink/time_text.h"

namespace tidegate::uplink {
namespace {

constexpr std::string_view kEntryBegins = "{\"seq\":";

// The members of one entry of fixed greatest length, put together on the stack: one append to the message a piece is
// several times cheaper than one a member.
class Piece {
 public:
  void text(std::string_view text) {
    std::memcpy(end_, text.data(), text.size());
    end_ += text.size();
  }
  template <class Number>
  void number(Number number) {
    end_ = std::to_chars(end_, bytes_.data() + bytes_.size(), number).ptr;
  }
  void time(WallTime time) { end_ = put_time(end_, time); }
  std::size_t size() const { return static_cast<std::size_t>(end_ - bytes_.data()); }
  // Shortest form that reads back the same double and never reads as an integer.
  void real(double number) {
    char* const begin = end_;
    this->number(number);
    for (const char* at = begin; at != end_; ++at) {
      if (*at == '.' || *at == 'e') return;
    }
    text(".0");
  }
  void append_to(std::string& out) {
    out.append(bytes_.data(), static_cast<std::size_t>(end_ - bytes_.data()));
    end_ = bytes_.data();
  }

 private:
  std::array<char, 256> bytes_;  // the longest piece has less than 200
  char* end_ = bytes_.data();
};

// Everything but text, which may be longer than a piece.
void put_value(Piece& piece, const Value& value) {
  if (const auto* real = std::get_if<double>(&value)) {
    if (std::isfinite(*real)) return piece.real(*real);
    piece.text("null");
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    piece.number(*integer);
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    piece.number(*natural);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    piece.text(*flag ? "true" : "false");
  } else {
    piece.text("null");
  }
}

// Returns where the word that doubts the time stands in the piece; 0 without one.
std::size_t put_quality(Piece& piece, const Reading& reading, ClockQuality clock) {
  std::size_t word_at = 0;
  if (reading.quality == Quality::good) {
    piece.text(",\"quality\":\"good\"");
  } else {
    piece.text(",\"quality\":\"");
    piece.text(to_string(reading.quality));
    piece.text("\"");
  }
  if (reading.reason != Reason::none) {
    piece.text(",\"reason\":\"");
    piece.text(to_string(reading.reason));
    piece.text("\"");
  }
  if (reading.origin == TimeOrigin::ingest && clock != ClockQuality::synced) {
    piece.text(",\"time_quality\":\"");
    word_at = piece.size();
    piece.text(to_string(clock));
    piece.text("\"");
  }
  piece.text("}");
  return word_at;
}

void put_beginning(Piece& piece, const std::string& entries, std::uint64_t sequence) {
  piece.text(entries.empty() ? "{\"seq\":" : ",{\"seq\":");
  piece.number(sequence);
}

}  // namespace

std::optional<std::uint64_t> sequence_of(std::string_view entry) {
  std::uint64_t sequence = 0;
  if (!entry.starts_with(kEntryBegins)) return std::nullopt;
  const auto read = std::from_chars(entry.data() + kEntryBegins.size(), entry.data() + entry.size(), sequence);
  return read.ec == std::errc() ? std::optional(sequence) : std::nullopt;
}

BatchEncoder::BatchEncoder(const std::string& gateway, const TagRegistry& tags) : tags_(tags) {
  beginning_ = "{\"v\":1,\"gateway\":";
  append_json_string(beginning_, gateway);
  BatchHead longest;
  longest.epoch = ~std::uint32_t{0};
  longest.from = longest.to = ~std::uint64_t{0};
  longest.count = ~std::uint32_t{0};
  longest.historical = true;
  longest.sent = WallTime::min();
  longest.prev = ChainEnd{longest.epoch, longest.to};
  longest.skipped = SkippedMark{longest.epoch, longest.from, longest.to};
  longest.replay = true;
  longest.beside = "witness";
  frame_bytes_max_ = make_head(longest).size() + kTail.size();
}

TimeSpot BatchEncoder::append_reading(std::string& entries, std::uint64_t sequence, const Reading& reading,
                                      const FrameTimes& times) {
  TimeSpot spot;
  Piece piece;
  put_beginning(piece, entries, sequence);
  piece.append_to(entries);
  entries += tag_member(reading.tag);
  spot.time_at = entries.size();
  piece.time(reading.time);
  spot.time_bytes = piece.size();
  piece.text(",\"value\":");
  if (const auto* text = std::get_if<std::string>(&reading.value)) {
    piece.append_to(entries);
    append_json_string(entries, *text);
  } else {
    put_value(piece, reading.value);
  }
  const std::size_t word_at = put_quality(piece, reading, times.quality);
  if (word_at != 0) spot.word_at = entries.size() + word_at;
  piece.append_to(entries);
  return spot;
}

void BatchEncoder::append_document(std::string& entries, std::uint64_t sequence, std::string_view document) const {
  constexpr std::string_view kSpace = " \t\r\n";
  Piece piece;
  put_beginning(piece, entries, sequence);
  piece.append_to(entries);
  // One with other bytes than UTF-8, of an earlier version's log, would take the whole batch with it.
  const bool is_object =
      document.size() >= 2 && document.front() == '{' && document.back() == '}' && is_valid_utf8(document);
  if (!is_object) {
    entries += ",\"document\":";
    append_json_string(entries, document);
    entries += '}';
    return;
  }
  const std::string_view members = document.substr(1);
  if (members[members.find_first_not_of(kSpace)] != '}') entries += ',';
  entries += members;
}

std::size_t BatchEncoder::finish(std::string& entries, const BatchHead& head) const {
  const std::string text = make_head(head);
  entries.insert(0, text);
  entries += kTail;
  return text.size();
}

std::size_t BatchEncoder::finish_again(std::string& message, std::size_t entries_at, const BatchHead& head) const {
  const std::string text = make_head(head);
  message.replace(0, entries_at, text);
  return text.size();
}

std::string BatchEncoder::make_head(const BatchHead& head) const {
  const char* const stream = to_string(head.stream);
  std::string out = beginning_;
  const auto put = [&out](const char* member, auto number) {
    out += member;
    append_number(out, number);
  };
  out += ",\"stream\":\"";
  out += stream;
  out += "\",\"lane\":\"";
  out += to_string(lane_of(head));
  out += '"';
  put(",\"epoch\":", std::uint64_t{head.epoch});
  put(",\"from\":", head.from);
  put(",\"to\":", head.to);
  put(",\"count\":", std::uint64_t{head.count});
  put(",\"sent\":", floor_milliseconds(head.sent));
  out += head.historical ? ",\"historical\":true" : ",\"historical\":false";
  if (head.prev) {
    put(",\"prev\":{\"epoch\":", std::uint64_t{head.prev->epoch});
    put(",\"to\":", head.prev->to);
    out += '}';
  }
  if (head.skipped) {
    put(",\"skipped\":{\"epoch\":", std::uint64_t{head.skipped->epoch});
    put(",\"from\":", head.skipped->from);
    put(",\"to\":", head.skipped->to);
    out += '}';
  }
  if (head.replay) out += ",\"replay\":true";
  if (head.beside != nullptr) {
    out += ",\"beside\":\"";
    out += head.beside;
    out += '"';
  }
  out += ",\"";
  out += stream;
  out += "\":[";
  return out;
}

const std::string& BatchEncoder::tag_member(TagId tag) {
  static const std::string kNoTagMember = ",\"tag\":null,\"time\":";
  const auto index = static_cast<std::size_t>(tag);
  if (tag == kNoTag) return kNoTagMember;
  if (index >= tag_members_.size()) tag_members_.resize(index + 1);
  std::string& member = tag_members_[index];
  if (member.empty()) {
    member = ",\"tag\":";
    append_json_string(member, tags_.tag(tag).path);
    member += ",\"time\":";
  }
  return member;
}

}  // namespace tidegate::uplink
