#include "tests/support/remote_write.h"

#include <cstring>
#include <stdexcept>

namespace tidegate::testing {
namespace {

class Bytes {
 public:
  explicit Bytes(std::string_view left) : left_(left) {}

  bool empty() const { return left_.empty(); }
  std::string_view take(std::size_t count) {
    if (count > left_.size()) throw std::runtime_error("the request ends too early");
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  std::uint64_t little(std::size_t count) {
    std::uint64_t number = 0;
    const std::string_view bytes = take(count);
    for (std::size_t i = 0; i < count; ++i) {
      number |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    return number;
  }
  std::uint64_t varint() {
    std::uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t byte = little(1);
      number |= (byte & 0x7fU) << shift;
      if (byte < 0x80) return number;
    }
    throw std::runtime_error("a number without an end");
  }
  std::string_view field(unsigned number) {
    if (varint() != (number << 3U | 2U)) throw std::runtime_error("another field than " + std::to_string(number));
    return take(varint());
  }
  std::string_view rest() const { return left_; }

 private:
  std::string_view left_;
};

// Literals alone.
std::string unpacked(std::string_view block) {
  Bytes bytes(block);
  const std::uint64_t size = bytes.varint();
  std::string out;
  while (!bytes.empty()) {
    const std::uint64_t tag = bytes.little(1);
    if ((tag & 3U) != 0) throw std::runtime_error("a copy, which this reader does not know");
    const std::uint64_t length = tag >> 2U;
    out += bytes.take((length < 60 ? length : bytes.little(length - 59)) + 1);
  }
  if (out.size() != size) throw std::runtime_error("another size than the block says");
  return out;
}

std::pair<std::int64_t, double> read_sample(std::string_view text) {
  Bytes bytes(text);
  if (bytes.varint() != (1U << 3U | 1U)) throw std::runtime_error("a sample without a value");
  const std::uint64_t bits = bytes.little(8);
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  if (bytes.varint() != (2U << 3U)) throw std::runtime_error("a sample without a time");
  return {static_cast<std::int64_t>(bytes.varint()), value};
}

SeriesSeen read_series(std::string_view text) {
  SeriesSeen series;
  std::string before;
  Bytes bytes(text);
  while (!bytes.empty()) {
    if (bytes.rest().front() == (2 << 3 | 2)) {
      series.samples.push_back(read_sample(bytes.field(2)));
      continue;
    }
    Bytes label(bytes.field(1));
    const std::string name(label.field(1));
    if (name <= before) throw std::runtime_error("labels that are not sorted: " + name);
    series.labels[name] = label.field(2);
    before = name;
  }
  return series;
}

}  // namespace

std::vector<SeriesSeen> read_write_request(std::string_view body) {
  const std::string request = unpacked(body);
  Bytes bytes(request);
  std::vector<SeriesSeen> all;
  while (!bytes.empty()) all.push_back(read_series(bytes.field(1)));
  return all;
}

}  // namespace tidegate::testing
