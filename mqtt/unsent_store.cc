#include "mqtt/unsent_store.h"

#include <mqtt/exception.h>

namespace tidegate::mqtt {
namespace {

// Paho's keys: "c-" is a queued command. The other kinds are for a restart of the process, which we do by ourselves.
bool is_command(const std::string& key) { return key.rfind("c-", 0) == 0; }

}  // namespace

void UnsentStore::clear() {
  const std::lock_guard lock(mutex_);
  commands_.clear();
}

bool UnsentStore::contains_key(const ::mqtt::string& key) {
  const std::lock_guard lock(mutex_);
  return commands_.contains(key);
}

void UnsentStore::put(const ::mqtt::string& key, const std::vector<::mqtt::string_view>& parts) {
  if (!is_command(key)) return;
  std::string whole;
  std::size_t size = 0;
  for (const auto& part : parts) size += part.size();
  whole.reserve(size);
  for (const auto& part : parts) whole.append(part.data(), part.size());
  const std::lock_guard lock(mutex_);
  commands_[key] = std::move(whole);
}

::mqtt::string UnsentStore::get(const ::mqtt::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = commands_.find(key);
  if (found == commands_.end()) throw ::mqtt::persistence_exception();
  return found->second;
}

void UnsentStore::remove(const ::mqtt::string& key) {
  const std::lock_guard lock(mutex_);
  commands_.erase(key);
}

}  // namespace tidegate::mqtt
