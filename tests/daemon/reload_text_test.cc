#include "daemon/reload_text.h"

#include <gmock/gmock.h>

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;

TEST(ReloadText, HasALineForEachSectionAndOneForEachKey) {
  const auto text = reload_as_text(
      R"({"config":"/etc/t.toml","result":"preview","problems":[],"changes":[)"
      R"({"section":"uplink.http","name":"lake","file":"/etc/t.toml","line":40,"change":"added","effect":"start","keys":[]},)"
      R"({"section":"driver.modbus","name":"line-1","file":"/etc/t.toml","line":12,"change":"changed","effect":"replace",)"
      R"("keys":[{"key":"device.boiler.interval","before":"\"1s\"","after":"\"500ms\""}],"note":"so"}],)"
      R"("untouched":3,"restart_needed_for":["gateway.id","buffer.size"]})");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->changes,
            "+ uplink.http lake: is started  (/etc/t.toml:40)\n"
            "~ driver.modbus line-1: is stopped and begins anew  (/etc/t.toml:12)\n"
            "    device.boiler.interval: \"1s\" -> \"500ms\"\n"
            "    so\n"
            "  3 other drivers and uplinks go on untouched\n");
  EXPECT_EQ(text->waiting, "gateway.id, buffer.size");
}

TEST(ReloadText, HasThePastOfWhatIsDone) {
  const auto text = reload_as_text(
      R"({"result":"done","changes":[{"section":"uplink.file","name":"x","change":"removed","effect":"stop"}]})");
  ASSERT_TRUE(text);
  EXPECT_THAT(text->changes, HasSubstr("- uplink.file x: was stopped\n"));
}

TEST(ReloadText, SaysWhatTheDaemonSaidInsteadOfAnAnswer) {
  const auto refused = reload_as_text(R"({"error":"not ready"})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "not ready");
  const auto strange = reload_as_text("<html>");
  ASSERT_FALSE(strange);
  EXPECT_THAT(strange.error().message, HasSubstr("<html>"));
}

}  // namespace
}  // namespace tidegate::daemon
