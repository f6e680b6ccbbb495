// What the daemon has open is its own.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/gateway_process.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::IsEmpty;

constexpr int kStandardStreams = 3;
constexpr unsigned long kCloseOnExec = 02000000;

/// Its descriptors but the standard ones: what each is, where another program would inherit it, else "". It has some of
/// whoever started the tests, perhaps, which are as they were.
std::vector<std::string> descriptors_of(pid_t process) {
  const std::string folder = "/proc/" + std::to_string(process);
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/fd")) {
    const std::string number = entry.path().filename();
    if (std::stoi(number) < kStandardStreams) continue;
    std::ifstream said(folder + "/fdinfo/" + number);
    std::string word;
    while (said >> word && word != "flags:") continue;
    unsigned long flags = 0;
    if (!(said >> std::oct >> flags)) continue;  // it is closed again
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(entry.path(), ignored);
    const bool is_inherited = target == std::filesystem::read_symlink("/proc/self/fd/" + number, ignored).string();
    found.push_back((flags & kCloseOnExec) != 0 || is_inherited ? "" : number + " -> " + target);
  }
  return found;
}

TEST(DescriptorsShort, AreInheritedByNoOtherProgram) {
  MosquittoBroker broker;
  broker.start();
  const std::uint16_t port = free_port();
  const std::string subscribe = "topic = \"plant/{device}/{tag}\"\n";
  GatewayProcess gateway;
  gateway.configure("[[driver.mqtt]]\nname = \"written\"\nbroker = \"" + broker.uri() +
                    "\"\n[[driver.mqtt.subscribe]]\n" + subscribe + "[[driver.mqtt]]\nname = \"durable\"\nbroker = \"" +
                    broker.uri() + "\"\nack = \"durable\"\n[[driver.mqtt.subscribe]]\n" + subscribe +
                    "[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" + std::to_string(port) +
                    "\"\n[[driver.mqtt_listener.subscribe]]\n" + subscribe +
                    "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"" + broker.uri() + "\"\n");
  gateway.start();
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_uplink_up{uplink=\"cloud\"}", 1, seconds(20))) << gateway.log();
  for (const std::string& driver : {std::string("written"), std::string("durable")}) {
    ASSERT_TRUE(gateway.wait_for_metric("tidegate_driver_up{driver=\"" + driver + "\"}", 1, seconds(20)));
  }
  const pid_t process = gateway.process().pid();
  const std::size_t before = descriptors_of(process).size();
  const int sensor = connect_to_loopback(port);
  const int admin = connect_to_loopback(gateway.admin_port());
  EXPECT_TRUE(wait_until([&] { return descriptors_of(process).size() >= before + 2; }, seconds(20)));
  auto inherited = descriptors_of(process);
  std::erase(inherited, "");
  EXPECT_THAT(inherited, IsEmpty());
  ::close(sensor);
  ::close(admin);
  gateway.stop();
}

}  // namespace
}  // namespace tidegate::testing
