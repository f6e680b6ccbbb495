#include "uplink/avro/avro_schemas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::uplink {
namespace {

using tidegate::testing::read_file;

// Each version of the schemas that was ever released: NAME-VERSION.avsc. Files are only added, never changed.
const std::string kPublished = TIDEGATE_AVRO_PUBLISHED;

std::string name_of(Stream stream) {
  std::string name = to_string(stream);
  name.pop_back();  // readings, reading.avsc
  return name;
}

std::map<int, std::string> published(Stream stream) {
  const std::string beginning = name_of(stream) + "-";
  std::map<int, std::string> found;
  for (const auto& file : std::filesystem::directory_iterator(kPublished)) {
    const std::string name = file.path().filename();
    if (name.starts_with(beginning)) found[std::stoi(name.substr(beginning.size()))] = file.path();
  }
  return found;
}

TEST(AvroSchemasTest, NoneHasChangedWithoutAVersionOfItsOwn) {
  for (const Stream stream : kAllStreams) {
    const auto versions = published(stream);
    ASSERT_FALSE(versions.empty());
    EXPECT_EQ(avro_schema(stream), read_file(versions.rbegin()->second))
        << name_of(stream) << ".avsc is not its newest version: consumers have that. Add "
        << name_of(stream) + "-" + std::to_string(versions.rbegin()->first + 1) + ".avsc, and say so in docs/avro.md";
  }
}

TEST(AvroSchemasTest, OldAndNewVersionsReadEachOther) {
  const tidegate::testing::TemporaryDirectory directory;
  for (const Stream stream : kAllStreams) {
    tidegate::testing::write_file(directory / "now.avsc", std::string(avro_schema(stream)));
    for (const auto& [version, path] : published(stream)) {
      const auto run = tidegate::testing::run_to_end(
          {"/usr/bin/python3", "-B", TIDEGATE_AVRO_READER, "fits", directory / "now.avsc", path});
      EXPECT_EQ(run.end.exit_code, 0) << path << run.errors;
    }
  }
}

TEST(AvroSchemasTest, AreOfTheRecordsWhoseNamesAreToldForSubjects) {
  for (const Stream stream : kAllStreams) {
    simdjson::dom::parser parser;
    const auto schema = parser.parse(std::string(avro_schema(stream)));
    const std::string name =
        std::string(schema["namespace"].get_string().value()) + "." + std::string(schema["name"].get_string().value());
    EXPECT_EQ(avro_record_name(stream), name);
  }
}

// So that a reader that knows more than a record has does not stumble, nor one that knows less.
TEST(AvroSchemasTest, EveryFieldThatMayBeMissingHasADefault) {
  for (const Stream stream : kAllStreams) {
    simdjson::dom::parser parser;
    const auto schema = parser.parse(std::string(avro_schema(stream)));
    simdjson::dom::array fields;
    ASSERT_EQ(schema["fields"].get_array().get(fields), simdjson::SUCCESS);
    for (const auto field : fields) {
      const bool is_union = field["type"].is_array();
      EXPECT_EQ(field["default"].error() == simdjson::SUCCESS, is_union) << simdjson::minify(field);
      if (!is_union) continue;
      EXPECT_EQ(field["type"].at(0).get_string().value(), "null") << simdjson::minify(field);
    }
  }
}

}  // namespace
}  // namespace tidegate::uplink
