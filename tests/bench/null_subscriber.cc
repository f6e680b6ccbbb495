// The floor for anything that receives over Paho MQTT C++: subscribes (QoS 1, persistent session) and does nothing.
//   null_subscriber BROKER_URI TOPIC_FILTER COUNT
// Ends when COUNT messages have come.
#include <mqtt/async_client.h>

#include <cstdint>
#include <cstdio>
#include <future>
#include <string>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: null_subscriber BROKER_URI TOPIC_FILTER COUNT\n");
    return 64;
  }
  const std::uint64_t wanted = std::stoull(argv[3]);
  std::uint64_t count = 0;  // of Paho's thread
  std::promise<void> done;
  mqtt::async_client client(argv[1], "bench-null-subscriber", nullptr);
  client.set_message_callback([&](mqtt::const_message_ptr) {
    if (++count == wanted) done.set_value();
  });
  auto options = mqtt::connect_options_builder().clean_session(false).finalize();
  options.set_mqtt_version(MQTTVERSION_3_1_1);
  client.connect(options)->wait();
  client.subscribe(argv[2], 1)->wait();
  std::printf("subscribed\n");
  std::fflush(stdout);
  done.get_future().wait();
  client.disconnect()->wait();
  return 0;
}
