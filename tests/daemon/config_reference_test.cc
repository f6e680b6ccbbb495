#include <gmock/gmock.h>

#include "daemon/config/config.h"
#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

TEST(ConfigReferenceTest, the_document_is_what_the_table_of_keys_says) {
  const std::string document = testing::read_file(std::string(TIDEGATE_SOURCE_DIR) + "/docs/configuration.md");
  EXPECT_TRUE(document == configuration_reference())
      << "docs/configuration.md is stale: run `tidegate config-reference > docs/configuration.md`";
}

TEST(ConfigReferenceTest, every_key_and_section_is_in_the_document) {
  const std::string document = configuration_reference();
  for (const char* text : {"## `[[driver.modbus.device.tags]]`", "| `max_gap` |", "`rule.action`"}) {
    EXPECT_THAT(document, ::testing::HasSubstr(text));
  }
}

}  // namespace
}  // namespace tidegate::daemon
