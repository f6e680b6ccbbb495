#pragma once

#include <mqtt/iclient_persistence.h>

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace tidegate::mqtt {

/// Where Paho keeps publishes that it has not begun to send, in memory. Nothing is restored from it: it is there
/// because Paho, when a client is destroyed, frees what it has sent and what lies in such a store, but loses the
/// memory of what it holds by itself: with a link that stalls, a window of batches each time.
/// Called on Paho's threads and on the calls thread.
class UnsentStore final : public ::mqtt::iclient_persistence {
 public:
  void open(const ::mqtt::string&, const ::mqtt::string&) override {}
  void close() override {}
  void clear() override;
  bool contains_key(const ::mqtt::string& key) override;
  ::mqtt::string_collection keys() const override { return {}; }
  void put(const ::mqtt::string& key, const std::vector<::mqtt::string_view>& parts) override;
  ::mqtt::string get(const ::mqtt::string& key) const override;
  void remove(const ::mqtt::string& key) override;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::string> commands_;
};

}  // namespace tidegate::mqtt
