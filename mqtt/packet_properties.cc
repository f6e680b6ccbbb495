#include "mqtt/packet_properties.h"

#include <cassert>

namespace tidegate::mqtt {

std::string_view Properties::text(PropertyId id) const {
  return has(id) ? texts_[numbers_[index(id)]] : std::string_view();
}

void Properties::set(PropertyId id, std::uint32_t number) {
  present_[index(id)] = true;
  numbers_[index(id)] = number;
}

void Properties::set(PropertyId id, std::string_view text) {
  if (!has(id)) {
    assert(text_count_ < kTexts);
    present_[index(id)] = true;
    numbers_[index(id)] = text_count_++;
  }
  texts_[numbers_[index(id)]] = text;
}

}  // namespace tidegate::mqtt
