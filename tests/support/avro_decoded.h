#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"
#include "uplink/byte_text.h"

namespace tidegate::testing {

/// What Apache Avro's own library makes of records in binary, by their schema.
class AvroDecoded {
 public:
  AvroDecoded(std::string_view schema, const std::vector<std::string>& records) {
    const TemporaryDirectory directory;
    write_file(directory / "schema.avsc", std::string(schema));
    std::string lines;
    for (const std::string& record : records) lines += uplink::hexadecimal(record) + '\n';
    write_file(directory / "records", lines);
    const auto read = run_to_end(
        {"/usr/bin/python3", "-B", TIDEGATE_AVRO_READER, "read", directory / "schema.avsc", directory / "records"});
    EXPECT_EQ(read.end.exit_code, 0) << read.errors;
    for (std::size_t at = 0; at < read.output.size();) {
      const std::size_t end = read.output.find('\n', at);
      texts_.push_back(read.output.substr(at, end - at));
      at = end + 1;
    }
    EXPECT_EQ(texts_.size(), records.size());
  }

  std::size_t size() const { return texts_.size(); }
  const std::string& text(std::size_t index) const { return texts_.at(index); }
  /// Valid until the next call.
  simdjson::dom::element at(std::size_t index) { return parser_.parse(texts_.at(index)).value(); }

 private:
  std::vector<std::string> texts_;
  simdjson::dom::parser parser_;
};

}  // namespace tidegate::testing
