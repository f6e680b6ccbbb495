#include "uplink/prometheus_wire.h"

#include <algorithm>
#include <bit>

namespace tidegate::uplink {
namespace {

void append_varint(std::string& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7U) out += static_cast<char>((number & 0x7fU) | 0x80U);
  out += static_cast<char>(number);
}

// A field of Protocol Buffers: its number and wire type in one byte, which goes up to number 15.
constexpr char tag_of(unsigned number, unsigned wire_type) { return static_cast<char>(number << 3U | wire_type); }
constexpr unsigned kVarint = 0;
constexpr unsigned kFixed64 = 1;
constexpr unsigned kBytes = 2;

void append_field(std::string& out, unsigned number, std::string_view bytes) {
  out += tag_of(number, kBytes);
  append_varint(out, bytes.size());
  out += bytes;
}

std::string label(std::string_view name, std::string_view value) {
  std::string out;
  append_field(out, 1, name);
  append_field(out, 2, value);
  return out;
}

std::string sample(std::int64_t time, double value) {
  std::string out(1, tag_of(1, kFixed64));
  auto bits = std::bit_cast<std::uint64_t>(value);
  for (int i = 0; i < 8; ++i, bits >>= 8U) out += static_cast<char>(bits & 0xffU);
  out += tag_of(2, kVarint);
  append_varint(out, static_cast<std::uint64_t>(time));
  return out;
}

bool may_stand_in_a_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
}

}  // namespace

void append_series(std::string& request, const RemoteSeries& series) {
  std::string text;
  for (const auto& [name, value] : series.labels) append_field(text, 1, label(name, value));
  for (const auto& [time, value] : series.samples) append_field(text, 2, sample(time, value));
  append_field(request, 1, text);
}

// A literal of more than 60 bytes has its length less one behind its tag; 61 << 2 says in two bytes.
std::string snappy_block(std::string_view bytes) {
  constexpr std::size_t kLiteralMost = 65536;
  constexpr char kTwoBytesOfLength = static_cast<char>(61U << 2U);
  std::string out;
  append_varint(out, bytes.size());
  while (!bytes.empty()) {
    const std::string_view literal = bytes.substr(0, kLiteralMost);
    const std::size_t less_one = literal.size() - 1;
    out += kTwoBytesOfLength;
    out += static_cast<char>(less_one & 0xffU);
    out += static_cast<char>(less_one >> 8U);
    out += literal;
    bytes.remove_prefix(literal.size());
  }
  return out;
}

std::string metric_name(std::string_view prefix, std::string_view tag) {
  std::string name(prefix);
  name += tag.substr(tag.rfind('/') + 1);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !may_stand_in_a_name(c); }, '_');
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) name.insert(name.begin(), '_');
  return name;
}

}  // namespace tidegate::uplink
