#pragma once

#include <simdjson.h>

#include <string>

#include "core/spare_room.h"

namespace tidegate::uplink {

/// simdjson's parser for text after text. It takes some fourteen times the bytes of its largest text, and would keep
/// that.
class FittedParser {
 public:
  /// What is given points into the parser: until the next call.
  simdjson::simdjson_result<simdjson::dom::element> parse(const std::string& text) {
    if (spare_.is_too_much(text.size() * kBytesPerByte, parser_.capacity() * kBytesPerByte)) {
      parser_ = simdjson::dom::parser();
    }
    return parser_.parse(text);
  }

 private:
  static constexpr std::size_t kBytesPerByte = 14;  // 8 of its tape, 4 of its indexes, 5/3 of its texts

  simdjson::dom::parser parser_;
  SpareRoom spare_;
};

}  // namespace tidegate::uplink
